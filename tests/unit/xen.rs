// SPDX-License-Identifier: GPL-2.0-or-later
//! What a Xen host says of a domain: a xenstored that is made up, and xl's list.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;
use vm_agent::hypervisor::xen::driver_log::cause_in;
use vm_agent::hypervisor::xen::{
    DomainSight, Listed, failure, find, has_lost_its_hardware, is_dom0, keeper, list_of, word,
};
use vm_agent::model::facts::Place;
use vm_agent::model::facts::{Libvirt, Silence, SilenceKind};
use vm_agent::model::presence::Presence;
use vm_agent::sys::roots::Roots;
use vm_agent::sys::time::{Deadline, from_utc};

const HEAD: &str = "Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label\n\
    Domain-0                                     0   640     1     r-----      70.1 00000000-0000-0000-0000-000000000000        -                -\n";
const WEB: &str = "01234567-89ab-cdef-0123-456789abcdef";
const OTHER: &str = "11111111-89ab-cdef-0123-456789abcdef";

fn uuid(text: &str) -> Option<[u8; 16]> {
    vm_agent::sys::text::parse_uuid(text)
}

fn line(name: &str, id: u32, letters: &str, uuid: &str, reason: &str) -> String {
    format!("{name:<40} {id:>5} {:>5} {:>5}     {letters}  {:>8.1} {uuid} {reason:>8} {:>16}\n", 96, 1, 3.3, "-")
}

fn listed(lines: &str) -> Vec<Listed> {
    list_of(&format!("{HEAD}{lines}")).unwrap()
}

/// What a xenstored answers: to a kind of request and its payload.
type Store = BTreeMap<(u32, String), Vec<u8>>;

/// Domains by number, name, UUID and whether they are introduced.
fn store(domains: &[(u32, Option<&str>, &str, bool)]) -> Store {
    let mut store = Store::new();
    let ids: Vec<String> = std::iter::once(0).chain(domains.iter().map(|one| one.0)).map(|id| id.to_string()).collect();
    store.insert((1, "/local/domain".into()), (ids.join("\0") + "\0").into_bytes());
    for (id, name, uuid, introduced) in domains {
        if let Some(name) = name {
            store.insert((2, format!("/local/domain/{id}/name")), name.as_bytes().to_vec());
        }
        store.insert((2, format!("/local/domain/{id}/vm")), format!("/vm/{uuid}").into_bytes());
        store.insert((17, id.to_string()), if *introduced { b"T\0".to_vec() } else { b"F\0".to_vec() });
    }
    store
}

/// A host whose xenstored `serves` each connection.
fn host(serves: impl Fn(UnixStream) + Send + 'static) -> (tempfile::TempDir, Roots) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("xenstored")).unwrap();
    let listener = UnixListener::bind(folder.path().join("xenstored/socket")).unwrap();
    std::thread::spawn(move || listener.incoming().for_each(|stream| serves(stream.unwrap())));
    let roots = dom0(&folder);
    (folder, roots)
}

/// A host that says that it is Xen's first domain.
fn dom0(folder: &tempfile::TempDir) -> Roots {
    std::fs::create_dir(folder.path().join("xen")).unwrap();
    std::fs::write(folder.path().join("xen/capabilities"), "control_d\n").unwrap();
    Roots { run: folder.path().into(), proc: folder.path().into(), sys: folder.path().into(), ..Roots::default() }
}

