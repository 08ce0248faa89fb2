// SPDX-License-Identifier: GPL-2.0-or-later
//! What this host's files and process table tell of it: ssh's files, libvirt's settings and daemons, systemd's order, ports,
//! certificates and the CPU. What cannot be read says nothing.

use crate::callers::operator::doctor::facts::{CertificateSeen, FilesSeen, SshPath};
use crate::callers::qemu_conf::QemuConf;
use crate::callers::shutdown;
use crate::cluster::{self, Manager};
use crate::model::params::Migration;
use crate::model::uri::Uri;
use crate::sys::child::{Child, find_program};
use crate::sys::connecting;
use crate::sys::proc::named_here;
use crate::sys::time::Deadline;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{read_dir, read_to_string};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// libvirt's daemons for machines, the monolithic one first.
const DAEMONS: [&str; 4] = ["libvirtd", "virtqemud", "virtxend", "virtlxcd"];
/// A certificate that ends within so many seconds is told of: 30 days.
const SOON: &str = "2592000";

/// Looks; `arrivals` are how migrations come here.
pub(super) fn look(root: &Path, arrivals: &[Arrival], until: Deadline) -> FilesSeen {
    let conf = QemuConf::read(root);
    let (from, to) = conf.ports();
    FilesSeen {
        ssh: ssh_paths(root),
        root_login: root_login(root),
        guests_service: shutdown::ends_guests(root),
        auto_shutdown: conf.ends_machines().into_iter().map(str::to_owned).collect(),
        no_ordering: lacks_ordering(root, cluster::here().and_then(cluster::Software::manager)),
        daemons: daemons(&root.join("proc")),
        lock_manager: conf.value("lock_manager").filter(|it| *it != "nop").map(str::to_owned),
        ports: u32::from(to.saturating_sub(from)) + 1,
        ports_taken: taken(&root.join("proc"), from, to),
        certificates: wanted_certificates(&conf, arrivals).into_iter().map(|it| certificate(root, it, until)).collect(),
        cpu_flags: cpu_flags(&read_to_string(root.join("proc/cpuinfo")).unwrap_or_default()),
    }
}

/// By which name a migration connects here, and for what it uses TLS.
pub(super) struct Arrival {
    host: String,
    by_tls: bool,
    memory_by_tls: bool,
}

impl Arrival {
    pub(super) fn new(uri: Option<&Uri>, migration: &Migration) -> Self {
        let host = uri.and_then(|uri| uri.host.clone()).unwrap_or_default();
        let by_tls = uri.is_some_and(|uri| uri.transport.as_deref() == Some("tls"));
        Self { host, by_tls, memory_by_tls: migration.tls }
    }

    pub(super) const fn needs_certificates(&self) -> bool {
        self.by_tls || self.memory_by_tls
    }
}

/// Root's home.
pub(super) fn home(root: &Path) -> PathBuf {
    let passwd = read_to_string(root.join("etc/passwd")).unwrap_or_default();
    let of_root = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let home = of_root.into_iter().find(|fields| fields.get(2) == Some(&"0")).and_then(|fields| fields.get(5).copied());
    PathBuf::from(home.filter(|home| home.starts_with('/')).unwrap_or("/root"))
}

fn ssh_paths(root: &Path) -> Vec<SshPath> {
    let home = home(root);
    let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let selinux = root.join("sys/fs/selinux/enforce").exists();
    let folder = home.join(".ssh");
    let mut paths = vec![home, folder.clone(), folder.join("authorized_keys"), folder.join("authorized_keys2")];
    let others = read_dir(below(&folder)).into_iter().flatten().flatten().map(|entry| folder.join(entry.file_name()));
    paths.extend(others.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("id_"))));
    let seen = |path: PathBuf| {
        let at = below(&path);
        let found = std::fs::metadata(&at).ok()?;
        let label = if selinux { label(&at) } else { None };
        Some(SshPath { path: path.display().to_string(), mode: found.mode() & 0o7777, uid: found.uid(), label })
    };
    paths.into_iter().filter_map(seen).collect()
}

/// What sshd's configuration says of root's logins to all: the first word counts, and a drop-in's comes where its folder is
/// included.
fn root_login(root: &Path) -> Option<String> {
    let text = read_to_string(root.join("etc/ssh/sshd_config")).ok()?;
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.trim().to_ascii_lowercase().starts_with("include /etc/ssh/sshd_config.d/") {
            let folder = read_dir(root.join("etc/ssh/sshd_config.d")).into_iter().flatten().flatten();
            let mut files: Vec<PathBuf> = folder.map(|entry| entry.path()).collect();
            files.retain(|file| file.extension().is_some_and(|end| end == "conf"));
            files.sort();
            lines.extend(files.iter().filter_map(|file| first_root_login(&read_to_string(file).ok()?)));
        } else {
            lines.push(line.to_owned());
        }
    }
    let found = first_root_login(&lines.join("\n"))?;
    found.split_whitespace().nth(1).map(str::to_ascii_lowercase)
}

