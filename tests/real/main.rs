// SPDX-License-Identifier: GPL-2.0-or-later
//! The built programs on real hosts, daemons and guests. One program, so that its threads always have something to wait
//! for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::wildcard_enum_match_arm)]
#![allow(unreachable_pub, reason = "a program has nobody to be private to")]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and reads its own environment")]

mod common;
mod convert;
mod documents;
mod faults;
mod hostile;
mod install;
mod installed;
mod interference;
mod invocation;
mod main_job;
mod meta_data;
mod migration;
mod peers;
mod plan;
#[path = "../shared/mod.rs"]
mod shared;
mod tell_failed;
mod trixie;
mod worker;

use std::path::Path;

/// A file that no `mod` line names is not compiled, and its tests pass unseen.
#[test]
fn no_file_of_tests_is_forgotten() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = root.join("tests");
    let named = |file: &Path| {
        let (name, folder) = (file.file_stem()?.to_str()?, file.parent()?);
        let (name, folder) =
            if name == "mod" { (folder.file_name()?.to_str()?, folder.parent()?) } else { (name, folder) };
        // Cargo finds these by itself; three folders belong to the library.
        if name == "main" {
            return Some(());
        }
        let (parents, line) = match folder.components().count() {
            0 => ([root.join("src/lib.rs"), root.join("src/lib.rs")], format!("#[path = \"../tests/{name}/mod.rs\"]")),
            _ => (["main.rs", "mod.rs"].map(|parent| tests.join(folder).join(parent)), format!("mod {name};")),
        };
        let text = parents.iter().find_map(|parent| std::fs::read_to_string(parent).ok())?;
        text.lines().any(|at| at.trim_start_matches("pub(crate) ").trim_start_matches("pub ") == line).then_some(())
    };
    let mut files = installed::files_below(&tests);
    files.retain(|file| file.extension().is_some_and(|end| end == "rs"));
    assert!(files.len() > 50, "{files:?}");
    files.retain(|file| named(file).is_none());
    assert!(files.is_empty(), "no module names {files:?}");
}
