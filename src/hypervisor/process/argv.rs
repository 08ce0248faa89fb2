// SPDX-License-Identifier: GPL-2.0-or-later
//! What the argument list of an emulator, or of a container's controller, says about its domain. Pure.
//!
//! Elements are compared whole: a name inside another word, a prefix, or a pattern never counts.

use std::borrow::Cow;

/// Where libvirt keeps the files of the domain that the arguments belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home<'a> {
    /// In the folder of the system's libvirt: the domain's own folder there (`domain-ID-NAME`).
    System(&'a [u8]),
    /// In the home of a user: a domain of that user's `qemu:///session`, whatever its name is.
    Session,
    /// No argument says so: started by hand, or by a very old libvirt.
    Unmarked,
}

/// What the arguments claim to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) uuid: Option<[u8; 16]>,
    pub(super) incoming: bool,
    pub(super) home: Home<'a>,
}

/// The words of a `/proc/PID/cmdline`, less the program itself.
fn words(cmdline: &[u8]) -> impl Iterator<Item = &[u8]> {
    cmdline.strip_suffix(&[0]).unwrap_or(cmdline).split(|byte| *byte == 0).skip(1)
}

/// The domain that the arguments of a QEMU name; none without `-name`, or if it only serves a domain of Xen's.
pub(super) fn qemu(cmdline: &[u8]) -> Option<Claim<'_>> {
    let mut claim = Claim { name: Cow::Borrowed(b""), uuid: None, incoming: false, home: Home::Unmarked };
    let mut named = false;
    let mut words = words(cmdline);
    while let Some(word) = words.next() {
        match word {
            // The first one is libvirt's; one in the definition's own arguments comes later.
            b"-name" | b"--name" if !named => {
                claim.name = guest_name(words.next()?)?;
                named = true;
            }
            b"-uuid" | b"--uuid" if claim.uuid.is_none() => claim.uuid = words.next().and_then(uuid),
            b"-incoming" | b"--incoming" => claim.incoming = true,
            // A device model of Xen's: it carries the name of a domain that is not QEMU's.
            b"-xen-domid" => return None,
            _ => claim.home = claim.home.or(home(word)),
        }
    }
    named.then_some(claim)
}

/// The domain that the arguments of a `libvirt_lxc` name.
pub(super) fn lxc(cmdline: &[u8]) -> Option<&[u8]> {
    let mut words = words(cmdline);
    words.find(|word| *word == b"--name" || *word == b"-n")?;
    words.next()
}

impl<'a> Home<'a> {
    fn or(self, next: Home<'a>) -> Home<'a> {
        match (self, next) {
            (Home::System(_), _) | (_, Home::Unmarked) => self,
            (Home::Session | Home::Unmarked, Home::System(_) | Home::Session) => next,
        }
    }
}

/// The guest of a `-name` value: `guest=NAME,...`, or `NAME` first. A comma inside a value is written twice.
fn guest_name(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut first = true;
    let mut rest = Some(value);
    while let Some(text) = rest {
        let (item, after) = split_item(text);
        rest = after;
        if let Some(name) = item.strip_prefix(b"guest=") {
            return Some(without_doubled_commas(name));
        }
        if first && !item.contains(&b'=') {
            return Some(without_doubled_commas(item));
        }
        first = false;
    }
    // Before libvirt 1.3.3 the whole value was the name, whatever it held.
    (!value.is_empty()).then(|| without_doubled_commas(value))
}

/// The text up to the first single comma, and what follows it.
fn split_item(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut doubled = false;
    for (at, byte) in text.iter().enumerate() {
        if doubled {
            doubled = false;
        } else if *byte == b',' {
            if text.get(at + 1) == Some(&b',') {
                doubled = true;
            } else {
                return (text.get(..at).unwrap_or(text), text.get(at + 1..));
            }
        }
    }
    (text, None)
}

fn without_doubled_commas(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b',') {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        if *byte == b',' {
            bytes.next_if_eq(&&b',');
        }
        plain.push(*byte);
    }
    Cow::Owned(plain)
}

/// Which libvirt an argument belongs to. Only the files that libvirt itself names in every command line are looked at
/// (the domain's master key, its monitor), so that the path of a disk cannot mislead.
fn home(word: &[u8]) -> Home<'_> {
    let Some(end) = ["/master-key.aes", "/monitor.sock"].iter().find_map(|file| find(word, file.as_bytes())) else {
        return Home::Unmarked;
    };
    let path = word.get(..end).unwrap_or(word);
    let Some(slash) = path.iter().rposition(|byte| *byte == b'/') else { return Home::Unmarked };
    let (folder, own) = (path.get(..slash).unwrap_or(path), path.get(slash + 1..).unwrap_or_default());
    if !own.starts_with(b"domain-") {
        return Home::Unmarked;
    }
    // Some writers of JSON put a backslash before a slash.
    let (folder, own) = (folder.strip_suffix(b"\\").unwrap_or(folder), own.strip_suffix(b"\\").unwrap_or(own));
    let mut parts = folder.rsplit(|byte| *byte == b'/').map(|part| part.strip_suffix(b"\\").unwrap_or(part));
    match (parts.next(), parts.next(), parts.next()) {
        (Some(b"qemu"), Some(b"libvirt"), _) => Home::System(own),
        (Some(b"lib"), Some(b"qemu"), Some(b"libvirt")) => Home::Session,
        _ => Home::Unmarked,
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|part| part == what)
}

/// The 16 bytes of a UUID as text, with or without its dashes.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut digits = text.iter().filter(|byte| **byte != b'-').map(|byte| char::from(*byte).to_digit(16));
    for byte in &mut bytes {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_name_is_read_back_as_libvirt_writes_it(name in "[^\\x00]{1,60}", after in ",[a-z]+=[^\\x00,]{0,9}|") {
            let value = format!("guest={}{after}", name.replace(',', ",,"));
            let line = [b"qemu".as_slice(), b"-name", value.as_bytes(), b"-S", b""].join(&0);
            let claim = qemu(&line).unwrap();
            prop_assert_eq!(claim.name.as_ref(), name.as_bytes());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = (qemu(&line), lxc(&line));
        }

        #[test]
        fn any_mixture_of_real_words_is_read_without_a_panic(words in proptest::collection::vec(prop_oneof![
            Just("-name"), Just("-uuid"), Just("guest="), Just("guest=,,"), Just(""), Just("/master-key.aes"), Just(","),
            Just("/libvirt/qemu/domain-1-x/master-key.aes"), Just("a88015e5-1a69-4a1a-bcd5-8bf2406b3f34"), Just("=,"),
        ], 0..12)) {
            let line = words.join("\0");
            if qemu(line.as_bytes()).is_some() {
                prop_assert!(super::words(line.as_bytes()).any(|word| word == b"-name"));
            }
        }
    }

    #[test]
    fn uuids_are_read_whole_or_not_at_all() {
        let bytes = uuid(b"A88015E5-1a69-4a1a-bcd5-8bf2406b3f34").unwrap();
        assert_eq!((bytes[0], bytes[15]), (0xa8, 0x34));
        assert_eq!(uuid(b"a88015e51a694a1abcd58bf2406b3f34"), Some(bytes));
        for odd in ["", "a88015e5", "a88015e5-1a69-4a1a-bcd5-8bf2406b3f3", "a88015e5-1a69-4a1a-bcd5-8bf2406b3f345", "g"]
        {
            assert_eq!(uuid(odd.as_bytes()), None, "{odd}");
        }
    }
}