/// The first line that says so to all.
fn first_root_login(text: &str) -> Option<String> {
    let word = |line: &str| line.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    let of_all = text.lines().take_while(|line| word(line) != "match");
    of_all.into_iter().find(|line| word(line) == "permitrootlogin").map(str::to_owned)
}

fn label(path: &Path) -> Option<String> {
    let mut buffer = [0_u8; 256];
    let length = rustix::fs::getxattr(path, c"security.selinux", &mut buffer).ok()?;
    let text = String::from_utf8_lossy(buffer.get(..length)?).trim_end_matches('\0').to_owned();
    Some(text)
}

/// Whether a cluster manager runs below a systemd that stops machines beside it.
fn lacks_ordering(root: &Path, manager: Option<Manager>) -> bool {
    let folder = match manager {
        Some(Manager::Pacemaker) => "resource-agents-deps.target.d",
        Some(Manager::Rgmanager) => "rgmanager.service.d",
        None => return false,
    };
    if !root.join("run/systemd/system").exists() {
        return false;
    }
    let places = ["etc", "run", "usr/lib", "lib"].map(|place| root.join(place).join("systemd/system").join(folder));
    let files = places.iter().flat_map(read_dir).flatten().flatten().map(|entry| entry.path());
    !files.into_iter().any(|file| read_to_string(file).is_ok_and(|text| text.contains("virt-guest-shutdown.target")))
}

fn daemons(proc: &Path) -> Vec<String> {
    let running: BTreeSet<String> =
        named_here(proc, |name| DAEMONS.contains(&name)).into_iter().map(|(_, name)| name).collect();
    running.into_iter().collect()
}

/// How many ports of a range are listened at.
fn taken(proc: &Path, from: u16, to: u16) -> u32 {
    let listening = connecting::listening(proc).into_iter().map(|socket| socket.at.port());
    let ports: BTreeSet<u16> = listening.filter(|port| (from..=to).contains(port)).collect();
    u32::try_from(ports.len()).unwrap_or(u32::MAX)
}

/// A certificate that is needed, and the name that it must bear.
type Wanted = (String, Option<String>);

/// Those that these migrations need, each once.
fn wanted_certificates(conf: &QemuConf, arrivals: &[Arrival]) -> Vec<Wanted> {
    let folders = ["migrate_tls_x509_cert_dir", "default_tls_x509_cert_dir"];
    let of_qemu = folders.iter().find_map(|key| conf.value(key)).unwrap_or("/etc/pki/qemu").trim_start_matches('/');
    let mut wanted: Vec<Wanted> = Vec::new();
    for it in arrivals {
        let name = Some(it.host.clone()).filter(|host| !host.is_empty());
        if it.by_tls {
            wanted.push(("etc/pki/CA/cacert.pem".into(), None));
            wanted.push(("etc/pki/libvirt/servercert.pem".into(), name.clone()));
            wanted.push(("etc/pki/libvirt/clientcert.pem".into(), None));
        }
        if it.memory_by_tls {
            wanted.push((format!("{of_qemu}/ca-cert.pem"), None));
            wanted.push((format!("{of_qemu}/server-cert.pem"), name));
        }
    }
    wanted.sort();
    wanted.dedup();
    wanted
}

fn certificate(root: &Path, (path, name): Wanted, until: Deadline) -> CertificateSeen {
    let file = root.join(&path);
    let mut seen = CertificateSeen { path: format!("/{path}"), there: file.is_file(), ends: None, names_host: None };
    let Some(openssl) = find_program("openssl").filter(|_| seen.there) else { return seen };
    // Of several questions at once it answers the first alone.
    let ask = |question: &[&str]| {
        let mut args: Vec<OsString> = ["x509", "-noout", "-in"].map(OsString::from).into();
        args.push(file.clone().into());
        args.extend(question.iter().map(OsString::from));
        Some(String::from_utf8_lossy(&Child::new(&openssl).args(args).run(until).ok()?.stdout).into_owned())
    };
    seen.ends = ask(&["-enddate", "-checkend", SOON]).as_deref().and_then(near_end);
    if let Some(name) = &name {
        let question = if name.parse::<IpAddr>().is_ok() { "-checkip" } else { "-checkhost" };
        seen.names_host = ask(&[question, name]).as_deref().and_then(is_for);
    }
    seen
}

/// When a certificate ends, in openssl's words, if that is soon.
fn near_end(said: &str) -> Option<String> {
    let end = said.lines().find_map(|line| line.strip_prefix("notAfter="))?;
    said.lines().any(|line| line.trim() == "Certificate will expire").then(|| end.to_owned())
}

/// Whether it is for the name that was asked about.
fn is_for(said: &str) -> Option<bool> {
    let no = said.contains("does NOT match certificate");
    (no || said.contains("does match certificate")).then_some(!no)
}

