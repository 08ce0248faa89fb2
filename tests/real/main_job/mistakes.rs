// SPDX-License-Identifier: GPL-2.0-or-later
//! What a person is told who mistypes, or lacks rights, libvirt or a worker; and what is seen at a terminal alone.

use crate::common::*;
use std::process::Command;

/// The code, and all that is written on standard error.
fn said(command: &mut Command) -> (i32, String) {
    let output = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    (output.status.code().unwrap(), text)
}

#[test]
fn a_mistyped_action_option_or_parameter_is_met_with_the_one_that_was_meant() {
    let host = Host::up();
    for (words, code, meant) in [
        ("statsu a", 3, "'status'"),
        ("status a --jsno", 2, "'--json'"),
        ("migrate a n2 --reharse", 2, "'--rehearse'"),
        ("list --naems", 2, "'--names'"),
        ("explain sttop a", 3, "did you mean 'stop'?"),
        ("explain migrate-to a", 3, "did you mean 'migrate_to'?"),
        ("start a -o migrate_optons=--live", 2, "did you mean 'migrate_options'?"),
        ("start a -o nmae=a", 2, "did you mean 'name'?"),
    ] {
        let (answer, text) = said(host.command(AGENT).args(words.split(' ')));
        assert!(answer == code && text.contains(meant), "{words}: {answer} {text}");
    }
    for words in ["explain fly a", "start a -o wings=2"] {
        let (_, text) = said(host.command(AGENT).args(words.split(' ')));
        assert!(!text.contains("did you mean"), "{words}: {text}");
    }
}

#[test]
fn who_lacks_rights_libvirt_or_the_worker_is_told_what_to_do() {
    let host = Host::up();
    let vm = host.guest("a").written();
    let file = vm.file.to_str().unwrap();
    let start = ["start", "a", "--xmlfile", file, "--timeout", "4"];
    let sudo = "vm-agent: you are not root, and root may see and do more: try it by sudo";
    // Everybody may run it, whoever built it where.
    let agent = "/opt/alone/vm-agent";
    host.run("install", &["-D", "-m", "755", AGENT, agent]);
    let bare = said(host.command(agent).args(["status", "a"]));
    assert!(
        bare.0 == 5 && bare.1.contains("vm-agent-by-hand, the program of what a person types, is missing"),
        "{bare:?}"
    );
    host.run("install", &["-m", "755", BY_HAND, "/opt/alone"]);
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", agent];
    // A worker that is not there: what libvirt's own machines are is not known to list.
    let alone = said(host.command(agent).arg("list"));
    assert!(alone.0 == 1 && alone.1.contains("the worker, vm-agent-libvirt, is missing here"), "{alone:?}");
    host.service("stop", "libvirtd");
    let (code, text) = said(host.command(AGENT).args(start));
    let daemon = "vm-agent: libvirt's daemon does not run here: try systemctl start libvirtd.socket";
    assert!(code == 1 && text.contains(daemon), "{code} {text}");
    let (code, text) = said(host.command("setpriv").args(nobody).args(start));
    assert!(code == 1 && text.contains(sudo) && !text.contains("systemctl"), "{code} {text}");
    // Nothing is advised where nothing is missing.
    let (code, text) = said(host.command(AGENT).args(["stop", "a", "--timeout", "25"]));
    assert!(code == 0 && !text.contains("try "), "{code} {text}");
    let (code, text) = said(host.command(AGENT).args(["whereis", "a"]));
    assert!(code == 7 && text.contains("no cluster runs here"), "{code} {text}");
}

#[test]
fn colours_are_for_a_terminal_alone_and_not_with_no_color() {
    let host = Host::up();
    let typed = format!("{AGENT} statsu a");
    let at_a_terminal = |variable: (&str, &str)| {
        let mut script = host.command("script");
        said(script.args(["-qec", &typed, "/dev/null"]).env("TERM", "xterm").env(variable.0, variable.1)).1
    };
    assert!(at_a_terminal(("LANG", "C")).contains("\u{1b}["));
    let plain = at_a_terminal(("NO_COLOR", "1"));
    assert!(plain.contains("'status'") && !plain.contains('\u{1b}'), "{plain:?}");
    let (_, piped) = said(host.command(AGENT).args(["statsu", "a"]).env("TERM", "xterm"));
    assert!(piped.contains("'status'") && !piped.contains('\u{1b}'), "{piped:?}");
}

#[test]
fn a_long_stop_tells_a_terminal_what_it_is_at_and_a_file_nothing() {
    let host = Host::up();
    let vm = host.guest("a").stubborn().written().created();
    vm.ticks();
    let stop = format!("{AGENT} stop a --timeout 26");
    let mut script = host.command("script");
    let (code, text) = said(script.args(["-qec", &stop, "/dev/null"]).env("TERM", "xterm"));
    assert_eq!(code, 0, "{text}");
    let told = text.lines().find(|line| line.contains(" s of 26: ")).unwrap_or_else(|| panic!("{text}"));
    assert!(told.starts_with("vm-agent: ") && (told.contains("shut down") || told.contains("wait")), "{told}");
    let vm = host.guest("b").stubborn().written().created();
    vm.ticks();
    let (code, text) = said(host.command(AGENT).args(["stop", "b", "--timeout", "26"]));
    assert!(code == 0 && !text.contains(" s of 26: "), "{code} {text}");
}
