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

#[test]
fn bash_completes_names() {
    // The generator takes a hyphen in one place for what it is, and in another for a word of the program.
    let mut text = generated(Shell::Bash, "vm_agent").replace(" vm_agent\n", " vm-agent\n");
    for verb in named_first() {
        // The generator leaves out what may be missing.
        let label = format!("vm_agent__subcmd__{})", verb.replace('-', "__subcmd__"));
        let at = text.find(&format!("\n        {label}\n")).unwrap_or_else(|| panic!("no {label} in {text}"));
        let end = at + text[at..].find("--help\"").unwrap() + "--help".len();
        text.insert_str(end, &format!(" $({NAMES})"));
    }
    rendered("packaging/completions/vm-agent", "", "", &format!("{HEAD}{text}"));
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
