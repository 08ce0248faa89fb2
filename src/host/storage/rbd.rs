// SPDX-License-Identifier: GPL-2.0-or-later
//! Ceph RBD: whoever has an image open to write it watches it. The watch of a client that died lapses after half a minute.

use super::tool;
use super::word::Word;
use crate::model::definition::Disk;
use crate::sys::time::Deadline;
use serde::Deserialize;

pub(super) fn ask(disk: &Disk, deadline: Deadline) -> Word {
    let Some(image) = disk.source.as_deref().and_then(|source| source.strip_prefix("rbd:")) else {
        return Word::Untold("no witness for disks of this kind".into());
    };
    let args = words(image, disk);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    tool::ask("rbd", &args, deadline, read)
}

fn words(image: &str, disk: &Disk) -> Vec<String> {
    let mut words = vec!["status".to_owned(), "--format=json".into()];
    words.extend(disk.user.as_ref().map(|user| format!("--id={user}")));
    words.extend((!disk.hosts.is_empty()).then(|| format!("--mon-host={}", disk.hosts.join(","))));
    words.extend(["--".to_owned(), image.to_owned()]);
    words
}

#[derive(Deserialize)]
struct RbdStatus {
    watchers: Vec<Watcher>,
}

#[derive(Deserialize)]
struct Watcher {
    address: String,
}

fn read(text: &str) -> Option<Word> {
    let status: RbdStatus = serde_json::from_str(text).ok()?;
    let first = status.watchers.first();
    Some(first.map_or(Word::Free, |one| Word::Open(format!("RBD client {} watches it", one.address), true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::parse;

    #[test]
    fn an_image_is_open_that_is_watched() {
        let watched = r#"{"watchers":[{"address":"10.0.0.2:0/2318","client":4123,"cookie":18446462598732840961}]}"#;
        let open = Word::Open("RBD client 10.0.0.2:0/2318 watches it".into(), true);
        assert_eq!(read(watched), Some(open));
        assert_eq!(read(r#"{"watchers":[]}"#), Some(Word::Free));
        assert_eq!(read("no json"), None);
    }

    #[test]
    fn the_cluster_is_asked_that_the_definition_names_and_by_its_user() {
        let text = "<domain type='kvm'><name>a</name><devices><disk type='network'><auth username='libvirt'>\
                    <secret type='ceph' uuid='u'/></auth><source protocol='rbd' name='vms/web'><host name='m1' port='6789'/>\
                    <host name='m2'/></source></disk></devices></domain>";
        let disks = parse(text.as_bytes()).unwrap().disks;
        assert_eq!(
            words("vms/web", &disks[0]),
            ["status", "--format=json", "--id=libvirt", "--mon-host=m1:6789,m2", "--", "vms/web"]
        );
    }
}