fn answers(store: &Store, mut stream: UnixStream) {
    let mut header = [0; 16];
    while stream.read_exact(&mut header).is_ok() {
        let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
        let mut payload = vec![0; word(12) as usize];
        stream.read_exact(&mut payload).unwrap();
        let path = String::from_utf8(payload[..payload.len() - 1].to_vec()).unwrap();
        let (kind, answer) = match store.get(&(word(0), path)) {
            Some(answer) => (word(0), answer.clone()),
            None => (16, b"ENOENT\0".to_vec()),
        };
        let reply = [kind, word(4), 0, answer.len() as u32];
        let mut bytes: Vec<u8> = reply.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(answer);
        // In pieces, as a stream may come.
        for piece in bytes.chunks(7) {
            stream.write_all(piece).unwrap();
        }
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

/// What is found of `web`, where the hypervisor's list has these lines, or cannot be had.
fn found(domains: &[(u32, Option<&str>, &str, bool)], certain: bool, lines: Option<&str>) -> DomainSight {
    let store = store(domains);
    let (_folder, roots) = host(move |stream| answers(&store, stream));
    let mut list = || lines.map(listed).ok_or(Silence::refused("xl is not installed"));
    find(&roots, "web", uuid(WEB), certain, soon(), &mut list)
}

fn there(id: u32, name: &str, incoming: bool) -> DomainSight {
    DomainSight::There { id, name: name.into(), incoming }
}

#[test]
fn a_domain_is_found_by_its_name_or_its_uuid_and_only_the_whole_name_counts() {
    assert_eq!(found(&[(3, Some("web"), OTHER, true)], false, None), there(3, "web", false));
    assert_eq!(found(&[(3, Some("old"), WEB, true)], false, None), there(3, "old", false));
    let others = [(3, Some("web2"), OTHER, true), (4, Some("my web"), OTHER, true), (5, Some("Web"), OTHER, true)];
    assert_eq!(found(&others, false, None), DomainSight::Absent);
    assert_eq!(found(&[], false, None), DomainSight::Absent);
}

#[test]
fn what_a_migration_makes_of_a_name_is_known_and_the_machine_itself_comes_first() {
    assert_eq!(found(&[(3, Some("web--incoming"), OTHER, true)], false, None), there(3, "web--incoming", true));
    let both = [(3, Some("web--incoming"), OTHER, true), (4, Some("web"), OTHER, true)];
    assert_eq!(found(&both, false, None), there(4, "web", false));
}

#[test]
fn what_a_domain_left_behind_in_xenstore_is_no_domain_if_the_hypervisor_says_so() {
    let left = [(3, Some("web"), WEB, false)];
    assert_eq!(found(&left, false, Some("")), DomainSight::Absent);
    assert_eq!(found(&left, false, Some(&line("web", 3, "--p---", WEB, "-"))), there(3, "web", false));
    assert!(matches!(found(&left, false, None), DomainSight::MayBe(_)));
}

#[test]
fn a_xenstored_that_was_started_anew_proves_nothing() {
    let nameless = line("(null)", 7, "-b----", WEB, "-");
    assert!(matches!(found(&[], true, Some(&nameless)), DomainSight::MayBe(_)));
    // It is another machine's, or is being taken down.
    assert_eq!(found(&[], true, Some(&line("(null)", 7, "-b----", OTHER, "-"))), DomainSight::Absent);
    assert_eq!(found(&[], true, Some(&line("(null)", 7, "---s-d", WEB, "0"))), DomainSight::Absent);
    // Nobody vouches for it.
    assert!(matches!(found(&[], true, None), DomainSight::MayBe(_)));
    // xenstored knows of a domain, and not which.
    assert!(matches!(found(&[(7, None, WEB, true)], false, None), DomainSight::There { .. } | DomainSight::MayBe(_)));
    assert!(matches!(found(&[(7, None, "x", true)], false, None), DomainSight::MayBe(_)));
}

#[test]
fn a_xenstored_that_is_silent_dead_or_mad_never_says_that_there_is_none() {
    let look = |roots: &Roots, deadline| find(roots, "web", None, false, deadline, &mut || Ok(Vec::new()));
    let nobody = tempfile::tempdir().unwrap();
    let roots = dom0(&nobody);
    assert!(matches!(look(&roots, soon()), DomainSight::MayBe(why) if why.contains("xenstored does not run")));
    let (_folder, roots) = host(std::mem::forget);
    let brief = Deadline::after(Duration::from_millis(200));
    assert!(matches!(look(&roots, brief), DomainSight::MayBe(why) if why.contains("does not answer")));
    let (_folder, roots) = host(drop);
    assert!(matches!(look(&roots, soon()), DomainSight::MayBe(_)));
    for refusal in ["EACCES", "E2BIG", "EAGAIN"] {
        let (_folder, roots) = host(move |mut stream| {
            let _ = stream.read(&mut [0; 64]);
            let reply = [16, 1, 0, refusal.len() as u32 + 1];
            let mut bytes: Vec<u8> = reply.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
            bytes.extend(format!("{refusal}\0").into_bytes());
            let _ = stream.write_all(&bytes);
        });
        assert!(matches!(look(&roots, soon()), DomainSight::MayBe(_)), "{refusal}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_not_xenstores_protocol_is_no_absence(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..20u32) {
        // Whatever follows a header that may be right.
        let mut all: Vec<u8> = [kind, 1, 0, 40].iter().flat_map(|word| word.to_ne_bytes()).collect();
        all.extend(&bytes);
        for answer in [bytes, all] {
            let (_folder, roots) = host(move |mut stream| {
                let _ = stream.read(&mut [0; 64]);
                let _ = stream.write_all(&answer);
            });
            let deadline = Deadline::after(Duration::from_millis(300));
            let seen = find(&roots, "web", None, false, deadline, &mut || Err(Silence::refused("no")));
            prop_assert_ne!(seen, DomainSight::Absent);
        }
    }

    #[test]
    fn a_list_of_any_text_is_read_or_refused(lines in "([a-z ()-]{0,12} +[0-9]{1,4} +[0-9]{1,4} +1 +[rbpscd-]{6} +1.0 01234567-89ab-cdef-0123-456789abcdef +[0-9-] +-\n|[ -~]{0,60}\n){0,4}") {
        if let Ok(listed) = list_of(&format!("{HEAD}{lines}")) {
            prop_assert!(listed.iter().all(|one| one.id > 0));
        }
    }
}

/// xl's word on `web`, in the words of presence; nothing, where it says nothing.
fn said(lines: &str) -> Option<(Libvirt, DomainSight)> {
    word(&listed(lines), "web", uuid(WEB)).ok().map(|(lookup, sight)| (Libvirt::told(lookup), sight))
}

#[test]
fn each_state_of_xls_list_has_its_meaning_and_no_letter_is_a_live_domain() {
    for (letters, reason, expected) in [
        ("r-----", "-", "running"),
        ("-b----", "-", "running"),
        ("------", "-", "running"),
        ("--p---", "-", "paused by request"),
        ("-bp---", "-", "paused by request"),
        ("---s--", "0", "shut off (the guest shut down)"),
        ("---s--", "1", "shut off (the guest shut down)"),
        ("---s--", "2", "paused for a migration"),
        ("---sc-", "3", "crashed"),
        ("---s--", "4", "crashed"),
        ("--ps-d", "0", "shut off (destroyed)"),
    ] {
        let Some((Libvirt::Domain(domain), sight)) = said(&line("web", 5, letters, WEB, reason)) else {
            panic!("{letters} is not understood")
        };
        assert_eq!(domain.state.to_string(), expected, "{letters} {reason}");
        assert_eq!(sight == DomainSight::Absent, letters.ends_with('d'), "{letters}");
    }
}

#[test]
fn a_name_with_blanks_or_of_any_length_is_read_whole() {
    let long = "a very long name, far longer than its column is wide";
    let lines = [
        line("a b", 5, "-b----", WEB, "-"),
        line(long, 6, "-b----", OTHER, "-"),
        line("3 96 1", 7, "r-----", OTHER, "-"),
    ];
    let names: Vec<_> = listed(&lines.concat()).into_iter().map(|one| (one.id, one.name.unwrap())).collect();
    assert_eq!(names, [(5, "a b".into()), (6, long.into()), (7, "3 96 1".into())]);
}

#[test]
fn the_list_is_no_evidence_where_a_domain_has_no_name_or_it_is_not_whole() {
    assert!(matches!(said("").unwrap().0, Libvirt::NoDomain));
    assert!(said(&line("(null)", 5, "-b----", WEB, "-")).is_none());
    assert!(said(&line("(null)", 5, "-b----", OTHER, "-")).is_some());
    for text in ["", "Name", &HEAD[..HEAD.find('\n').unwrap() + 1], &format!("{HEAD}cut off"), "xl: error"] {
        assert!(list_of(text).is_err(), "{text}");
    }
}

#[test]
fn a_placeholder_is_arriving_and_what_left_is_not_running_here() {
    let (arriving, sight) = said(&line("web--incoming", 5, "--p---", WEB, "-")).unwrap();
    assert_eq!(sight, there(5, "web--incoming", true));
    assert!(
        matches!(Place::by_word(arriving).presence(), Presence::Active(domain) if domain.motion == vm_agent::model::state::Motion::Arriving)
    );
    let (left, _) = said(&line("web--migratedaway", 5, "---s--", WEB, "2")).unwrap();
    assert!(matches!(left, Libvirt::Domain(domain) if domain.state.to_string() == "paused for a migration"));
}

#[test]
fn only_a_host_without_xen_is_known_to_be_no_dom0() {
    let host = tempfile::tempdir().unwrap();
    let (proc, sys) = (host.path().join("proc"), host.path().join("sys"));
    let roots = Roots { proc: proc.clone(), sys: sys.clone(), ..Roots::default() };
    let write = |path: std::path::PathBuf, text: &str| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    assert_eq!(is_dom0(&roots), Some(false));
    // It runs on Xen, and the file system that says as what is not mounted.
    write(sys.join("hypervisor/type"), "xen\n");
    assert_eq!(is_dom0(&roots), None);
    for (features, expected) in [("00002f05\n", Some(true)), ("00002705\n", Some(false)), ("?\n", None)] {
        write(sys.join("hypervisor/properties/features"), features);
        assert_eq!(is_dom0(&roots), expected, "{features}");
    }
    std::fs::create_dir_all(proc.join("xen")).unwrap();
    assert_eq!(is_dom0(&roots), None);
    for (text, expected) in [("control_d\n", true), ("\n", false)] {
        write(proc.join("xen/capabilities"), text);
        assert_eq!(is_dom0(&roots), Some(expected));
    }
}

#[test]
fn the_process_that_xl_left_behind_is_known_by_the_log_of_its_domain() {
    let folder = tempfile::tempdir().unwrap();
    let roots = dom0(&folder);
    let process = |pid: u32, comm: &str, output: &str| {
        let own = folder.path().join(pid.to_string());
        std::fs::create_dir_all(own.join("fd")).unwrap();
        std::fs::write(own.join("comm"), format!("{comm}\n")).unwrap();
        std::os::unix::fs::symlink(output, own.join("fd/1")).unwrap();
    };
    process(11, "xl", "/var/log/xen/xl-web2.log");
    process(12, "tail", "/var/log/xen/xl-web.log");
    process(13, "xl", "pipe:[5]");
    assert_eq!(keeper(&roots, "web"), None);
    process(14, "xl", "/var/log/xen/xl-web.log");
    assert_eq!(keeper(&roots, "web"), Some(14));
}

#[test]
fn a_silent_xl_is_a_silence_of_its_kind() {
    assert_eq!(list_of("").unwrap_err().kind, SilenceKind::Refused);
}

#[test]
fn an_hvm_guest_stands_still_where_its_device_model_has_ended_and_it_has_no_drivers_for_xen() {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let lost = |said: &[(&str, &str)], arguments: Option<&str>| {
        let mut store = store(&[(7, Some("web"), WEB, true)]);
        for (path, word) in said {
            store.insert((2, format!("/local/domain/7/{path}")), word.as_bytes().to_vec());
        }
        let (folder, roots) = host(move |stream| answers(&store, stream));
        if let Some(arguments) = arguments {
            std::fs::create_dir(folder.path().join("211")).unwrap();
            std::fs::write(folder.path().join("211/cmdline"), arguments.replace(' ', "\0")).unwrap();
        }
        has_lost_its_hardware(&roots, 7, soon(), read)
    };
    let model = ("image/device-model-pid", "211");
    assert!(!lost(&[model], Some("/q -xen-domid 7 -name web ")));
    // One whose arguments do not come has not ended.
    let mut its = store(&[(7, Some("web"), WEB, true)]);
    its.insert((2, "/local/domain/7/image/device-model-pid".into()), b"211".to_vec());
    let (folder, hung) = host(move |stream| answers(&its, stream));
    std::fs::create_dir(folder.path().join("211")).unwrap();
    assert!(!has_lost_its_hardware(&hung, 7, soon(), |_| None));
    // It is gone, or ends, or its number is another's.
    for arguments in [None, Some(""), Some("/q -xen-domid 8 -name 7 "), Some("vi 7 -xen-domid ")] {
        assert!(lost(&[model], arguments), "{arguments:?}");
        assert!(!lost(&[model, ("control/feature-poweroff", "1")], arguments));
        assert!(lost(&[model, ("control/feature-poweroff", "0")], arguments));
    }
    // It needs none, or it is a domain of its own.
    assert!(!lost(&[], None) && !lost(&[("image/device-model-domid", "3")], None));
    let (_folder, silent) = host(drop);
    assert!(!has_lost_its_hardware(&silent, 7, soon(), read));
}

const NO_MODEL: &str = "libxl: error: libxl_dm.c:2909:libxl__spawn_local_dm: Domain 5:device model /q is not executable: No such file or directory
libxl: error: libxl_dm.c:2911:libxl__spawn_local_dm: Domain 5:Please install the qemu-system-xen package for this domain to work
libxl: error: libxl_dm.c:3161:device_model_spawn_outcome: Domain 5:(null): spawn failed (rc=-3)
";
const NO_FIRMWARE: &str = "Parsing config from /srv/web
xc: error: panic: xg_dom_core.c:205: failed to open file '/x/hvmloader': No such file or directory: Internal error
libxl: error: libxl_dom.c:942:libxl__domain_firmware: xc_dom_{kernel_file/ramdisk_file} failed: No such file or directory
";

#[test]
fn what_an_hvm_guest_lacks_is_one_sentence_of_libxls_many() {
    for (text, expected) in [
        (NO_MODEL, "the device model (QEMU) /q cannot be run: No such file or directory; install it (qemu-system-xen)"),
        (NO_FIRMWARE, "/x/hvmloader, which it needs, cannot be opened: No such file or directory"),
        (
            "libxl: error: libxl_dm.c:3161:device_model_spawn_outcome: Domain 7:domain 7 device model: spawn failed (rc=-3)\n\
             libxl: error: libxl_aoutils.c:646:libxl__kill_xs_path: Device Model already exited\n",
            "the device model (QEMU) did not start; it says why in /var/log/xen/qemu-dm-NAME.log, or in /var/log/libvirt/libxl",
        ),
        ("libxl: error: libxl_a.c:1:fn: Domain 7:failed to open file 'cut", "failed to open file 'cut"),
        (
            "libxl: error: libxl_utils.c:1:fn: cannot connect to xenstore: Refused",
            "xenstored does not run, or does not answer",
        ),
        ("device model is not executable: \n", "device model is not executable:"),
    ] {
        assert_eq!(failure(text.as_bytes()).said, expected);
    }
}

#[test]
fn libxls_words_of_a_domain_that_libvirt_could_not_create_are_those_since_the_call_and_of_one_domain() {
    let stamped = |second: u32, text: &str| -> String {
        let line = |line: &str| format!("2026-12-01 02:44:{second:02}.781+0000: {}\n", line.replace(": error:", ":"));
        text.lines().filter(|text| text.contains(": error: ")).map(line).collect()
    };
    let began = from_utc("2026-12-01 02:44:17").unwrap();
    let said = |log: &str| cause_in(log, began).unwrap_or_default();
    let (old, new) = (stamped(3, NO_FIRMWARE), stamped(17, NO_MODEL));
    assert!(said(&format!("{old}{new}")).contains("device model (QEMU) /q cannot be run"));
    assert!(said(&stamped(50, NO_FIRMWARE)).contains("/x/hvmloader, which it needs"));
    assert_eq!(said(&old), "");
    assert_eq!(said(&format!("{new}{}", new.replace("Domain 5", "Domain 6"))), "", "whose words are whose");
    assert_eq!(said("nonsense: of: many\n: :\n"), "");
}
