// SPDX-License-Identifier: GPL-2.0-or-later
//! Which hosts may use what lies on a file system, by the number that the kernel gives its kind (statfs(2), linux/magic.h).

/// A kind of file system.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileSystem {
    /// Its name, for people.
    pub name: &'static str,
    pub hosts: Hosts,
}

/// Who may have it mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hosts {
    /// One host alone.
    One,
    /// Several, each with numbers of inodes of its own.
    Several,
    /// Several, under the same numbers of inodes.
    SeveralAlike,
}

/// All that are known.
const KINDS: [(i64, FileSystem); 20] = [
    (0xef53, one("ext4")),
    (0x5846_5342, one("XFS")),
    (0x9123_683e, one("Btrfs")),
    (0x2fc1_2fc1, one("ZFS")),
    (0xf2f5_2010, one("F2FS")),
    (0xca45_1a4e, one("bcachefs")),
    (0x0102_1994, one("tmpfs")),
    (0x8584_58f6, one("ramfs")),
    (0x794c_7630, one("overlay")),
    (0x0116_1970, alike("GFS2")),
    (0x7461_636f, alike("OCFS2")),
    (0x6969, alike("NFS")),
    (0x00c3_6400, alike("CephFS")),
    (0x0bd0_0bd0, alike("Lustre")),
    (0x4750_4653, alike("GPFS")),
    (0xff53_4d42, several("CIFS")),
    (0xfe53_4d42, several("SMB")),
    (0x517b, several("SMB")),
    // GlusterFS and its like.
    (0x6573_5546, several("FUSE")),
    (0x0102_1997, several("9p")),
];

const fn one(name: &'static str) -> FileSystem {
    FileSystem { name, hosts: Hosts::One }
}

const fn several(name: &'static str) -> FileSystem {
    FileSystem { name, hosts: Hosts::Several }
}

const fn alike(name: &'static str) -> FileSystem {
    FileSystem { name, hosts: Hosts::SeveralAlike }
}

/// The number of a kind, as statfs tells it: on some machines with a sign.
pub(crate) fn number(f_type: impl Into<i64>) -> i64 {
    f_type.into() & 0xffff_ffff
}

/// The kind of that number; nothing, where it is not known.
pub(crate) fn of_type(f_type: impl Into<i64>) -> Option<&'static FileSystem> {
    let wanted = number(f_type);
    KINDS.iter().find(|(number, _)| *number == wanted).map(|(_, kind)| kind)
}

/// Whether only this host can have it mounted.
pub(crate) fn is_local(f_type: impl Into<i64>) -> bool {
    of_type(f_type).is_some_and(|kind| kind.hosts == Hosts::One)
}

/// The number of FUSE, which is a file system of one host as well (ntfs-3g, mergerfs) as one of many.
const FUSE: i64 = 0x6573_5546;
/// What several hosts mount by FUSE, in the kernel's word for it.
const FUSE_OF_SEVERAL: [&str; 12] = [
    "virtiofs",
    "fuse.beegfs",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.glusterfs",
    "fuse.juicefs",
    "fuse.lizardfs",
    "fuse.mfs",
    "fuse.moosefs",
    "fuse.saunafs",
    "fuse.seaweedfs",
    "fuse.sshfs",
];

/// Whether other hosts see the files of a file system too, for certain; of FUSE, by what `mountinfo` says of the device of
/// these numbers.
pub(crate) fn is_shared(
    f_type: impl Into<i64>,
    (major, minor): (u32, u32),
    mountinfo: impl FnOnce() -> String,
) -> bool {
    let number = number(f_type);
    if number != FUSE {
        return of_type(number).is_some_and(|kind| kind.hosts != Hosts::One);
    }
    let numbers = format!("{major}:{minor}");
    mountinfo().lines().any(|line| {
        let Some((mount, of)) = line.split_once(" - ") else { return false };
        let kind = of.split(' ').next().unwrap_or_default();
        mount.split(' ').nth(2) == Some(&numbers) && FUSE_OF_SEVERAL.contains(&kind)
    })
}

/// The name of a kind on which another host's lock may not be seen here. What lies on GFS2 and the like is locked for all
/// hosts.
pub(crate) fn without_others_locks(f_type: impl Into<i64>) -> Option<&'static str> {
    match of_type(f_type) {
        Some(kind) => (kind.hosts == Hosts::Several).then_some(kind.name),
        None => Some("its file system"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_fuse_only_what_many_hosts_mount_is_shared() {
        let mounts = "36 35 0:45 / /mnt/a rw - fuse.glusterfs node1:/vms rw\n37 35 0:46 / /mnt/b rw - fuse.mergerfs a:b rw\n\
                      38 35 0:47 / /mnt/c rw - fuseblk /dev/sdb1 rw\n";
        let shared = |kind: i64, minor| is_shared(kind, (0, minor), || mounts.to_owned());
        assert_eq!([45, 46, 47, 48].map(|minor| shared(FUSE, minor)), [true, false, false, false]);
        assert!(shared(0x6969, 46) && !shared(0xef53, 45) && !shared(0x9fa0, 45));
    }

    #[test]
    fn a_kind_is_known_by_its_number_with_a_sign_or_without_and_has_it_alone() {
        let hosts = |f_type: i64| of_type(f_type).map(|kind| kind.hosts);
        assert_eq!(hosts(0xff53_4d42), Some(Hosts::Several));
        assert_eq!(hosts(-11_317_950), Some(Hosts::Several));
        assert_eq!((hosts(0x6969), hosts(0x9fa0)), (Some(Hosts::SeveralAlike), None));
        assert!(is_local(0xef53_i64) && !is_local(0x6969_i64) && !is_local(0x9fa0_i64));
        let unseen = [0xef53_i64, 0x6969, 0x6573_5546, 0x9fa0].map(without_others_locks);
        assert_eq!(unseen, [None, None, Some("FUSE"), Some("its file system")]);
        for (at, (number, _)) in KINDS.iter().enumerate() {
            assert!(!KINDS[at + 1..].iter().any(|(other, _)| other == number), "{number:#x}");
        }
    }
}