/// The first processor's flags.
fn cpu_flags(text: &str) -> Vec<String> {
    let value = |key: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|its| its.trim() == key))?;
        line.split_once(':').map(|(_, value)| value.trim())
    };
    let flags = value("flags").or_else(|| value("Features")).unwrap_or_default();
    flags.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), text).unwrap();
    }

    #[test]
    fn ports_that_are_listened_at_are_taken() {
        let root = tempfile::tempdir().unwrap();
        let table = |name: &str, sockets: [(&str, &str); 2]| {
            let line = |(local, state): (&str, &str)| format!("0: {local} {local} {state} 0:0 0:0 0 0 0 7 2\n");
            write(root.path(), &format!("proc/self/net/{name}"), &format!("  sl\n{}", sockets.map(line).concat()));
        };
        table("tcp", [("00000000:C000", "0A"), ("00000000:C001", "01")]);
        let nowhere = "0".repeat(32);
        table("tcp6", [(&format!("{nowhere}:C000"), "0A"), (&format!("{nowhere}:0016"), "0A")]);
        assert_eq!(taken(&root.path().join("proc"), 49152, 49215), 1);
    }

    #[test]
    fn a_cluster_below_systemd_needs_its_order() {
        let root = tempfile::tempdir().unwrap();
        let lacks = || lacks_ordering(root.path(), Some(Manager::Pacemaker));
        assert!(!lacks());
        std::fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
        assert!(lacks() && !lacks_ordering(root.path(), None));
        let file = "usr/lib/systemd/system/resource-agents-deps.target.d/vm-agent.conf";
        write(root.path(), file, include_str!("../../../../../packaging/systemd/vm-agent.conf"));
        assert!(!lacks() && lacks_ordering(root.path(), Some(Manager::Rgmanager)));
    }

    #[test]
    fn sshds_first_word_on_root_counts() {
        let root = tempfile::tempdir().unwrap();
        let says = |text: &str| {
            write(root.path(), "etc/ssh/sshd_config", text);
            root_login(root.path())
        };
        assert_eq!(says("#PermitRootLogin yes\nMatch User x\n PermitRootLogin no\n"), None);
        assert_eq!(says("Port 22\npermitrootlogin No\nPermitRootLogin yes\n").as_deref(), Some("no"));
        write(root.path(), "etc/ssh/sshd_config.d/50.conf", "PermitRootLogin prohibit-password\n");
        let text = "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\n";
        assert_eq!(says(text).as_deref(), Some("prohibit-password"));
    }

    #[test]
    fn each_way_in_wants_its_certificates_once() {
        let arrival = |host: &str, by_tls, memory_by_tls| Arrival { host: host.to_owned(), by_tls, memory_by_tls };
        let root = tempfile::tempdir().unwrap();
        let wanted = |arrivals: &[Arrival]| wanted_certificates(&QemuConf::read(root.path()), arrivals);
        assert!(wanted(&[arrival("n1", false, false)]).is_empty());
        let both = [arrival("n1", true, false), arrival("n1", true, true), arrival("n1-mig", true, false)];
        let names = |path: &str| {
            let all = wanted(&both).into_iter().filter(|(its, _)| its.ends_with(path));
            all.map(|(_, name)| name.unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(names("libvirt/servercert.pem"), ["n1", "n1-mig"]);
        assert_eq!((names("clientcert.pem"), names("qemu/server-cert.pem")), (vec![String::new()], vec!["n1".into()]));
    }

    #[test]
    fn openssls_words_are_understood() {
        let far = "notAfter=Jan  1 00:00:00 2046 GMT\nCertificate will not expire\n";
        let near = "notAfter=Dec  1 00:00:00 2026 GMT\nCertificate will expire\n";
        assert_eq!((near_end(far), near_end(near).as_deref()), (None, Some("Dec  1 00:00:00 2026 GMT")));
        assert_eq!(is_for("Hostname n2 does match certificate\n"), Some(true));
        assert_eq!(is_for("IP 1.2.3.4 does NOT match certificate\n"), Some(false));
        assert_eq!(is_for(""), None);
    }

    #[test]
    fn the_files_of_roots_ssh_are_told_with_their_modes() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "etc/passwd", "daemon:x:1:1::/:/x\nroot:x:0:0:root:/home/root:/bin/sh\n");
        write(root.path(), "home/root/.ssh/authorized_keys", "ssh-ed25519 A\n");
        write(root.path(), "home/root/.ssh/id_ed25519", "");
        let paths: Vec<String> = ssh_paths(root.path()).into_iter().map(|it| it.path).collect();
        assert_eq!(
            paths,
            ["/home/root", "/home/root/.ssh", "/home/root/.ssh/authorized_keys", "/home/root/.ssh/id_ed25519"]
        );
        assert_eq!(cpu_flags("model name\t: X\nflags\t\t: a b\n\nmodel name\t: X\n"), ["a", "b"]);
    }
}
