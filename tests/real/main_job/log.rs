// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the log goes, for each caller.

use crate::common::*;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// The host's /dev/log, with this test as its syslog.
pub fn syslog(host: &Host) -> UnixDatagram {
    let process = host.processes(|_| true).into_iter().next().unwrap();
    let path = format!("/proc/{}/root/dev/log", process.pid);
    let _ = std::fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn next_line(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// All that has come and was not read yet.
pub fn waiting_lines(socket: &UnixDatagram) -> String {
    socket.set_nonblocking(true).unwrap();
    let mut text = String::new();
    let mut buffer = [0; 2048];
    while let Ok(length) = socket.recv(&mut buffer) {
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        text.push('\n');
    }
    text
}

fn text(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn pacemakers_channels_get_a_line_for_each_action_and_none_for_a_monitor_that_finds_all_well() {
    let host = Host::up();
    let vm = host.guest("a").option("--variant", "none").written();
    let (socket, file) = (syslog(&host), host.shared().join("ha.log"));
    let channels = |call: Call<'_>| call.var("HA_LOGFACILITY", "local3").var("HA_LOGFILE", &file).gives(0);
    let answer = channels(vm.call(Pacemaker, "start"));
    assert!(answer.stderr.contains("INFO: start: 'a' was started"), "{answer}");
    // local3 is facility 19, info is severity 6.
    let line = next_line(&socket);
    assert!(line.starts_with("<158>vm(") && line.contains("INFO: start: 'a' was started"), "{line}");
    let lines = || text(&file).lines().count();
    assert!(lines() == 1 && text(&file).contains("INFO: start: 'a' was started"), "{}", text(&file));
    channels(vm.call(Pacemaker, "monitor").recurring());
    assert_eq!(lines(), 1, "{}", text(&file));
    channels(vm.call(Pacemaker, "kill"));
    assert_eq!(lines(), 2, "{}", text(&file));
    assert!(next_line(&socket).contains("kill: 'a' was destroyed"));
}

#[test]
fn a_logger_that_hangs_or_a_log_that_cannot_be_written_costs_little() {
    let host = Host::up();
    let vm = host.guest("a").option("--variant", "none").written();
    let hanging = host.script("ha_logger", "sleep 60");
    host.run("ln", &["-sf", hanging.to_str().unwrap(), "/usr/sbin/ha_logger"]);
    let call = vm.call(Pacemaker, "start").var("HA_use_logd", "yes").var("HA_LOGFILE", "/nowhere/ha.log");
    call.timeout(20.0).gives(0).within(12.0);
    assert!(host.processes(|args| args.iter().any(|arg| arg.ends_with(b"ha_logger"))).is_empty());
}

#[test]
fn a_log_file_and_a_trace_on_storage_that_hangs_hold_no_action_up_and_are_told_of() {
    let host = Host::up();
    let vm = host.guest("a").option("--variant", "none").written();
    let storage = Hanging::mounted(&host);
    let names = ["ha.log", "trace"];
    let [log, trace] = names.map(|name| storage.point.join(name));
    let logged = |action: &str| {
        let call = vm.call(Pacemaker, action).var("HA_LOGFILE", &log).var("OCF_TRACE_RA", "1");
        call.var("OCF_TRACE_FILE", &trace).timeout(20.0).gives(0)
    };
    let answer = logged("start");
    assert!(!answer.stderr.contains("cannot be written"), "{answer}");
    for name in names {
        let text = text(&storage.folder.join(name));
        assert!(text.contains("INFO: start: 'a' was started"), "{name}: {text}");
    }
    storage.hangs("all");
    let answer = logged("kill").within(10.0);
    for name in names {
        let told = format!("/{name} cannot be written: its storage does not answer");
        assert!(answer.stderr.contains(&told), "{answer}");
    }
    assert!(!vm.lives());
    // Who waits in the kernel cannot be ended, and ends with what it waits for.
    storage.answers();
    let writes = |args: &[Vec<u8>]| args.iter().any(|arg| arg == b"__log");
    until(10, "the end of who wrote", || host.processes(writes).is_empty().then_some(()));
}

#[test]
fn rgmanagers_log_is_clulog_where_it_is_installed_and_syslog_elsewhere() {
    let host = Host::up();
    let vm = host.guest("a").option("--variant", "none").written();
    let socket = syslog(&host);
    vm.call(Rgmanager, "start").gives(0);
    let line = next_line(&socket);
    assert!(line.starts_with("<30>vm[") && line.contains("INFO: start: 'a' was started"), "{line}");
    let file = host.shared().join("clulog.txt");
    let clulog = host.script("clulog", &format!("echo \"$@\" >>{}", file.display()));
    host.run("ln", &["-sf", clulog.to_str().unwrap(), "/usr/sbin/clulog"]);
    vm.call(Rgmanager, "kill").gives(0);
    assert!(text(&file).starts_with("-m vm -s 6 kill: 'a' was destroyed"), "{}", text(&file));
}

#[test]
fn what_a_question_says_each_time_is_logged_when_it_is_new() {
    let host = Host::up();
    let vm = host.guest("a").option("--variant", "none").written();
    let log = |call: Call<'_>, code: i32| {
        let answer = call.gives(code);
        answer.stderr.lines().filter(|line| !line.starts_with("ocf-exit-reason:")).collect::<Vec<_>>().join("\n")
    };
    let asks =
        |code: i32| log(vm.call(Rgmanager, "status").param("migration_speed", "1G").param("no_kill", "perhaps"), code);
    let first = asks(7);
    assert!(first.contains("INFO: status: 'a' is not running") && first.contains("INFO: no_kill: "), "{first}");
    assert_eq!((asks(7), asks(7)), (String::new(), String::new()));
    vm.call(Rgmanager, "start").gives(0);
    assert_eq!((asks(0), asks(0)), (String::new(), String::new()));
    vm.destroy();
    let again = asks(7);
    assert!(again.contains("INFO: status: 'a' is not running") && !again.contains("no_kill"), "{again}");
    // To Pacemaker, which watches only what it has started, it is an error each time.
    for _ in 0..2 {
        let line = log(vm.call(Pacemaker, "monitor").recurring(), 7);
        assert!(line.contains("ERROR: monitor: 'a' is not running"), "{line}");
    }
}

#[test]
fn what_a_person_did_is_on_record() {
    let host = Host::up();
    let vm = host.guest("a").option("--variant", "none").written();
    let socket = syslog(&host);
    vm.call(Human, "start").var("SUDO_USER", "alice").gives(0);
    let line = next_line(&socket);
    // daemon is facility 3, notice is severity 5.
    assert!(line.starts_with("<29>vm-agent["), "{line}");
    assert!(line.contains(": root, by sudo alice: start 'a': answer 0: 'a' was started"), "{line}");
    vm.call(Human, "status").gives(0);
    vm.call(Human, "explain stop").gives(0);
    vm.call(Human, "kill").arg("--force").gives(0);
    let line = next_line(&socket);
    assert!(line.contains(": root: kill 'a' --force: answer 0: 'a' was destroyed"), "{line}");
    assert_eq!(waiting_lines(&socket), "");
}

#[test]
fn a_trace_is_left_where_other_agents_leave_theirs() {
    let host = Host::up();
    let vm = host.guest("a").option("--variant", "none").written();
    let folder = host.shared().join("traces");
    let traced =
        |dialect| vm.call(dialect, "start").param("trace_ra", "1").var("OCF_RESKEY_trace_dir", &folder).gives(0);
    let answer = traced(Pacemaker);
    assert!(!answer.stderr.contains("DEBUG"), "{answer}");
    let files: Vec<_> = std::fs::read_dir(folder.join("vm")).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with("a.start.20"), "{file:?}");
    let trace = text(file);
    for part in
        ["start is asked for by pacemaker", "name='a'", "DEBUG: step: create it", "INFO: start: 'a' was started"]
    {
        assert!(trace.contains(part), "no '{part}' in {trace}");
    }
    // By default it is where all agents leave theirs; one that cannot be made hinders nothing.
    vm.call(Pacemaker, "monitor").var("OCF_TRACE_RA", "yes").gives(0);
    assert!(host.run("ls", &["/var/lib/heartbeat/trace_ra/vm"]).starts_with("a.monitor.20"));
    vm.call(Pacemaker, "monitor").var("OCF_TRACE_RA", "yes").var("OCF_TRACE_FILE", "/nowhere/trace").gives(0);
}
