// SPDX-License-Identifier: GPL-2.0-or-later
//! How a definition is found: a folder of this test's own, never the host's.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode};
use tempfile::TempDir;
use vm_agent::host::locate::{self, Found, Instead, LocateError, Waits};
use vm_agent::model::definition::Language;
use vm_agent::model::definition::MAX_BYTES;
use vm_agent::model::params::PathSpec;

/// Looks without waiting and with it: what is known at once is what is found in the long run.
fn both(look: impl Fn(Waits) -> Result<Found, LocateError>) -> Result<Found, LocateError> {
    let (at_once, found) = (look(Waits::Never), look(Waits::Long));
    match (&at_once, &found) {
        (Err(LocateError::WouldWait(_)), _) => {}
        (Ok(at_once), Ok(found)) => assert_eq!(at_once, found),
        (Err(at_once), Err(found)) => assert_eq!(at_once.to_string(), found.to_string()),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => panic!("{at_once:?} at once, then {found:?}"),
    }
    found
}

fn in_path(spec: &PathSpec, name: &str) -> Result<Found, LocateError> {
    both(|wait| locate::in_path(spec, name, wait))
}

fn file(path: &Path) -> Result<Found, LocateError> {
    both(|wait| locate::file(path, wait))
}

const XML: &str = "<domain type='a'><name>web</name></domain>";

/// Folders `a` and `b`, searched in this order.
struct Folders(TempDir);

impl Folders {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::create_dir(root.path().join("b")).unwrap();
        Self(root)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    /// Searches `a`, then `b`.
    fn search(&self, name: &str) -> Result<Found, String> {
        let spec = self.spec(&["a", "b"].map(OsStr::new));
        in_path(&spec, name).map_err(|error| self.said(&error.to_string()))
    }

    fn spec(&self, folders: &[&OsStr]) -> PathSpec {
        let folders: Vec<OsString> = folders.iter().map(|f| self.0.path().join(f).into_os_string()).collect();
        PathSpec::parse(&folders.join(OsStr::new(":"))).unwrap()
    }

    /// A message with this test's own folder taken out.
    fn said(&self, message: &str) -> String {
        message.replace(self.0.path().to_str().unwrap(), "")
    }

    fn found(&self, found: Result<Found, String>) -> (String, Language) {
        match found {
            Ok(Found::File { path, kind, .. }) => (self.said(path.to_str().unwrap()), kind),
            Ok(Found::NotFound { looked_at }) => panic!("not found: {looked_at:?}"),
            Err(error) => panic!("{error}"),
        }
    }

    fn not_found(&self, found: Result<Found, String>) -> Vec<String> {
        match found {
            Ok(Found::NotFound { looked_at }) => looked_at.iter().map(|l| self.said(&l.to_string())).collect(),
            other => panic!("{other:?}"),
        }
    }
}

fn xml(path: &str) -> (String, Language) {
    (path.to_owned(), Language::Xml)
}

#[test]
fn the_name_itself_comes_before_the_name_with_xml() {
    let folders = Folders::new();
    folders.write("a/web.xml", XML);
    assert_eq!(folders.found(folders.search("web")), xml("/a/web.xml"));
    folders.write("a/web", XML);
    assert_eq!(folders.found(folders.search("web")), xml("/a/web"));
    folders.write("a/web.xml.xml", XML);
    assert_eq!(folders.found(folders.search("web.xml")), xml("/a/web.xml"));
}

#[test]
fn the_first_folder_that_has_one_wins() {
    let folders = Folders::new();
    folders.write("b/web", XML);
    assert_eq!(folders.found(folders.search("web")), xml("/b/web"));
    folders.write("a/web.xml", XML);
    assert_eq!(folders.found(folders.search("web")), xml("/a/web.xml"));
}

#[test]
fn a_definition_is_handed_over_as_it_was_read() {
    let folders = Folders::new();
    folders.write("a/web", "\u{feff} \n<domain/>\r\n");
    match folders.search("web").unwrap() {
        Found::File { text, kind, .. } => {
            assert_eq!((text.as_slice(), kind), ("\u{feff} \n<domain/>\r\n".as_bytes(), Language::Xml))
        }
        Found::NotFound { looked_at } => panic!("{looked_at:?}"),
    }
}

