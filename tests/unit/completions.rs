// SPDX-License-Identifier: GPL-2.0-or-later
//! The files by which shells complete a person's command line. They are made from the grammar of the command line; where it
//! wants a machine's name, the program is asked for the names that libvirt knows.

use super::documents::rendered;
use clap_complete::{Shell, generate};
use vm_agent::callers::operator::command_line::grammar;

const NAMES: &str = "vm-agent list --names 2>/dev/null";
const HEAD: &str = "# SPDX-License-Identifier: GPL-2.0-or-later\n";

/// What clap knows of the command line of a program of that name, in a shell's words.
fn generated(shell: Shell, program: &str) -> String {
    let mut text = Vec::new();
    generate(shell, &mut grammar(), program, &mut text);
    String::from_utf8(text).unwrap()
}

/// The words whose first argument is a machine's name.
fn named_first() -> Vec<String> {
    let command = grammar();
    let first = |verb: &clap::Command| verb.get_positionals().next().is_some_and(|it| it.get_id() == "name");
    command.get_subcommands().filter(|verb| first(verb)).map(|verb| verb.get_name().to_owned()).collect()
}

/// Adds the names to what bash completes. They are never among the words of `compgen -W`, which expands them.
const BASH_NAMES: &str = r#"_vm_agent_names() {
    local name
    while IFS= read -r name; do
        [[ -z ${name} || ${name} != "$1"* ]] || COMPREPLY+=("$(printf %q "${name}")")
    done < <(NAMES)
}
"#;

#[test]
fn bash_completes_names() {
    // The generator takes a hyphen in one place for what it is, and in another for a word of the program.
    let mut text = generated(Shell::Bash, "vm_agent").replace(" vm_agent\n", " vm-agent\n");
    for verb in named_first() {
        // The generator leaves out what may be missing.
        let label = format!("\n        vm_agent__subcmd__{})\n", verb.replace('-', "__subcmd__"));
        let at = text.find(&label).unwrap_or_else(|| panic!("no {label} in {text}"));
        let end = at + text[at..].find(";;\n        vm_agent").or(text[at..].find("\n    esac\n")).unwrap();
        let words = "COMPREPLY=( $(compgen -W \"${opts}\" -- \"${cur}\") )";
        let branch = text[at..end].replace(words, &format!("{words}; _vm_agent_names \"${{cur}}\""));
        assert_ne!(branch, text[at..end], "{label}");
        text.replace_range(at..end, &branch);
    }
    let names = BASH_NAMES.replace("NAMES", NAMES);
    rendered("packaging/completions/vm-agent", "", "", &format!("{HEAD}{names}{text}"));
}

#[test]
fn zsh_completes_names() {
    let text = generated(Shell::Zsh, "vm-agent");
    let (first, rest) = text.split_once('\n').unwrap();
    let name = "'::name -- The virtual machine'\\''s name:_default'";
    assert!(rest.contains(name), "{rest}");
    let rest = rest.replace(name, &name.replace("_default", "_vm_agent_names"));
    let function = format!("_vm_agent_names() {{\n    compadd -- ${{(f)\"$({NAMES})\"}}\n}}\n");
    rendered("packaging/completions/_vm-agent", "", "", &format!("{first}\n{HEAD}\n{function}{rest}"));
}

#[test]
fn fish_completes_names() {
    let text = format!(
        "{}complete -c vm-agent -n '__fish_seen_subcommand_from {}' -f -a '({NAMES})'\n",
        generated(Shell::Fish, "vm-agent"),
        named_first().join(" ")
    );
    rendered("packaging/completions/vm-agent.fish", "", "", &format!("{HEAD}{text}"));
}
