// SPDX-License-Identifier: GPL-2.0-or-later
//! `make install` and `make uninstall`: what they put where, that it works there, and that it can be taken away.

use crate::installed::{Installed, files_below, make, repository, said};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The names under which callers know it, below the prefix.
const LINKS: [(&str, &str); 4] = [
    ("lib/ocf/resource.d/vm-agent/VirtualDomain", "../../../../sbin/vm-agent"),
    ("lib/ocf/resource.d/vm-agent/Xen", "../../../../sbin/vm-agent"),
    ("lib/ocf/resource.d/vm-agent/vm", "../../../../sbin/vm-agent"),
    ("share/cluster/vm.sh", "../../sbin/vm-agent"),
];

fn staged(prefix: &str) -> (tempfile::TempDir, PathBuf) {
    let stage = tempfile::tempdir().unwrap();
    let drop_in = ("DROPIN", "yes");
    said(&mut make("install", &[("DESTDIR", stage.path().to_str().unwrap()), ("PREFIX", prefix), drop_in])).ok();
    let root = stage.path().join(prefix.trim_start_matches('/'));
    (stage, root)
}

/// Two agents of one name make "pcs resource create v VirtualDomain" fail, so the predecessor's name must be asked for.
#[test]
fn install_puts_its_files_in_place_and_two_more_as_drop_in() {
    let expected: Vec<PathBuf> = [
        "usr/lib/ocf/resource.d/vm-agent/VirtualDomain",
        "usr/lib/ocf/resource.d/vm-agent/Xen",
        "usr/lib/ocf/resource.d/vm-agent/vm",
        "usr/lib/systemd/system/resource-agents-deps.target.d/vm-agent.conf",
        "usr/lib/systemd/system/rgmanager.service.d/vm-agent.conf",
        "usr/libexec/vm-agent/vm-agent-by-hand",
        "usr/libexec/vm-agent/vm-agent-libvirt",
        "usr/sbin/vm-agent",
        "usr/share/bash-completion/completions/vm-agent",
        "usr/share/cluster/vm.sh",
        "usr/share/doc/vm-agent/examples/vm-agent-metrics.service",
        "usr/share/doc/vm-agent/examples/vm-agent-metrics.timer",
        "usr/share/fish/vendor_completions.d/vm-agent.fish",
        "usr/share/man/man8/vm-agent-act.8",
        "usr/share/man/man8/vm-agent-check.8",
        "usr/share/man/man8/vm-agent-look.8",
        "usr/share/man/man8/vm-agent.8",
        "usr/share/zsh/site-functions/_vm-agent",
    ]
    .map(PathBuf::from)
    .into();
    let (stage, _) = staged("/usr");
    assert_eq!(files_below(stage.path()), expected);
    let stage = tempfile::tempdir().unwrap();
    said(&mut make("install", &[("DESTDIR", stage.path().to_str().unwrap())])).ok();
    assert_eq!(files_below(stage.path()), expected[2..]);
}

#[test]
fn rgmanagers_own_agent_is_left_as_it_is_unless_its_place_is_asked_for() {
    let stage = tempfile::tempdir().unwrap();
    let folder = stage.path().join("usr/share/cluster");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("vm.sh"), "#!/bin/bash\n# the old one\n").unwrap();
    let told = said(&mut make("install", &[("DESTDIR", stage.path().to_str().unwrap())])).ok();
    assert!(told.contains("DROPIN=yes"), "{told}");
    assert!(std::fs::read_to_string(folder.join("vm.sh")).unwrap().contains("the old one"));
    assert!(!folder.join("vm.sh.rgmanager").exists());
}

#[test]
fn a_vm_sh_that_is_a_link_elsewhere_is_nobodys_to_replace_or_to_take_away() {
    let stage = tempfile::tempdir().unwrap();
    let folder = stage.path().join("usr/share/cluster");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/opt/patched/vm.sh", folder.join("vm.sh")).unwrap();
    for target in ["install", "uninstall"] {
        for drop_in in ["", "yes"] {
            let variables = [("DESTDIR", stage.path().to_str().unwrap()), ("DROPIN", drop_in)];
            let told = said(&mut make(target, &variables)).ok();
            assert!(target == "uninstall" || told.contains("a link to /opt/patched/vm.sh"), "{told}");
            assert_eq!(std::fs::read_link(folder.join("vm.sh")).unwrap(), Path::new("/opt/patched/vm.sh"));
        }
    }
}

