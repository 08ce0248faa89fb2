// SPDX-License-Identifier: GPL-2.0-or-later
//! The manual pages of the commands, one for each group of them. They are made from the grammar of the command line, as
//! `--help` is; vm-agent(8) is the page for the whole.

use super::documents::rendered;
use clap::Command;
use clap_mangen::Man;
use std::collections::BTreeSet;
use vm_agent::callers::operator::command_line::grammar;

/// The groups: the page's name, what its commands are for, and the commands.
const GROUPS: [(&str, &str, &[&str]); 3] = [
    (
        "look",
        "see virtual machines: how they are, where they run, and what became of them",
        &["status", "whereis", "list", "logs", "history", "replay", "metrics"],
    ),
    (
        "act",
        "start, stop and move a virtual machine by hand",
        &["start", "stop", "kill", "restart", "recover", "migrate"],
    ),
    (
        "check",
        "find what is wrong or missing, and say what a cluster would do",
        &["doctor", "validate-all", "monitor", "explain", "plan", "convert", "reload", "meta-data", "usage"],
    ),
];

/// A part of a page, without its heading.
fn part(render: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut text = Vec::new();
    render(&mut text).unwrap();
    // The string for an apostrophe would have to be defined before.
    let text = String::from_utf8(text).unwrap().replace("\\*(Aq", "\\(aq");
    let at = text.find("\n.SH ").unwrap() + 1;
    text[at..].split_once('\n').unwrap().1.to_owned()
}

/// The arguments of a command by their names.
fn arguments(command: &Command) -> BTreeSet<String> {
    command.get_arguments().map(|argument| argument.get_id().to_string()).collect()
}

/// A command that shows these arguments alone.
fn showing(command: &Command, shown: &BTreeSet<String>) -> Command {
    let hidden = arguments(command).into_iter().filter(|name| !shown.contains(name));
    hidden.fold(command.clone(), |command, name| command.mut_arg(name, |argument| argument.hide(true)))
}

fn page(group: &str, purpose: &str, names: &[&str]) -> String {
    let mut whole = grammar();
    whole.build();
    let commands: Vec<&Command> = names.iter().map(|name| whole.find_subcommand(name).unwrap()).collect();
    let common = commands.iter().map(|command| arguments(command)).reduce(|all, own| &all & &own).unwrap();
    let title = format!("VM-AGENT-{}", group.to_uppercase());
    let mut text = format!(
        ".\\\" SPDX-License-Identifier: GPL-2.0-or-later\n.TH {title} 8 \"\" \"vm-agent\" \"System administration\"\n\
         .SH NAME\nvm\\-agent\\-{group} \\- {purpose}\n.SH SYNOPSIS\n.nh\n.ad l\n"
    );
    let synopses: Vec<String> = commands
        .iter()
        .map(|command| part(|text| Man::new((*command).clone()).render_synopsis_section(text)))
        .collect();
    text += &synopses.join(".br\n");
    text += ".ad\n";
    for command in &commands {
        text += &format!(".SH {}\n", command.get_name().to_uppercase().replace('-', "\\-"));
        text += &part(|text| Man::new((*command).clone()).render_description_section(text));
        let own = &arguments(command) - &common;
        if !own.is_empty() {
            text += &part(|text| Man::new(showing(command, &own)).render_options_section(text));
        }
    }
    text += ".SH COMMON OPTIONS\n";
    text += &part(|text| Man::new(showing(commands[0], &common)).render_options_section(text));
    text + ".SH SEE ALSO\n.BR vm\\-agent (8)\n"
}

#[test]
fn each_group_of_commands_has_its_page() {
    for (group, purpose, names) in GROUPS {
        rendered(&format!("packaging/vm-agent-{group}.8"), "", "", &page(group, purpose, names));
    }
}

#[test]
fn every_command_is_on_one_page() {
    let mut told: Vec<&str> = GROUPS.iter().flat_map(|(_, _, names)| names.iter().copied()).collect();
    told.sort_unstable();
    let whole = grammar();
    let mut all: Vec<&str> = whole.get_subcommands().map(Command::get_name).collect();
    all.sort_unstable();
    assert_eq!(told, all);
}