#[test]
fn what_was_looked_at_is_remembered_in_order() {
    let folders = Folders::new();
    fs::remove_dir(folders.at("b")).unwrap();
    fs::create_dir(folders.at("a/web")).unwrap();
    assert_eq!(folders.not_found(folders.search("web")), ["/a/web (a folder)", "/a/web.xml", "/b (no such folder)"]);
    assert!(matches!(in_path(&PathSpec::default(), "web"), Ok(Found::NotFound { looked_at }) if looked_at.is_empty()));
}

#[test]
fn a_folder_in_the_place_of_a_definition_is_passed_over() {
    let folders = Folders::new();
    fs::create_dir(folders.at("a/web")).unwrap();
    folders.write("b/web", XML);
    assert_eq!(folders.found(folders.search("web")), xml("/b/web"));
    folders.write("a/web.xml", XML);
    assert_eq!(folders.found(folders.search("web")), xml("/a/web.xml"));
}

#[test]
fn a_folder_that_is_a_file_or_missing_is_passed_over() {
    let folders = Folders::new();
    fs::remove_dir(folders.at("a")).unwrap();
    folders.write("b/web", XML);
    assert_eq!(folders.found(folders.search("web")), xml("/b/web"));
    folders.write("a", "a file");
    assert_eq!(folders.found(folders.search("web")), xml("/b/web"));
    let below = folders.spec(&[OsStr::new("a/below"), OsStr::new("b")]);
    assert!(matches!(in_path(&below, "web"), Ok(Found::File { .. })));
}

#[test]
fn characters_of_the_shell_are_only_characters() {
    for folder in [
        "with blank",
        " ",
        "a[1]",
        ";reboot",
        "*",
        "?",
        "$(reboot)",
        "`x`",
        "~",
        "%s",
        "\\",
        "'\"",
        "a\nb",
        "é",
        "-rf",
        "#",
    ] {
        let folders = Folders::new();
        fs::create_dir(folders.at(folder)).unwrap();
        folders.write(&format!("{folder}/we b;*"), XML);
        folders.write("b/we b;*", "another");
        let spec = folders.spec(&[folder, "b"].map(OsStr::new));
        match in_path(&spec, "we b;*").unwrap() {
            Found::File { path, .. } => assert_eq!(path, folders.at(folder).join("we b;*")),
            Found::NotFound { looked_at } => panic!("{folder}: {looked_at:?}"),
        }
    }
    // Nor does a pattern find what it would match.
    let folders = Folders::new();
    folders.write("a/web", XML);
    let pattern = folders.spec(&["[a]", "?", "*", "$(echo a)"].map(OsStr::new));
    assert_eq!(folders.not_found(in_path(&pattern, "web").map_err(|e| e.to_string())).len(), 4);
}

#[test]
fn folder_names_need_not_be_utf_8() {
    let folders = Folders::new();
    let odd = OsString::from_vec(b"caf\xe9".to_vec());
    fs::create_dir(folders.0.path().join(&odd)).unwrap();
    fs::write(folders.0.path().join(&odd).join("web.xml"), XML).unwrap();
    match in_path(&folders.spec(&[&odd]), "web").unwrap() {
        Found::File { path, .. } => assert!(path.as_os_str().as_bytes().ends_with(b"caf\xe9/web.xml")),
        Found::NotFound { looked_at } => panic!("{looked_at:?}"),
    }
    let missing = in_path(&folders.spec(&[OsStr::from_bytes(b"no\xe9")]), "web").map_err(|e| e.to_string());
    assert_eq!(folders.not_found(missing), ["/no\u{fffd} (no such folder)"]);
}

