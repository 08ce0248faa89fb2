// SPDX-License-Identifier: GPL-2.0-or-later
//! The built programs on real hosts, daemons and guests. One program, so that its threads always have something to wait for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
#![allow(clippy::wildcard_enum_match_arm)]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and reads its own environment")]

mod common;
mod faults;
mod hostile;
mod install;
mod installed;
mod interference;
mod main_job;
mod migration;
mod tell_failed;
mod worker;

use std::path::Path;

/// A file that no `mod` line names is not compiled, and its tests pass unseen.
#[test]
fn no_file_of_tests_is_forgotten() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut forgotten = Vec::new();
    for file in installed::files_below(&tests) {
        let (Some(name), Some("rs")) =
            (file.file_stem().and_then(|name| name.to_str()), file.extension().and_then(|end| end.to_str()))
        else {
            continue;
        };
        let folder = file.parent().unwrap();
        let (folder, module) = match name {
            "mod" => (folder.parent().unwrap(), folder.file_name().unwrap().to_str().unwrap()),
            name => (folder, name),
        };
        // Cargo finds these by itself.
        if name == "main" || folder == Path::new("") {
            continue;
        }
        let parents = ["main.rs", "mod.rs"].map(|parent| std::fs::read_to_string(tests.join(folder).join(parent)));
        let line = format!("mod {module};");
        if !parents.iter().flatten().any(|text| text.lines().any(|at| at.trim_start_matches("pub ") == line)) {
            forgotten.push(file);
        }
    }
    assert!(forgotten.is_empty(), "no module names {forgotten:?}");
}
