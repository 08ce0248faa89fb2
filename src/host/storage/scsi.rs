// SPDX-License-Identifier: GPL-2.0-or-later
//! SCSI: a persistent reservation that lets its holder alone write, held by another host, or by this one. Reservations of
//! all who are registered are what fencing makes, and say nothing about who writes.

use super::device::Device;
use super::tool;
use super::word::Word;
use crate::sys::time::Deadline;

pub(super) fn ask(device: &Device, deadline: Deadline) -> Word {
    let Some(disk) = device.scsi() else { return untold() };
    let own = own_initiators();
    // A disk that knows no reservations says so by an error.
    let args = ["--readonly", "--in", "--read-full-status", &format!("/dev/{disk}")];
    match tool::ask("sg_persist", &args, deadline, |text| Some(read(text, &own))) {
        Word::Unknown(why) => {
            log::debug!("the reservations of {disk} are not known: {why}");
            untold()
        }
        word @ (Word::Free | Word::Open(..) | Word::Untold(_)) => word,
    }
}

fn untold() -> Word {
    Word::Untold("no SCSI reservation tells it".into())
}

/// This host's own names as an iSCSI initiator. On other transports nothing tells for certain whose a reservation is: a
/// host has several ports there, and sg_persist prints their names in another form than the kernel.
fn own_initiators() -> Vec<String> {
    let iscsi = std::fs::read_to_string("/etc/iscsi/initiatorname.iscsi").unwrap_or_default();
    iscsi.lines().filter_map(|line| Some(line.trim().strip_prefix("InitiatorName=")?.to_owned())).collect()
}

fn read(text: &str, own: &[String]) -> Word {
    let holder = text.split("Key=").skip(1).find(|one| one.contains("<< Reservation holder >>"));
    let Some(holder) = holder else { return untold() };
    let kind = holder.lines().find_map(|line| Some(line.split_once("type: ")?.1.trim())).unwrap_or_default();
    if !matches!(kind, "Write Exclusive" | "Exclusive Access") {
        return untold();
    }
    let Some(port) = holder.split_once("Transport Id of initiator:").map(|(_, port)| port.to_ascii_lowercase()) else {
        return untold();
    };
    // Without a name of our own, of the same kind, nothing tells whether it is us.
    if own.is_empty() || !port.contains("iscsi") {
        return untold();
    }
    if own.iter().any(|own| port.contains(&own.to_ascii_lowercase())) {
        return Word::Free;
    }
    let key = holder.split_whitespace().next().unwrap_or_default();
    Word::Open(format!("the SCSI reservation of key {key} is another host's"), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As sg_persist of sg3-utils 1.4x prints it.
    fn status(kind: &str) -> String {
        format!(
            "  PR generation=0x4\n    Key=0x1\n      All target ports bit clear\n      Relative port address: 0x1\n      \
             not reservation holder\n      Transport Id of initiator:\n        iSCSI world wide unique port id: \
             iqn.1993-08.org.debian:01:n1,i,0x00023d000001\n    Key=0x2\n      All target ports bit clear\n      Relative \
             port address: 0x1\n      << Reservation holder >>\n      scope: LU_SCOPE,  type: {kind}\n      Transport Id of \
             initiator:\n        iSCSI world wide unique port id: iqn.1993-08.org.debian:01:n2,i,0x00023d000002\n"
        )
    }

    #[test]
    fn a_reservation_counts_that_another_host_holds_for_itself() {
        let own = |name: &str| vec![format!("iqn.1993-08.org.debian:01:{name}")];
        let open = Word::Open("the SCSI reservation of key 0x2 is another host's".into(), false);
        for kind in ["Write Exclusive", "Exclusive Access"] {
            assert_eq!(read(&status(kind), &own("n1")), open, "{kind}");
            assert_eq!(read(&status(kind), &own("n2")), Word::Free, "{kind}");
            assert_eq!(read(&status(kind), &[]), untold(), "{kind}");
        }
        for kind in ["Write Exclusive, registrants only", "Exclusive Access, all registrants"] {
            assert_eq!(read(&status(kind), &own("n1")), untold(), "{kind}");
        }
        // Fibre Channel's names are printed as bytes, and may well be ours.
        let fibre =
            status("Write Exclusive").replace("iSCSI world wide unique port id: iqn", "FCP-2 World Wide Name: iqn");
        assert_eq!(read(&fibre, &own("n1")), untold());
        assert_eq!(read("  PR generation=0x0\n  No full status descriptors\n", &own("n1")), untold());
    }
}
