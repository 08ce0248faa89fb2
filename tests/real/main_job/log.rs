// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the log goes, for each caller.

use crate::common::*;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// The host's /dev/log, with this test as its syslog.
fn syslog(host: &Host) -> UnixDatagram {
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