#[test]
fn a_path_specification_is_split_at_colons_only() {
    let folders =
        |spec: &str| PathSpec::parse(OsStr::new(spec)).map(|s| s.folders().to_vec()).map_err(|e| e.to_string());
    assert_eq!(folders("/a:/b"), Ok(vec!["/a".into(), "/b".into()]));
    assert_eq!(folders("::/a b::/c/:"), Ok(vec!["/a b".into(), "/c/".into()]));
    assert_eq!(folders(":"), Ok(vec![]));
    assert!(PathSpec::parse(OsStr::new("")).unwrap().folders().is_empty());
    for (spec, entry) in
        [("a", "a"), ("/a:b/c", "b/c"), ("/a: /b", " /b"), ("./a", "./a"), ("~/a", "~/a"), ("/a:x\ny", "x y")]
    {
        assert_eq!(folders(spec), Err(format!("the path entry '{entry}' is not absolute; expected /folder:/folder")));
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_refused_before_anything_is_looked_at() {
    let folders = Folders::new();
    folders.write("b/web", XML);
    for name in ["", ".", "..", "/", "../b/web", "a/../b", "/etc/passwd", "x/", "a\0b"] {
        let error = folders.search(name).unwrap_err();
        assert!(error.ends_with("is not a domain's name: it can be no file's name"), "{error}");
    }
    for name in ["..web", "web..", "a..b", "-web", "...", " "] {
        folders.write(&format!("a/{name}"), XML);
        assert_eq!(folders.found(folders.search(name)).0, format!("/a/{name}"));
    }
}

#[test]
fn a_name_too_long_for_a_file_is_not_found() {
    let folders = Folders::new();
    assert_eq!(folders.not_found(folders.search(&"n".repeat(300))).len(), 4);
    let longest = "n".repeat(255);
    folders.write(&format!("b/{longest}"), XML);
    assert_eq!(folders.found(folders.search(&longest)).0, format!("/b/{longest}"));
}

#[test]
fn what_exists_and_is_no_file_is_an_error_at_once() {
    let folders = Folders::new();
    folders.write("a/web.xml", XML);
    folders.write("b/web", XML);
    let web = folders.at("a/web");
    rustix::fs::mknodat(rustix::fs::CWD, &web, FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_eq!(folders.search("web").unwrap_err(), "/a/web is a FIFO; expected a regular file or a block device");
    fs::remove_file(&web).unwrap();
    let _listener = UnixListener::bind(&web).unwrap();
    assert_eq!(folders.search("web").unwrap_err(), "/a/web is a socket; expected a regular file or a block device");
    fs::remove_file(&web).unwrap();
    symlink("/dev/zero", &web).unwrap();
    assert_eq!(
        folders.search("web").unwrap_err(),
        "/a/web is a character device; expected a regular file or a block device"
    );
}

#[test]
fn what_exists_and_cannot_be_read_is_an_error_and_never_not_found() {
    let folders = Folders::new();
    folders.write("b/web", XML);
    let web = folders.at("a/web");
    symlink("web", &web).unwrap();
    assert_eq!(folders.search("web").unwrap_err(), "/a/web cannot be read: Too many levels of symbolic links");
    fs::remove_file(&web).unwrap();
    symlink("../away/web", &web).unwrap();
    assert_eq!(
        folders.search("web").unwrap_err(),
        "/a/web is a symbolic link to nothing; expected a regular file or a block device"
    );
    // Opening succeeds, reading fails: the memory of this process at address 0.
    fs::remove_file(&web).unwrap();
    symlink("/proc/self/mem", &web).unwrap();
    assert_eq!(folders.search("web").unwrap_err(), "/a/web cannot be read: Input/output error");
    fs::remove_dir_all(folders.at("a")).unwrap();
    symlink("a", folders.at("a")).unwrap();
    assert_eq!(folders.search("web").unwrap_err(), "/a cannot be read: Too many levels of symbolic links");
}

#[test]
fn what_this_user_may_not_read_is_an_error_and_never_not_found() {
    let folders = Folders::new();
    folders.write("a/web", XML);
    folders.write("b/web", XML);
    fs::set_permissions(folders.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let denied = |path: PathBuf| {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        // The tests may run as root, who may read everything: only this thread becomes someone else.
        let as_someone_else = || {
            if rustix::process::geteuid().is_root() {
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
            }
            folders.search("web")
        };
        let found = std::thread::scope(|scope| scope.spawn(as_someone_else).join().unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        found.unwrap_err()
    };
    assert_eq!(denied(folders.at("a/web")), "/a/web cannot be read: Permission denied");
    assert_eq!(denied(folders.at("a")), "/a/web cannot be read: Permission denied");
    assert_eq!(denied(folders.0.path().to_owned()), "/a cannot be read: Permission denied");
}

#[test]
fn a_link_to_a_definition_is_followed() {
    let folders = Folders::new();
    folders.write("b/real", XML);
    symlink("../b/real", folders.at("a/web.xml")).unwrap();
    assert_eq!(folders.found(folders.search("web")), xml("/a/web.xml"));
}

#[test]
fn a_disk_image_in_the_place_of_a_definition_is_not_read() {
    let folders = Folders::new();
    let image = fs::File::create(folders.at("a/web")).unwrap();
    image.set_len(1 << 40).unwrap();
    let error = folders.search("web").unwrap_err();
    assert_eq!(error, "/a/web is too large for a definition: 1099511627776 bytes, at most 4194304");
    image.set_len(MAX_BYTES as u64 + 1).unwrap();
    assert!(folders.search("web").unwrap_err().contains("4194305 bytes"));
    folders.write("a/web", &"<".repeat(MAX_BYTES));
    assert_eq!(folders.found(folders.search("web")), xml("/a/web"));
}

#[test]
fn content_decides_between_xml_and_a_xen_file() {
    let folders = Folders::new();
    let kind = |text: &[u8]| {
        fs::write(folders.at("a/web"), text).unwrap();
        folders.search("web").map(|found| folders.found(Ok(found)).1)
    };
    for text in ["<a/>", " \t\r\n<a/>", "\u{feff}<a/>", "\u{feff}\n<a", "<", "<!-- name = 'x' -->"] {
        assert_eq!(kind(text.as_bytes()), Ok(Language::Xml), "{text}");
    }
    for text in [&b"\xff\xfe<\0a\0"[..], b"\xfe\xff\0<\0a", b"<\0a\0", b"\0<\0a"] {
        assert_eq!(kind(text), Ok(Language::Xml), "{text:?}");
    }
    for text in ["name = 'web'\n", "# a comment\nname='web'", "\u{feff}name=1", "name = \"caf\u{e9}\""] {
        assert_eq!(kind(text.as_bytes()), Ok(Language::Xl), "{text}");
    }
    assert_eq!(kind(b"name = 'caf\xe9'"), Ok(Language::Xl));
    for (text, what) in [
        (&b""[..], "empty"),
        (b" \n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"hello", "some other text"),
        (b"QFI\xfb\0\0\0\x03 a=b", "a binary file"),
        (b"\x7fELF=\x02\x01", "a binary file"),
        (b"a = 1\0", "a binary file"),
    ] {
        assert_eq!(kind(text), Err(format!("/a/web is {what}; expected libvirt's XML or a Xen file")));
    }
}

#[test]
fn a_file_that_is_named_is_found_missing_or_refused() {
    let folders = Folders::new();
    folders.write("a/web", XML);
    let of = |path: &str| file(&folders.at(path)).map_err(|error| folders.said(&error.to_string()));
    assert_eq!(folders.found(of("a/web")), xml("/a/web"));
    assert_eq!(folders.not_found(of("a/none")), ["/a/none"]);
    assert_eq!(folders.not_found(of("none/web")), ["/none/web"]);
    assert_eq!(folders.not_found(of("a/web/below")), ["/a/web/below"]);
    assert_eq!(of("a").unwrap_err(), "/a is a folder; expected a regular file or a block device");
    assert!(
        matches!(file(Path::new("")), Ok(Found::NotFound { looked_at }) if looked_at[0].instead == Instead::Nothing)
    );
}
