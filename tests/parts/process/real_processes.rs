// SPDX-License-Identifier: GPL-2.0-or-later
//! Real emulators and real impostors in the real process table.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use vm_agent::hypervisor::process::{Alive, Evidence, FoundBy, Identity, by_pid_file, find};
use vm_agent::sys::roots::Roots;

use super::{Guarded, MARK, by_hand, emulator, own, real, uuid_of, uuid_text, without_uuid};
use crate::shared::eventually;

/// The real table, with folders of libvirt's that are ours.
pub fn roots() -> (TempDir, Roots) {
    let folder = tempfile::tempdir().unwrap();
    let (run, lib) = (folder.path().join("run"), folder.path().join("lib"));
    fs::create_dir_all(run.join("libvirt/qemu")).unwrap();
    fs::create_dir_all(lib.join("libvirt/qemu")).unwrap();
    (folder, Roots { run, lib, ..Roots::default() })
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn alive(evidence: Evidence) -> Option<Alive> {
    match evidence {
        Evidence::Alive(alive) => Some(alive),
        Evidence::Absent | Evidence::MayBe(_) | Evidence::Namesake(_) | Evidence::Unknown(_) => None,
    }
}

/// The domain is not there. (For a moment somebody else's emulator may be ending, and then that cannot be known.)
fn is_absent(roots: &Roots, who: &Identity<'_>) {
    eventually("it is known", || match find(roots, who) {
        Evidence::Absent => true,
        Evidence::Unknown(_) | Evidence::MayBe(_) => false,
        Evidence::Namesake(why) => panic!("{why}"),
        Evidence::Alive(alive) => panic!("{} was taken for the domain: {alive:?}", alive.pid),
    });
}

#[test]
fn a_real_emulator_is_found_by_its_exact_name_only() {
    let (name, (_folder, roots)) = (own("a,b c"), roots());
    let argument = format!("guest={},debug-threads=on", name.replace(',', ",,"));
    let process = Guarded::start(&mut emulator(&["-name", &argument, "-uuid", &uuid_text(&name)]));
    let found = alive(find(&roots, &real(&name))).unwrap();
    assert_eq!((found.pid, found.found_by, found.incoming), (process.pid(), FoundBy::Scan, false));
    assert_eq!(found.uuid, Some(uuid_of(&name)));
    for other in [name.trim_end_matches('c'), &format!("{name}d"), &name.replace('b', "."), &name.replace("a,b", "a")] {
        is_absent(&roots, &without_uuid(other));
    }
}

#[test]
fn a_real_emulator_is_found_by_its_pid_file() {
    let (name, (_folder, roots)) = (own("pidfile"), roots());
    let process = Guarded::start(&mut emulator(&["-name", &format!("guest={name}"), "-uuid", &uuid_text(&name)]));
    let file = roots.run.join(format!("libvirt/qemu/{name}.pid"));
    fs::write(&file, format!("{}\n", process.pid())).unwrap();
    let found = by_pid_file(&roots, &real(&name)).unwrap();
    assert_eq!((found.pid, found.found_by), (process.pid(), FoundBy::PidFile));
    assert_eq!(alive(find(&roots, &real(&name))).map(|it| (it.pid, it.start_time_ticks)), {
        Some((found.pid, found.start_time_ticks))
    });
    // The number belongs to somebody else now.
    fs::write(&file, std::process::id().to_string()).unwrap();
    assert_eq!(by_pid_file(&roots, &real(&name)), None);
    assert_eq!(alive(find(&roots, &real(&name))).map(|it| it.found_by), Some(FoundBy::Scan));
    drop(process);
    is_absent(&roots, &real(&name));
}

#[test]
fn a_real_emulator_that_waits_for_a_migration_says_so() {
    let (name, (_folder, roots)) = (own("incoming"), roots());
    let arguments = ["-name", &format!("guest={name}"), "-uuid", &uuid_text(&name), "-incoming", "defer"];
    let _process = Guarded::start(&mut emulator(&arguments));
    assert!(alive(find(&roots, &real(&name))).unwrap().incoming);
}

#[test]
fn a_stopped_emulator_is_alive_and_one_that_nobody_reaps_is_not() {
    let (name, (_folder, roots)) = (own("stopped"), roots());
    let mut process = Guarded::start(&mut emulator(&["-name", &format!("guest={name}"), "-uuid", &uuid_text(&name)]));
    let pid = Pid::from_raw(i32::try_from(process.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let stat = format!("/proc/{}/stat", process.pid());
    let state = |letter: &str| fs::read_to_string(&stat).unwrap().contains(&format!(") {letter} "));
    eventually("it is stopped", || state("T"));
    assert_eq!(alive(find(&roots, &real(&name))).map(|it| it.pid), Some(process.pid()));
    process.0.kill().unwrap();
    eventually("it waits to be reaped", || state("Z"));
    is_absent(&roots, &real(&name));
}

#[test]
fn foreign_processes_with_the_name_in_their_arguments_are_not_the_domain() {
    let (name, (_folder, roots)) = (own("foreign"), roots());
    let guest = format!("guest={name},debug-threads=on");
    let uuid = uuid_text(&name);
    let text = format!("read -r _; : qemu-system-x86_64 -name {guest} -uuid {uuid}");
    let script = roots.run.join("wrapper");
    fs::write(&script, "#!/bin/bash\nread -r _\n").unwrap();
    let imitated = ["-name", &guest, "-uuid", &uuid_text(&name)];
    let mut commands = [
        Command::new("bash"),
        Command::new("bash"),
        Command::new("bash"),
        Command::new("bash"),
        Command::new("tail"),
        Command::new("cat"),
        Command::new("grep"),
    ];
    commands[0].args(["-c", &text]);
    commands[1].args(["-c", "read -r _", "qemu-system-x86_64"]).args(imitated);
    commands[2].arg0("qemu-system-x86_64").args(["-c", "read -r _", "x"]).args(imitated);
    commands[3].arg(&script).args(imitated);
    commands[4].args(["-f", "/dev/null", "--", "-name", &guest]);
    commands[5].args(["--", "-", "-name", &guest]);
    commands[6].args(["-e", &format!("-name {guest}"), "--", "-", "-name", &guest]);
    let processes: Vec<Guarded> = commands.iter_mut().map(Guarded::start).collect();
    is_absent(&roots, &real(&name));
    is_absent(&roots, &without_uuid(&name));
    // None is listed as the domain when the pid file names it either.
    for process in &processes {
        fs::write(roots.run.join(format!("libvirt/qemu/{name}.pid")), process.pid().to_string()).unwrap();
        assert_eq!(by_pid_file(&roots, &real(&name)), None);
    }
}

#[test]
fn a_wrapper_that_waits_for_its_emulator_does_not_count_and_the_emulator_does() {
    let (name, (_folder, roots)) = (own("wrapped"), roots());
    let script = roots.run.join("qemu-system-x86_64");
    let text =
        "/usr/bin/qemu-system-x86_64 \"$@\" -machine none -S -display none & p=$!\nread -r _\nkill $p\nwait $p\n";
    fs::write(&script, text).unwrap();
    let mut shell = Guarded::start(Command::new("/bin/bash").arg(&script).args([
        "-name",
        &format!("guest={name}"),
        "-uuid",
        &uuid_text(&name),
        "-object",
        MARK,
    ]));
    eventually("the emulator runs", || alive(find(&roots, &real(&name))).is_some());
    let found = alive(find(&roots, &real(&name))).unwrap();
    assert_ne!(found.pid, shell.pid());
    assert_eq!(fs::read_link(format!("/proc/{}/exe", found.pid)).unwrap(), Path::new("/usr/bin/qemu-system-x86_64"));
    shell.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    shell.0.wait().unwrap();
    is_absent(&roots, &real(&name));
}

#[test]
fn another_user_who_imitates_everything_does_not_count() {
    if !is_root() {
        // Only root can start a process of another user.
        return;
    }
    let (name, (_folder, roots)) = (own("imitated"), roots());
    let folder = tempfile::tempdir().unwrap();
    rustix::fs::chmod(folder.path(), 0o755.into()).unwrap();
    let program = folder.path().join("qemu-system-x86_64");
    fs::copy("/bin/bash", &program).unwrap();
    let key = format!("secret,id=masterKey0,format=raw,file=/var/lib/libvirt/qemu/domain-1-{name}/master-key.aes");
    let arguments =
        ["-c", "read -r _", "x", "-name", &format!("guest={name}"), "-uuid", &uuid_text(&name), "-object", &key];
    let imitator = Guarded::start(Command::new(&program).args(arguments).uid(65534).gid(65534));
    is_absent(&roots, &real(&name));
    drop(imitator);
    // Root's own copy is a program that calls itself an emulator, and claims to be the domain: it counts.
    let _process = Guarded::start(Command::new(&program).args(arguments));
    assert!(alive(find(&roots, &real(&name))).is_some());
}

#[test]
fn an_emulator_in_a_pid_namespace_of_its_own_is_not_this_hosts() {
    let (name, (_folder, roots)) = (own("nested"), roots());
    let mut command = Command::new("unshare");
    command.args(if is_root() { &["-p", "-f", "--kill-child"][..] } else { &["-r", "-p", "-f", "--kill-child"] });
    command.args(["qemu-system-x86_64", "-name", &format!("guest={name}"), "-uuid", &uuid_text(&name)]);
    command.args(["-machine", "none", "-S", "-display", "none", "-monitor", "none"]);
    let process = Guarded::start(&mut command);
    let children = format!("/proc/{0}/task/{0}/children", process.pid());
    eventually("it runs", || {
        let children = fs::read_to_string(&children).unwrap();
        let exe = children.split_whitespace().next().map(|pid| fs::read_link(format!("/proc/{pid}/exe")));
        exe.is_some_and(|exe| exe.is_ok_and(|exe| exe.ends_with("qemu-system-x86_64")))
    });
    is_absent(&roots, &real(&name));
}

#[test]
fn while_emulators_come_and_go_the_one_that_stays_is_always_found() {
    let (name, (_folder, roots)) = (own("stays"), roots());
    let stays = Guarded::start(&mut emulator(&["-name", &format!("guest={name}"), "-uuid", &uuid_text(&name)]));
    let began = Instant::now();
    let mut looks = 0;
    while began.elapsed().as_millis() < 1500 {
        let other = Guarded::start(&mut emulator(&["-name", &format!("guest={name}-{looks}")]));
        assert_eq!(alive(find(&roots, &real(&name))).map(|it| it.pid), Some(stays.pid()));
        drop(other);
        assert_eq!(alive(find(&roots, &real(&name))).map(|it| it.pid), Some(stays.pid()));
        looks += 1;
    }
    assert!(looks > 3);
}

#[test]
fn a_large_guest_that_is_ending_is_not_called_absent_before_it_has_ended() {
    let (name, (_folder, roots)) = (own("large"), roots());
    let memory = "memory-backend-ram,id=m,size=512M,prealloc=on";
    let mut process = Guarded::start(
        Command::new("qemu-system-x86_64")
            .args(["-name", &format!("guest={name}"), "-uuid", &uuid_text(&name), "-machine", "none,memory-backend=m"])
            .args(["-object", memory, "-m", "512M", "-S", "-display", "none", "-monitor", "none"]),
    );
    let resident = || fs::read_to_string(format!("/proc/{}/statm", process.pid())).unwrap();
    eventually("its memory is there", || resident().split(' ').nth(1).unwrap().parse::<u64>().unwrap() > 131_072);
    let stat = format!("/proc/{}/stat", process.pid());
    process.0.kill().unwrap();
    let mut looks = Vec::new();
    loop {
        let evidence = find(&roots, &real(&name));
        let ended = fs::read_to_string(&stat).unwrap().contains(") Z ");
        looks.push((evidence, ended));
        if ended {
            break;
        }
    }
    for (evidence, ended) in looks {
        assert!(ended || evidence != Evidence::Absent, "absent before its end");
    }
    drop(process);
    is_absent(&roots, &real(&name));
}

#[test]
fn an_emulator_that_was_started_by_hand_is_a_namesake_and_is_not_found_as_the_domain() {
    let (name, (_folder, roots)) = (own("by-hand"), roots());
    let process = Guarded::start(&mut by_hand(&["-name", &name]));
    let expected = format!("process {} (qemu-system-x86) has this name, and libvirt did not start it", process.pid());
    assert_eq!(find(&roots, &real(&name)), Evidence::Namesake(expected));
    drop(process);
    let _another = Guarded::start(&mut by_hand(&["-name", &name, "-uuid", &uuid_text("another machine")]));
    is_absent(&roots, &real(&name));
}
