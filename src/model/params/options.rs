// SPDX-License-Identifier: GPL-2.0-or-later
//! `migrate_options`: virsh's words for a migration, understood. Pure. Where one is not understood, all are virsh's to
//! understand, so that nothing is silently left out.

use crate::model::change::{Flag, Migrate};
use std::time::Duration;

/// `migrate_options`, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The words, as a shell would take them apart, but for `--migrateuri`: for virsh.
    pub words: Vec<String>,
    /// Where `--migrateuri` sends the memory, with `%n` or `%s`.
    pub data_uri: Option<String>,
    /// What they ask for.
    pub asked: Asked,
    /// A sentence about the word that makes no sense; then nothing is asked for. It is for virsh to say so if virsh gets
    /// the words in any case.
    pub wrong: Option<String>,
}

impl Options {
    /// Reads the words.
    ///
    /// # Errors
    /// A sentence: they are no words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = shlex::split(text).ok_or("a quote does not end; expected words")?;
        let (words, data_uri) = without_data_uri(words);
        let (asked, wrong) = match asked(&words) {
            Ok(asked) => (asked, None),
            Err(why) => (Asked::default(), Some(why)),
        };
        Ok(Self { words, data_uri, asked, wrong })
    }
}

/// What `migrate_options` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// What libvirt is asked for.
    pub migrate: Migrate,
    /// What happens to a migration that takes longer.
    pub timeout: Option<(Duration, Late)>,
    /// Post-copy begins with the second pass.
    pub postcopy_after_precopy: bool,
    /// A word that only virsh knows, perhaps: then the words are handed to it, and nothing of the above is filled in.
    pub unknown: Option<String>,
}

/// What `--timeout` brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// The guest is paused until it has moved.
    Suspend,
    /// It runs at the target before its memory is there.
    Postcopy,
}

/// The words without `--migrateuri`, and its value; of several the last.
fn without_data_uri(words: Vec<String>) -> (Vec<String>, Option<String>) {
    let (mut others, mut data_uri) = (Vec::new(), None);
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        if let Some(value) = word.strip_prefix("--migrateuri=") {
            data_uri = Some(value.to_owned());
        } else if word == "--migrateuri" && words.peek().is_some() {
            data_uri = words.next();
        } else {
            others.push(word);
        }
    }
    (others, data_uri)
}

