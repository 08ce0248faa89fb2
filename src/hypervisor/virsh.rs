// SPDX-License-Identifier: GPL-2.0-or-later
//! A change in the words of virsh. Pure.

use crate::model::change::{Change, Flag, Migrate, ShutdownMode, Wake};
use crate::model::worker::{MARK_NAMESPACE, MARK_PREFIX, Who};
use std::ffi::OsString;

/// The words for virsh, and its input. A domain is named by UUID where it is known: virsh takes a number for an id.
pub(super) fn words<'a>(uri: &str, change: &'a Change, who: &Who) -> (Vec<OsString>, Option<&'a str>) {
    let mut words: Vec<OsString> = vec!["-q".into(), "-c".into(), uri.into()];
    let mut add = |more: &[&str]| words.extend(more.iter().map(OsString::from));
    let mut input: Option<&str> = None;
    match change {
        Change::Create { xml } => {
            add(&["create", "/dev/stdin"]);
            input = Some(xml);
        }
        Change::Restore { path, wake, channels, bypass_cache } => {
            add(&["restore", "--file", path]);
            if let Some(channels) = channels {
                add(&["--parallel-channels", &channels.to_string()]);
            }
            match wake {
                Some(Wake::Running) => add(&["--running"]),
                Some(Wake::Paused) => add(&["--paused"]),
                None => {}
            }
            if *bypass_cache {
                add(&["--bypass-cache"]);
            }
        }
        Change::Start => add(&["start"]),
        Change::Resume => add(&["resume"]),
        Change::Wake => add(&["dompmwakeup"]),
        Change::Shutdown { mode: ShutdownMode::Default } => add(&["shutdown"]),
        Change::Shutdown { mode } => add(&["shutdown", "--mode", mode.word()]),
        Change::Destroy | Change::DestroyWaiting => add(&["destroy"]),
        Change::Save { path, channels, bypass_cache } => {
            add(&["save", "--file", path]);
            if let Some(channels) = channels {
                add(&["--image-format", "sparse", "--parallel-channels", &channels.to_string()]);
            }
            if *bypass_cache {
                add(&["--bypass-cache"]);
            }
        }
        Change::DropSaved => add(&["managedsave-remove"]),
        Change::AbortJob => add(&["domjobabort"]),
        Change::SetMark { xml } => {
            add(&["metadata", "--live", "--uri", MARK_NAMESPACE, "--key", MARK_PREFIX, "--set", xml])
        }
        Change::Suspend => add(&["suspend"]),
        Change::SetDowntime { ms } => add(&["migrate-setmaxdowntime", "--downtime", &ms.to_string()]),
        Change::StartPostcopy => add(&["migrate-postcopy"]),
        Change::Migrate(migrate) => {
            // virsh refuses an option that comes twice; what its caller wrote counts.
            let more = migrate.by_virsh.as_deref().unwrap_or_default();
            let given = |word: &str| more.iter().any(|m| m.split('=').next() == Some(word));
            migration(migrate, &mut |words| {
                if !words.first().is_some_and(|word| given(word)) {
                    add(words);
                }
            });
            more.iter().for_each(|word| add(&[word.as_str()]));
            if let (Some(xml), false) = (&migrate.dest_xml, given("--xml")) {
                add(&["--xml", "/dev/stdin"]);
                input = Some(xml);
            }
        }
    }
    if !matches!(change, Change::Create { .. } | Change::Restore { .. }) {
        let (Who::Uuid(which) | Who::Name(which)) = who;
        words.extend(["--domain".into(), which.into()]);
    }
    (words, input)
}

/// The words for what the typed parameters say.
fn migration(migrate: &Migrate, add: &mut dyn FnMut(&[&str])) {
    add(&["migrate"]);
    add(&["--desturi", &migrate.dest_uri]);
    for flag in &migrate.flags {
        add(&[match flag {
            Flag::Live => "--live",
            Flag::P2p => "--p2p",
            Flag::Tunnelled => "--tunnelled",
            Flag::PersistDest => "--persistent",
            Flag::UndefineSource => "--undefinesource",
            Flag::Paused => "--suspend",
            Flag::NonSharedDisk => "--copy-storage-all",
            Flag::NonSharedInc => "--copy-storage-inc",
            Flag::NonSharedSynchronousWrites => "--copy-storage-synchronous-writes",
            Flag::ChangeProtection => "--change-protection",
            Flag::Unsafe => "--unsafe",
            Flag::Offline => "--offline",
            Flag::Compressed => "--compressed",
            Flag::AbortOnError => "--abort-on-error",
            Flag::AutoConverge => "--auto-converge",
            Flag::RdmaPinAll => "--rdma-pin-all",
            Flag::Postcopy => "--postcopy",
            Flag::PostcopyResume => "--postcopy-resume",
            Flag::Tls => "--tls",
            Flag::Parallel => "--parallel",
            Flag::Zerocopy => "--zerocopy",
        }]);
    }
    fn words<T: ToString>(value: Option<T>) -> Option<String> {
        value.map(|value| value.to_string())
    }
    let disks: Vec<&str> = migrate.migrate_disks.iter().map(String::as_str).collect();
    for (word, value) in [
        ("--migrateuri", migrate.migrate_uri.clone()),
        ("--listen-address", migrate.listen_address.clone()),
        ("--graphicsuri", migrate.graphics_uri.clone()),
        ("--disks-uri", migrate.disks_uri.clone()),
        ("--tls-destination", migrate.tls_destination.clone()),
        ("--comp-methods", migrate.compression.clone()),
        ("--migrate-disks", (!disks.is_empty()).then(|| disks.join(","))),
        ("--bandwidth", words(migrate.bandwidth)),
        ("--postcopy-bandwidth", words(migrate.bandwidth_postcopy)),
        ("--parallel-connections", words(migrate.parallel_connections)),
        ("--disks-port", words(migrate.disks_port)),
        ("--auto-converge-initial", words(migrate.auto_converge_initial)),
        ("--auto-converge-increment", words(migrate.auto_converge_increment)),
        ("--comp-mt-level", words(migrate.compression_mt_level)),
        ("--comp-mt-threads", words(migrate.compression_mt_threads)),
        ("--comp-mt-dthreads", words(migrate.compression_mt_dthreads)),
        ("--comp-xbzrle-cache", words(migrate.compression_xbzrle_cache)),
    ] {
        if let Some(value) = value {
            add(&[word, &value]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_to_arrive_with_is_read_from_the_input_unless_the_callers_words_name_one() {
        let words = |by_virsh: Option<&[&str]>| {
            let by_virsh = by_virsh.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
            let migrate = Migrate { dest_xml: Some("<domain/>".into()), by_virsh, ..Migrate::default() };
            let change = Change::Migrate(Box::new(migrate));
            let (words, input) = words("qemu:///system", &change, &Who::Name("a".into()));
            let words: Vec<String> = words.into_iter().map(|word| word.into_string().unwrap()).collect();
            (words.join(" "), input.map(str::to_owned))
        };
        let (plain, input) = words(None);
        assert!(plain.contains(" migrate ") && plain.contains(" --xml /dev/stdin "), "{plain}");
        assert_eq!(input.as_deref(), Some("<domain/>"));
        for own in [["--xml", "/own.xml"].as_slice(), &["--xml=/own.xml"]] {
            let (own, input) = words(Some(own));
            assert!(own.matches("--xml").count() == 1 && input.is_none(), "{own}");
        }
    }
}
