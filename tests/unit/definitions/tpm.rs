// SPDX-License-Identifier: GPL-2.0-or-later
//! The state of an emulated TPM, and of a firmware: what a definition says of it, and what is added.

use super::facts::{FULL, facts};
use vm_agent::model::definition::{MAX_BYTES, TpmState, with_kept_tpm};

fn domain(devices: &str) -> String {
    format!("<domain type='a'><name>n</name><devices>{devices}</devices></domain>")
}

/// The devices with what is added to them.
fn kept(devices: &str) -> Option<String> {
    let text = with_kept_tpm(&domain(devices)).unwrap()?;
    Some(text.split_once("<devices>").unwrap().1.split_once("</devices>").unwrap().0.to_owned())
}

#[test]
fn an_emulated_tpm_that_says_nothing_of_its_state_keeps_it() {
    for (before, after) in [
        ("<backend type='emulator'/>", "<backend type='emulator' persistent_state='yes'/>"),
        ("<backend\n type=\"emulator\" />", "<backend\n type=\"emulator\"  persistent_state='yes'/>"),
        (
            "<backend type='emulator'><encryption secret='s'/></backend >",
            "<backend type='emulator' persistent_state='yes'><encryption secret='s'/></backend >",
        ),
    ] {
        let (before, after) = (format!("<tpm>{before}</tpm>"), format!("<tpm>{after}</tpm>"));
        assert_eq!(facts(&domain(&before)).vtpm, Some(TpmState::Unsaid));
        assert_eq!(kept(&before).as_deref(), Some(after.as_str()));
        assert_eq!(facts(&domain(&after)).vtpm, Some(TpmState::Kept));
        assert_eq!(kept(&after), None, "once is enough");
        assert_eq!(kept(&format!("{before}<disk/>{before}")), Some(format!("{after}<disk/>{after}")));
    }
}

#[test]
fn what_the_definition_says_counts_and_nothing_else_is_touched() {
    let no = "<tpm><backend type='emulator' persistent_state='no'/></tpm>";
    assert_eq!((kept(no), facts(&domain(no)).vtpm), (None, Some(TpmState::Deleted)));
    for none in [
        "",
        "<tpm><backend type='passthrough'/></tpm>",
        "<tpm/>",
        "<!-- <tpm><backend type='emulator'/></tpm> -->",
        "<disk><tpm><backend type='emulator'/></tpm></disk>",
        "<x:tpm xmlns:x='u:x'><backend type='emulator'/></x:tpm>",
    ] {
        assert_eq!((kept(none), facts(&domain(none)).vtpm), (None, None), "{none}");
    }
    let added = with_kept_tpm(FULL).unwrap().unwrap();
    assert_eq!(added.replace(" persistent_state='yes'", ""), FULL);
    assert!(with_kept_tpm(&added[..added.len() - 10]).is_err());
    let large = domain(&format!("<tpm><backend type='emulator'/></tpm><!-- {} -->", " ".repeat(MAX_BYTES - 120)));
    assert!(with_kept_tpm(&large).is_err(), "it would be too large to be read again");
}

#[test]
fn variables_of_a_firmware_are_known_also_where_libvirt_names_their_file() {
    let with = |os: &str| facts(&format!("<domain type='a'><name>n</name>{os}</domain>")).has_nvram;
    for os in [
        "<os firmware='efi'/>",
        "<os><loader type='pflash'>/f</loader></os>",
        "<os><nvram>/v</nvram></os>",
        "<os><nvram template='/t'/></os>",
    ] {
        assert!(with(os), "{os}");
    }
    for os in ["", "<os/>", "<os firmware='bios'/>", "<os><loader type='pflash' stateless='yes'>/f</loader></os>"] {
        assert!(!with(os), "{os}");
    }
}
