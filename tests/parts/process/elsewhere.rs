// SPDX-License-Identifier: GPL-2.0-or-later
//! The same question asked from other places: as another user, and inside a container. This test's executable is
//! started there anew, to run `asker`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use vm_agent::hypervisor::process::{Evidence, find};
use vm_agent::sys::roots::Roots;

use super::real_processes::{is_root, roots};
use super::{Guarded, MARK, emulator, own, real, uuid_text};
use crate::shared::eventually;

#[test]
#[ignore = "started by other tests"]
fn asker() {
    // The name, the table, the folder of the others.
    let Ok(question) = std::env::var("QUESTION") else { return };
    let [name, proc, folder] = question.split('|').collect::<Vec<_>>()[..] else { panic!("{question}") };
    let roots = Roots {
        proc: proc.into(),
        run: Path::new(folder).join("run"),
        lib: Path::new(folder).join("lib"),
        ..Roots::default()
    };
    let answer = match find(&roots, &real(name)) {
        Evidence::Alive(_) => "alive".to_owned(),
        Evidence::Absent => "absent".to_owned(),
        Evidence::MayBe(why) => format!("may be: {why}"),
        Evidence::Namesake(why) => format!("namesake: {why}"),
        Evidence::Unknown(why) => format!("unknown: {why}"),
    };
    println!("answer {answer}.");
}

/// What the asker says after `script`, which ends in starting it as `"$@"`.
fn ask(script: &str, name: &str, proc: &Path, folder: &Path) -> String {
    let mut shell = Command::new("unshare");
    shell.args(if is_root() { &["-m", "-p", "-f"][..] } else { &["-r", "-m", "-p", "-f"] });
    shell.args(["/bin/bash", "-ec", script, "x"]).arg(std::env::current_exe().unwrap());
    shell.args(["--exact", "parts::process::elsewhere::asker", "--ignored", "--nocapture", "--test-threads=1"]);
    shell.env("QUESTION", format!("{name}|{}|{}", proc.display(), folder.display())).stdin(Stdio::null());
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer = said.split_once("answer ").and_then(|(_, rest)| rest.split_once(".\n"));
    let said = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    answer.unwrap_or_else(|| panic!("no answer: {said}")).0.to_owned()
}

#[test]
fn in_a_container_its_own_domains_are_seen_and_not_the_hosts() {
    let (folder, _) = roots();
    let (ours, its) = (own("outside"), own("inside"));
    let _outside = Guarded::start(&mut emulator(&["-name", &format!("guest={ours}"), "-uuid", &uuid_text(&ours)]));
    let uuid = uuid_text(&its);
    let script = format!(
        "mount -t proc proc /proc; qemu-system-x86_64 -name guest={its} -uuid {uuid} -object {MARK} -machine none -S -display none \
         -monitor none </dev/null >/dev/null 2>&1 & until grep -q guest= /proc/$!/cmdline; do :; done; \"$@\"; kill $!"
    );
    let ask = |name: &str| ask(&script, name, Path::new("/proc"), folder.path());
    assert_eq!(ask(&its), "alive");
    assert_eq!(ask(&own("neither")), "absent");
    // Another libvirt's domain of this name runs outside; this container's own does not.
    assert_eq!(ask(&ours), "absent");
}

#[test]
#[ignore = "started by other tests"]
fn holder() {
    let Ok(path) = std::env::var("HELD") else { return };
    let file = fs::File::options().write(true).open(&path).unwrap();
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    fs::write(Path::new(&path).with_extension("held"), "").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1000));
}

#[test]
fn in_a_container_a_pid_file_whose_process_is_outside_makes_absence_unknown() {
    let (folder, _) = roots();
    let name = own("nobody");
    let file = folder.path().join("run/libvirt/qemu/other.pid");
    fs::write(&file, "300").unwrap();
    let ask = |script: &str| ask(script, &name, Path::new("/proc"), folder.path());
    let hold = ["--exact", "parts::process::elsewhere::holder", "--ignored", "--test-threads=1"];
    // A file that nobody holds was left behind, one that is held inside is this container's.
    let inside = format!(
        "mount -t proc proc /proc; HELD={file} \"$1\" {} >&2 & until [ -e {held} ]; do sleep 0.01; done; \"$@\"; kill %1",
        hold.join(" "),
        file = file.display(),
        held = file.with_extension("held").display()
    );
    assert_eq!(ask("mount -t proc proc /proc; \"$@\""), "absent");
    assert_eq!(ask(&inside), "absent");
    fs::remove_file(file.with_extension("held")).unwrap();
    let mut holder = Command::new(std::env::current_exe().unwrap());
    let _outside = Guarded::start(holder.args(hold).env("HELD", &file));
    eventually("it is held", || file.with_extension("held").exists());
    // With a table of its own, and with that of the host, whose processes are not of this namespace.
    for script in ["mount -t proc proc /proc; \"$@\"", "\"$@\""] {
        let said = ask(script);
        assert!(said.starts_with("unknown: ") && said.contains("other.pid belongs to a process outside"), "{said}");
    }
}

#[test]
fn a_table_that_hides_processes_proves_nothing_to_a_user_and_all_to_root() {
    if !is_root() {
        // Only root can mount a table of the host's.
        return;
    }
    let (folder, _) = roots();
    let proc = folder.path().join("proc");
    fs::create_dir(&proc).unwrap();
    rustix::fs::chmod(folder.path(), 0o755.into()).unwrap();
    let name = own("hidden");
    let _process = Guarded::start(&mut emulator(&["-name", &format!("guest={name}"), "-uuid", &uuid_text(&name)]));
    // The table is mounted from outside of the container: that of the host.
    for (hidepid, user_sees) in [("invisible", "unknown"), ("noaccess", "unknown"), ("off", "alive")] {
        let mut mounted = Command::new("unshare");
        mounted.args(["-m", "/bin/bash", "-ec"]);
        let test = std::env::current_exe().unwrap();
        let asker = "\"$1\" --exact parts::process::elsewhere::asker --ignored --nocapture --test-threads=1";
        let script = format!(
            "mount -t proc -o hidepid={hidepid} proc {proc}; {asker}; \
             cp \"$1\" {folder}/asker; chmod 755 {folder}/asker; cd /; \
             setpriv --reuid 65534 --regid 65534 --clear-groups -- {folder}/asker --exact parts::process::elsewhere::asker --ignored --nocapture",
            proc = proc.display(),
            folder = folder.path().display()
        );
        mounted.args([&script, "x"]).arg(test);
        mounted.env("QUESTION", format!("{name}|{}|{}", proc.display(), folder.path().display()));
        let output = mounted.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let answers: Vec<&str> =
            said.split("answer ").skip(1).map(|rest| rest.split([':', '.']).next().unwrap()).collect();
        assert_eq!(answers, ["alive", user_sees], "{hidepid}: {said} {}", String::from_utf8_lossy(&output.stderr));
    }
}
