// SPDX-License-Identifier: GPL-2.0-or-later
//! `migrate_options`: virsh's words for a migration, understood. Pure. What is not understood is refused, so that
//! nothing is silently left out.

use crate::worker::{Flag, Migrate};

/// The flags and values that the words ask for.
///
/// # Errors
/// A sentence about the word that is not known, or lacks its value.
pub fn parse(text: &str) -> Result<Migrate, String> {
    let words = shlex::split(text).ok_or("a quote does not end; expected words")?;
    let mut migrate = Migrate::default();
    let mut words = words.into_iter();
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
            "--migrateuri" => migrate.migrate_uri = Some(text()?),
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
            _ => {
                return Err(format!(
                    "'{}' is not known; remove it, or set migrate_backend=virsh to hand the words to virsh",
                    crate::ocf::ascii_line(&option, 40)
                ));
            }
        }
    }
    Ok(migrate)
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("'{option} {}' is not a number", crate::ocf::ascii_line(text, 20)))
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
        "--change-protection" => Flag::ChangeProtection,
        "--unsafe" => Flag::Unsafe,
        "--abort-on-error" => Flag::AbortOnError,
        "--auto-converge" => Flag::AutoConverge,
        "--rdma-pin-all" => Flag::RdmaPinAll,
        "--postcopy" => Flag::Postcopy,
        "--tls" => Flag::Tls,
        "--parallel" => Flag::Parallel,
        "--compressed" => Flag::Compressed,
        // The agent's own ways: it connects to both ends, and writes its progress to the log.
        "--direct" | "--verbose" => return Some(None),
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_become_flags_and_values() {
        let migrate = parse("--live --verbose --bandwidth 10 --migrateuri='tcp://a b:1' --parallel").unwrap();
        assert_eq!(migrate.bandwidth, Some(10));
        assert_eq!(migrate.migrate_uri.as_deref(), Some("tcp://a b:1"));
        assert_eq!(migrate.flags, [Flag::Live, Flag::Parallel].into());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in ["--timeout 5", "--bandwidth", "--bandwidth x", "'--live", "--live=1", "node2"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