/// The flags and values that the words ask for.
///
/// # Errors
/// A sentence about the word that lacks its value, has a wrong one, or cannot stand beside another.
fn asked(words: &[String]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let (mut timeout, mut suspend, mut postcopy) = (None, false, false);
    let migrate = &mut asked.migrate;
    let mut words = words.iter().cloned();
    while let Some(word) = words.next() {
        let (option, mut value) = match word.split_once('=') {
            Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        if let Some(flag) = flag(&option) {
            if value.is_some() {
                return Err(format!("'{option}' takes no value"));
            }
            migrate.flags.extend(flag);
            continue;
        }
        let mut text = || value.take().or_else(|| words.next()).ok_or(format!("'{option}' lacks its value"));
        match option.as_str() {
            // With a value it has been taken out.
            "--migrateuri" => drop(text()?),
            "--listen-address" => migrate.listen_address = Some(text()?),
            "--disks-uri" => migrate.disks_uri = Some(text()?),
            "--graphicsuri" => migrate.graphics_uri = Some(text()?),
            "--tls-destination" => migrate.tls_destination = Some(text()?),
            "--comp-methods" => migrate.compression = Some(text()?),
            "--migrate-disks" => {
                migrate.migrate_disks = text()?.split(',').map(|disk| disk.trim().to_owned()).collect();
            }
            "--bandwidth" => migrate.bandwidth = Some(number(&option, &text()?)?),
            "--postcopy-bandwidth" => migrate.bandwidth_postcopy = Some(number(&option, &text()?)?),
            "--parallel-connections" => migrate.parallel_connections = Some(number(&option, &text()?)?),
            "--auto-converge-initial" => migrate.auto_converge_initial = Some(number(&option, &text()?)?),
            "--auto-converge-increment" => migrate.auto_converge_increment = Some(number(&option, &text()?)?),
            "--comp-mt-level" => migrate.compression_mt_level = Some(number(&option, &text()?)?),
            "--comp-mt-threads" => migrate.compression_mt_threads = Some(number(&option, &text()?)?),
            "--comp-mt-dthreads" => migrate.compression_mt_dthreads = Some(number(&option, &text()?)?),
            "--comp-xbzrle-cache" => migrate.compression_xbzrle_cache = Some(number(&option, &text()?)?),
            "--disks-port" => migrate.disks_port = Some(number(&option, &text()?)?),
            "--timeout" => timeout = Some(seconds(&text()?)?),
            "--timeout-suspend" => suspend = true,
            "--timeout-postcopy" => postcopy = true,
            "--postcopy-after-precopy" => asked.postcopy_after_precopy = true,
            _ => return Ok(Asked { unknown: Some(option), ..Asked::default() }),
        }
    }
    if (suspend || postcopy) && timeout.is_none() {
        return Err("'--timeout-suspend' and '--timeout-postcopy' need '--timeout'".into());
    }
    if suspend && postcopy {
        return Err("'--timeout-suspend' and '--timeout-postcopy' exclude each other".into());
    }
    if postcopy || asked.postcopy_after_precopy {
        asked.migrate.flags.insert(Flag::Postcopy);
    }
    asked.timeout = timeout.map(|after| (after, if postcopy { Late::Postcopy } else { Late::Suspend }));
    Ok(asked)
}

fn seconds(text: &str) -> Result<Duration, String> {
    match number("--timeout", text)? {
        0 => Err("'--timeout 0' is no time; expected seconds".into()),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("'{option} {}' is not a number", crate::sys::text::ascii_line(text, 20)))
}

/// The flag of an option that takes no value; an option that changes nothing here has none.
fn flag(option: &str) -> Option<Option<Flag>> {
    Some(Some(match option {
        "--live" => Flag::Live,
        "--p2p" => Flag::P2p,
        "--tunnelled" => Flag::Tunnelled,
        "--persistent" => Flag::PersistDest,
        "--undefinesource" => Flag::UndefineSource,
        "--suspend" => Flag::Paused,
        "--copy-storage-all" => Flag::NonSharedDisk,
        "--copy-storage-inc" => Flag::NonSharedInc,
        "--copy-storage-synchronous-writes" => Flag::NonSharedSynchronousWrites,
        "--change-protection" => Flag::ChangeProtection,
        "--unsafe" => Flag::Unsafe,
        "--abort-on-error" => Flag::AbortOnError,
        "--auto-converge" => Flag::AutoConverge,
        "--rdma-pin-all" => Flag::RdmaPinAll,
        "--postcopy" => Flag::Postcopy,
        "--tls" => Flag::Tls,
        "--parallel" => Flag::Parallel,
        "--compressed" => Flag::Compressed,
        "--zerocopy" => Flag::Zerocopy,
        // The agent's own ways: it connects to both ends, and writes its progress to the log.
        "--direct" | "--verbose" => return Some(None),
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Asked, String> {
        let options = Options::parse(text)?;
        options.wrong.map_or(Ok(options.asked), Err)
    }

    #[test]
    fn known_words_become_flags_and_values() {
        let migrate = parse("--live --verbose --bandwidth 10 --listen-address='a b' --parallel").unwrap().migrate;
        assert_eq!(migrate.bandwidth, Some(10));
        assert_eq!(migrate.listen_address.as_deref(), Some("a b"));
        assert_eq!(migrate.flags, [Flag::Live, Flag::Parallel].into());
    }

    #[test]
    fn where_the_memory_is_sent_is_no_word_for_virsh() {
        let of = |text| {
            let options = Options::parse(text).unwrap();
            (options.words.join(" "), options.data_uri.unwrap_or_default(), options.wrong.is_some())
        };
        assert_eq!(
            of("--live --migrateuri='tcp://%n:1' --dname b"),
            ("--live --dname b".into(), "tcp://%n:1".into(), false)
        );
        assert_eq!(of("--migrateuri tcp:a --migrateuri=tcp:b"), (String::new(), "tcp:b".into(), false));
        assert_eq!(of("--live --migrateuri"), ("--live --migrateuri".into(), String::new(), true));
    }

    #[test]
    fn a_word_that_is_not_known_makes_all_words_those_of_virsh() {
        for text in ["--live --offline", "--comp-zlib-level 3 --live", "--dname b", "node2", "--live --xml /a"] {
            let asked = parse(text).unwrap();
            assert!(text.contains(asked.unknown.as_deref().unwrap()), "{text}: {asked:?}");
            assert_eq!(asked.migrate, Migrate::default());
        }
    }

    #[test]
    fn a_timeout_means_what_it_means_to_virsh() {
        let timeout = |text: &str| parse(text).unwrap().timeout.unwrap();
        let sixty = Duration::from_secs(60);
        assert_eq!(timeout("--live --timeout 60"), (sixty, Late::Suspend));
        assert_eq!(timeout("--timeout=60 --timeout-suspend"), (sixty, Late::Suspend));
        assert_eq!(timeout("--postcopy --timeout 60 --timeout-postcopy"), (sixty, Late::Postcopy));
        let asked = parse("--postcopy-after-precopy").unwrap();
        assert!(asked.postcopy_after_precopy && asked.migrate.flags.contains(&Flag::Postcopy));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "--bandwidth",
            "--bandwidth x",
            "'--live",
            "--live=1",
            "--timeout 0",
            "--timeout",
            "--timeout-suspend",
            "--postcopy --timeout 5 --timeout-postcopy --timeout-suspend",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