/// A monitor that finds no program, or half of one, is a failure to Pacemaker.
#[test]
fn who_calls_it_while_it_is_installed_anew_finds_it_whole() {
    let (stage, root) = staged("/usr");
    let agent = root.join("sbin/vm-agent");
    let calls = std::thread::scope(|scope| {
        let installs = scope.spawn(|| {
            for _ in 0..10 {
                said(&mut make("install", &[("DESTDIR", stage.path().to_str().unwrap())])).ok();
            }
        });
        let mut calls = 0;
        while !installs.is_finished() {
            said(Command::new(&agent).arg("--version").env_clear()).ok();
            calls += 1;
        }
        calls
    });
    assert!(calls > 10, "{calls}");
}

#[test]
fn links_are_relative_so_that_they_hold_wherever_the_tree_lies() {
    for prefix in ["/usr", "/usr/local", "/opt/vm agent"] {
        let (_stage, root) = staged(prefix);
        for (link, target) in LINKS {
            assert_eq!(std::fs::read_link(root.join(link)).unwrap(), Path::new(target), "{prefix} {link}");
            assert_eq!(
                std::fs::canonicalize(root.join(link)).unwrap(),
                std::fs::canonicalize(root.join("sbin/vm-agent")).unwrap()
            );
        }
    }
}

#[test]
fn each_link_speaks_its_callers_language() {
    let (_stage, root) = staged("/usr");
    let meta_data = |link: &str| said(Command::new(root.join(link)).arg("meta-data").env_clear()).ok();
    let (vm_sh, of_ocf) = LINKS.split_last().unwrap();
    assert!(of_ocf.iter().all(|(link, _)| meta_data(link) == *vm_agent::callers::meta_data::OCF));
    assert_eq!(meta_data(vm_sh.0), *vm_agent::callers::meta_data::RGMANAGER);
    let version = said(Command::new(root.join("sbin/vm-agent")).arg("--version").env_clear()).ok();
    assert_eq!(version.trim(), concat!("vm-agent ", env!("CARGO_PKG_VERSION")));
}

/// What lies among the rest takes the rest into memory with it, once for each monitor that waits.
#[test]
fn what_a_monitor_runs_lies_together_in_the_agent_that_make_builds() {
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("release/vm-agent");
    assert!(built.is_file(), "run make: there is no {}", built.display());
    let sections = said(Command::new("readelf").arg("-SW").arg(built)).ok();
    let line = sections.lines().find(|line| line.contains(" .text.monitor ")).unwrap_or_else(|| panic!("{sections}"));
    let size = line.split_whitespace().skip_while(|word| *word != "PROGBITS").nth(3).unwrap();
    // Half of what it was when packaging/monitor.ld was written: by now most of its names would be of no function.
    assert!(usize::from_str_radix(size, 16).unwrap() > 300_000, "run bench/hot: {line}");
}

#[test]
fn installing_twice_is_installing_once() {
    let (stage, _) = staged("/usr");
    let once = files_below(stage.path());
    said(&mut make("install", &[("DESTDIR", stage.path().to_str().unwrap()), ("DROPIN", "yes")])).ok();
    assert_eq!(files_below(stage.path()), once);
}

#[test]
fn uninstall_removes_what_install_made_and_leaves_what_is_not_ours() {
    let (stage, root) = staged("/usr");
    let order = "lib/systemd/system/rgmanager.service.d";
    for other in ["share/cluster/ip.sh", "lib/ocf/resource.d/vm-agent/other", "sbin/other", &format!("{order}/other")] {
        std::fs::write(root.join(other), "").unwrap();
    }
    let uninstall = || said(&mut make("uninstall", &[("DESTDIR", stage.path().to_str().unwrap())])).ok();
    uninstall();
    let left = [
        "usr/lib/ocf/resource.d/vm-agent/other",
        "usr/lib/systemd/system/rgmanager.service.d/other",
        "usr/sbin/other",
        "usr/share/cluster/ip.sh",
    ];
    assert_eq!(files_below(stage.path()), left.map(PathBuf::from));
    assert!(!root.join("libexec/vm-agent").exists());
    assert!(!root.join("lib/systemd/system/resource-agents-deps.target.d").exists());
    std::fs::remove_file(root.join("lib/ocf/resource.d/vm-agent/other")).unwrap();
    uninstall();
    assert!(!root.join("lib/ocf/resource.d/vm-agent").exists());
}

/// rgmanager runs every executable file in that folder, so the old agent must not stay one.
#[test]
fn rgmanagers_own_agent_is_kept_aside_and_comes_back() {
    let stage = tempfile::tempdir().unwrap();
    let folder = stage.path().join("usr/share/cluster");
    std::fs::create_dir_all(&folder).unwrap();
    let executable = |file: &str| std::fs::metadata(folder.join(file)).unwrap().permissions().mode() & 0o111 != 0;
    std::fs::write(folder.join("vm.sh"), "#!/bin/bash\n# the old one\n").unwrap();
    std::fs::set_permissions(folder.join("vm.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        said(&mut make("install", &[("DESTDIR", stage.path().to_str().unwrap()), ("DROPIN", "yes")])).ok();
        assert!(std::fs::read_to_string(folder.join("vm.sh.rgmanager")).unwrap().contains("the old one"));
        assert!(!executable("vm.sh.rgmanager"));
        assert_eq!(std::fs::read_link(folder.join("vm.sh")).unwrap(), Path::new(LINKS[3].1));
    }
    for _ in 0..2 {
        said(&mut make("uninstall", &[("DESTDIR", stage.path().to_str().unwrap())])).ok();
        // The second time finds what is not ours, and takes it away no more.
        assert!(std::fs::read_to_string(folder.join("vm.sh")).unwrap().contains("the old one"));
    }
    assert!(executable("vm.sh"));
    assert_eq!(files_below(stage.path()), [PathBuf::from("usr/share/cluster/vm.sh")]);
    // What came since is newer than what was kept.
    said(&mut make("install", &[("DESTDIR", stage.path().to_str().unwrap()), ("DROPIN", "yes")])).ok();
    std::fs::remove_file(folder.join("vm.sh")).unwrap();
    std::fs::write(folder.join("vm.sh"), "#!/bin/bash\n# the newer one\n").unwrap();
    let told = said(&mut make("uninstall", &[("DESTDIR", stage.path().to_str().unwrap())])).ok();
    assert!(told.contains("vm.sh.rgmanager is kept") && !executable("vm.sh.rgmanager"), "{told}");
    assert!(std::fs::read_to_string(folder.join("vm.sh")).unwrap().contains("the newer one"));
}

#[test]
fn install_says_what_to_do_when_nothing_is_built() {
    let empty = tempfile::tempdir().unwrap();
    let built = format!("built={}", empty.path().display());
    let mut command = make("install", &[("DESTDIR", empty.path().to_str().unwrap())]);
    let answer = said(command.arg(built));
    assert_ne!(answer.code, 0);
    assert!(answer.err.contains("run make first"), "{answer:?}");
    assert_eq!(files_below(empty.path()), Vec::<PathBuf>::new());
}

/// libvirt's own test driver lives in the process that asks: only the worker can ask it.
#[test]
fn the_installed_agent_finds_its_worker_under_any_prefix() {
    for prefix in ["/usr", "/usr/local", "/opt/vm-agent"] {
        let host = Installed::with_the_program(prefix);
        let agent = format!("{prefix}/sbin/vm-agent");
        let answer = host.run(&[&agent, "status", "test", "--connect", "test:///default"]);
        assert_eq!(answer.code, 0, "{prefix}: {answer:?}");
        assert!(answer.out.starts_with("test: running\n"), "{prefix}: {answer:?}");
    }
}

/// The values of a setting of a unit: of its own file and of what is dropped in beside it.
fn settings(host: &Installed, unit: &str, setting: &str) -> Vec<String> {
    let files = format!("cd /usr/lib/systemd/system && cat {unit} && if cd {unit}.d 2>/dev/null; then cat *.conf; fi");
    let text = host.run(&["sh", "-c", &files]).ok();
    let values = text.lines().filter_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
    values.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// At a shutdown systemd stops units in the reverse of this order: the cluster manager, the target, the machines' scopes.
#[test]
fn at_a_nodes_shutdown_the_cluster_manager_is_stopped_before_machines_and_libvirt() {
    const TARGET: &str = "virt-guest-shutdown.target";
    crate::installed::need(&["systemd-analyze"]);
    let host = Installed::with_the_program("/usr");
    let verified = host.run(&["systemd-analyze", "verify", "--man=no", "resource-agents-deps.target"]);
    assert_eq!((verified.code, verified.err.as_str()), (0, ""), "{verified:?}");
    assert!(settings(&host, "pacemaker.service", "After").contains(&"resource-agents-deps.target".to_owned()));
    let after = settings(&host, "resource-agents-deps.target", "After");
    for daemon in ["libvirtd", "virtqemud", "virtxend", "virtlxcd", "virtproxyd"] {
        assert!(after.contains(&format!("{daemon}.service")), "{daemon}: {after:?}");
    }
    // It must be active, or its order means nothing; and libvirt names it for the scopes that it makes.
    assert!(after.contains(&TARGET.to_owned()));
    assert_eq!(settings(&host, "resource-agents-deps.target", "Wants"), [TARGET]);
    let libvirt = host.run(&["sh", "-c", &format!("grep -c {TARGET} /usr/lib/*/libvirt.so.0")]);
    assert_eq!(libvirt.out, "1\n", "{libvirt:?}");
    let dropped = |unit: &str| format!("/usr/lib/systemd/system/{unit}.d/vm-agent.conf");
    let (one, other) = (dropped("resource-agents-deps.target"), dropped("rgmanager.service"));
    assert_eq!(host.run(&["cmp", &one, &other]).code, 0);
}

#[test]
fn the_examples_of_units_are_sound_where_the_program_is_installed() {
    crate::installed::need(&["systemd-analyze"]);
    let host = Installed::with_the_program("/usr");
    let units = ["service", "timer"].map(|end| format!("/usr/share/doc/vm-agent/examples/vm-agent-metrics.{end}"));
    let verified = host.run(&["systemd-analyze", "verify", "--man=no", &units[0], &units[1]]);
    assert_eq!((verified.code, verified.err.as_str()), (0, ""), "{verified:?}");
}

#[test]
fn the_installed_manual_page_is_readable_and_has_no_warnings() {
    crate::installed::need(&["man", "groff"]);
    let (_stage, root) = staged("/usr");
    let page = root.join("share/man/man8/vm-agent.8");
    let lint = said(Command::new("groff").args(["-man", "-ww", "-Tutf8", "-z"]).arg(&page));
    assert_eq!((lint.code, lint.err.as_str()), (0, ""), "groff warns");
    let text = said(Command::new("man").arg("-l").arg(&page).env("MANPAGER", "cat").env("LC_ALL", "C")).ok();
    for word in ["NAME", "SYNOPSIS", "EXIT STATUS", "explain", "OCF_RESKEY_"] {
        assert!(text.contains(word), "the page does not say {word}:\n{text}");
    }
}

/// What is missing is installed where its names are known for certain; elsewhere it is listed, and nothing is done, unless
/// somebody asks for it.
#[test]
fn packages_are_installed_unasked_on_debian_12_alone() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let need = repository().join("packaging/need");
    let need = write("packaging/need", &std::fs::read_to_string(need).unwrap());
    write("packaging/debian-packages", "[demo]\nno-such-package  no-such-program  # nobody has it\n");
    write("Cargo.toml", "rust-version = \"1.88\"\n");
    write("bin/cargo", "#!/bin/sh\necho cargo 1.95.0\n");
    write("bin/apt-get", "#!/bin/sh\nprintf '%s ' \"$@\" >>\"$CALLED\"\n");
    let called = folder.path().join("called");
    let run = |id: &str, version: &str, options: &[&str]| {
        let release = write("os-release", &format!("ID={id}\nVERSION_ID=\"{version}\"\n"));
        let _ = std::fs::remove_file(&called);
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", "mount --bind \"$0\" /etc/os-release && exec \"$@\""]).arg(release).arg(&need);
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.path().join("bin").display());
        let answer = said(command.args(options).arg("demo").env_clear().env("PATH", path).env("CALLED", &called));
        (answer.code, std::fs::read_to_string(&called).unwrap_or_default(), answer.err)
    };
    for (id, version) in [("debian", "13"), ("ubuntu", "24.04"), ("fedora", "43")] {
        let (code, called, told) = run(id, version, &[]);
        assert_eq!((code, called.as_str()), (1, ""), "{id} {version}: {told}");
        assert!(told.contains("no-such-package") && told.contains("make deps"), "{told}");
    }
    for (version, options) in [("12", [].as_slice()), ("13", &["--install"])] {
        let (_, called, told) = run("debian", version, options);
        assert!(called.contains("install -y --no-install-recommends no-such-package"), "{version}: {called} {told}");
    }
}
