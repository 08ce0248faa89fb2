// SPDX-License-Identifier: GPL-2.0-or-later
//! What went wrong, in libvirt's words. libvirt puts the emulator's whole command line, its name and the time in front of
//! the cause, where a manager that cuts a reason off never shows the end. Pure.

/// What QEMU's last words stand behind, and what is said in its place.
const LAST_WORDS: [(&str, &str); 2] = [
    ("process exited while connecting to monitor", "QEMU did not start: "),
    ("unexpectedly closed the monitor", "QEMU ended: "),
];

/// What is said where libvirt has no words of QEMU's.
const WORDLESS: &str = "it did not say why";

/// Options whose values may be anybody's, a password too: nothing of them is told, also where they have a colon.
const HOLD_SECRETS: [&str; 4] = ["-fw_cfg ", "-smbios ", "-append ", "-object secret"];

/// What is said of a disk that somebody else has open, whoever found that out.
const OPEN_ELSEWHERE: &str = "find out where the machine runs or who uses the disk, and end that first";

/// The cause that a message ends with, and what it is the cause of.
#[must_use]
pub(super) fn cause(message: &str) -> String {
    if let Some(sentence) = of_lock(message).or_else(|| of_namesake(message)).or_else(|| of_overlay(message)) {
        return sentence;
    }
    for (before, instead) in LAST_WORDS {
        if let Some((_, words)) = message.split_once(before) {
            let words = last_words(without_machine(words).trim_start_matches([':', ' ']));
            return format!("{instead}{}", if words.is_empty() { WORDLESS } else { words });
        }
    }
    match message
        .split_once("Child process (")
        .and_then(|(before, rest)| Some((before, rest.rsplit_once(") unexpected ")?)))
    {
        Some((before, (_, what))) => match (before.contains("Hook script execution failed"), hook_words(what)) {
            (true, Some(words)) => format!("a hook of libvirt's refused it: {words}"),
            _ => format!("{before}child process: unexpected {what}"),
        },
        None if message.trim().is_empty() => "libvirt did not say why".into(),
        None => message.trim().to_owned(),
    }
}

/// The same cause, with the words of QEMU that libvirt did not have, where it had none.
pub(super) fn with_words(cause: &str, words: impl FnOnce() -> Option<String>) -> Option<String> {
    let instead = cause.strip_suffix(WORDLESS)?;
    let words = words()?;
    Some(of_lock(&words).unwrap_or_else(|| format!("{instead}{}", last_words(&words))))
}

/// That a disk could not be had since somebody else has it: the locks of QEMU, of virtlockd, of sanlock. Which disk stands
/// first, since a reason is cut at its end.
fn of_lock(message: &str) -> Option<String> {
    let between = |before: &str, after: &str| {
        let (_, rest) = message.split_once(before)?;
        rest.split_once(after).map(|(found, _)| found)
    };
    let disk = |path: &str, whose: &str| format!("{path} is open elsewhere ({whose}): {OPEN_ELSEWHERE}");
    if message.contains("Failed to get ") && message.contains(" lock") && message.contains("Is another process using") {
        let path = between("Is another process using the image [", "]?").unwrap_or("a disk");
        return Some(disk(path, "QEMU's lock on it"));
    }
    if let Some(path) = between("Lockspace resource '", "' is locked") {
        return Some(disk(path, "virtlockd's lease of it"));
    }
    let (_, why) = message.split_once("Failed to acquire lock")?;
    let why = why.trim_start_matches([':', ' ']);
    Some(disk(
        "a disk",
        &if why.is_empty() { "sanlock's lease of it".into() } else { format!("sanlock's lease of it, {why}") },
    ))
}

/// That libvirt keeps another definition of this name, or of this UUID, and what to do; in few words, which are not cut off.
fn of_namesake(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("domain '")?;
    let told = |between: &str| rest.split_once(between).map(|(name, uuid)| (name.to_owned(), uuid.trim().to_owned()));
    if let Some((name, uuid)) = told("' already exists with uuid ") {
        return Some(format!(
            "libvirt keeps '{name}' as {uuid}: take that UUID, or rename one of the two ('virsh domrename {name} NEW')"
        ));
    }
    told("' is already defined with uuid ").map(|(name, uuid)| {
        format!("libvirt keeps '{name}' with this UUID: rename that ('virsh domrename'), or take another UUID ({uuid})")
    })
}

/// That the overlay of a disk whose writes are forgotten is still there, and what to do. libvirt 11.3 writes it anew.
fn of_overlay(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("Overlay file '")?;
    let (overlay, _) = rest.split_once("' for transient disk '")?;
    Some(format!("{overlay} is left of a run that was cut off: remove it, if the machine runs on no host"))
}

/// The words of a script behind `exit status 1: `, if it had any.
fn hook_words(what: &str) -> Option<&str> {
    let words = what.strip_prefix("exit status ")?.split_once(": ")?.1.trim();
    (!words.is_empty()).then_some(words)
}

/// The last that QEMU said, without the time, its own name and the option that it speaks of.
fn last_words(words: &str) -> &str {
    let mut last = words;
    let mut rest = words;
    while let Some(at) = rest.find("Z qemu") {
        let (before, from) = rest.split_at(at);
        let stamped = before.rsplit(char::is_whitespace).next().is_some_and(is_stamp);
        let Some((_, said)) = from.split_once(": ") else { break };
        // What follows a time is a line of its own; anything else only looks like it.
        if stamped && !said.trim().is_empty() {
            last = said;
        }
        rest = said;
    }
    let last = without_program(last.trim());
    if !last.starts_with('-') {
        return last;
    }
    let behind = if last.contains('{') {
        last.rsplit_once("}: ")
    } else if HOLD_SECRETS.iter().any(|option| last.starts_with(option)) {
        last.rsplit_once(": ")
    } else {
        last.split_once(": ")
    };
    behind.map_or(last, |(_, said)| said)
}

/// What stands behind the machine's name, which newer libvirts put there.
fn without_machine(words: &str) -> &str {
    words.strip_prefix(" (vm='").and_then(|rest| rest.split_once("')")).map_or(words, |(_, words)| words)
}

/// The last line of QEMU's without its name: of what it does not like in its options it says no time.
fn without_program(words: &str) -> &str {
    let line = words.rfind("\nqemu").and_then(|at| words.get(at + 1..)).unwrap_or(words);
    match line.split_once(": ") {
        Some((program, said)) if program.starts_with("qemu") && !program.contains(char::is_whitespace) => said,
        Some(_) | None => line,
    }
}

/// `2026-11-27T03:14:12.123456`.
fn is_stamp(text: &str) -> bool {
    text.len() >= "2026-11-27T03:14:12".len()
        && text.contains('T')
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | 'T' | ':' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As libvirt 9.0 says it.
    #[test]
    fn a_namesake_or_another_of_this_uuid_is_told_with_what_to_do() {
        let uuid = "0cc175b9-c0f1-46a8-81c3-99e269772661";
        let told = cause(&format!("operation failed: domain 'a' already exists with uuid {uuid}"));
        assert!(told.starts_with(&format!("libvirt keeps 'a' as {uuid}: take that UUID, or rename")), "{told}");
        let told = cause(&format!("operation failed: domain 'old' is already defined with uuid {uuid}"));
        assert!(told.starts_with("libvirt keeps 'old' with this UUID: rename that ('virsh domrename'), or"), "{told}");
    }

    /// As libvirt 9.0 says it.
    #[test]
    fn what_is_left_of_a_transient_disk_is_told_with_what_to_do() {
        let message =
            "Operation not supported: Overlay file '/a.qcow2.TRANSIENT-a' for transient disk 'vda' already exists";
        let told = "/a.qcow2.TRANSIENT-a is left of a run that was cut off: remove it, if the machine runs on no host";
        assert_eq!(cause(message), told);
    }

    #[test]
    fn the_cause_stays_and_what_stands_before_it_goes() {
        for (message, expected) in [
            ("no such domain", "no such domain"),
            ("", "libvirt did not say why"),
            (
                "internal error: process exited while connecting to monitor: 2026-11-27T03:14:12.123456Z \
                 qemu-system-x86_64: -device {\"driver\":\"virtio-blk-pci\",\"id\":\"a\",\"write-cache\":\"on\"}: Failed \
                 to get \"write\" lock\nIs another process using the image [/srv/web.img]?",
                "/srv/web.img is open elsewhere (QEMU's lock on it): find out where the machine runs or who uses the disk, \
                 and end that first",
            ),
            (
                "internal error: unable to execute QEMU command 'cont': Failed to get \"write\" lock\nIs another process \
                 using the image [/srv/web.qcow2]?",
                "/srv/web.qcow2 is open elsewhere (QEMU's lock on it): find out where the machine runs or who uses the disk, \
                 and end that first",
            ),
            (
                "resource busy: Lockspace resource '/srv/web.img' is locked",
                "/srv/web.img is open elsewhere (virtlockd's lease of it): find out where the machine runs or who uses the \
                 disk, and end that first",
            ),
            (
                "internal error: Failed to acquire lock: error -243",
                "a disk is open elsewhere (sanlock's lease of it, error -243): find out where the machine runs or who uses \
                 the disk, and end that first",
            ),
            (
                "internal error: process exited while connecting to monitor: 2026-11-27T03:14:12Z qemu-system-x86_64: \
                 warning: host doesn't support it\n2026-11-27T03:14:13Z qemu-system-x86_64: -object \
                 memory-backend-file,id=pc.ram: os_mem_prealloc: Insufficient free host memory pages available to \
                 allocate guest RAM",
                "QEMU did not start: os_mem_prealloc: Insufficient free host memory pages available to allocate guest RAM",
            ),
            (
                "internal error: qemu unexpectedly closed the monitor: 2026-11-27T03:14:12Z qemu-kvm: error while loading \
                 state\n2026-11-27T03:14:12Z qemu-kvm: load of migration failed: Invalid argument",
                "QEMU ended: load of migration failed: Invalid argument",
            ),
            (
                "internal error: process exited while connecting to monitor: qemu-system-x86_64: warning: x\n\
                 qemu-system-x86_64: -fw_cfg nonsense=1,name=opt/a,string=user: kwort: Invalid parameter 'nonsense'",
                "QEMU did not start: Invalid parameter 'nonsense'",
            ),
            ("internal error: process exited while connecting to monitor: ", "QEMU did not start: it did not say why"),
            ("internal error: qemu unexpectedly closed the monitor", "QEMU ended: it did not say why"),
            ("internal error: QEMU unexpectedly closed the monitor (vm='a: b')", "QEMU ended: it did not say why"),
            (
                "internal error: QEMU unexpectedly closed the monitor (vm='web'): 2026-12-01T03:37:34.594738Z \
                 qemu-system-x86_64: -device {\"driver\":\"virtio-blk-pci\",\"id\":\"a\"}: no such bus",
                "QEMU ended: no such bus",
            ),
            (
                "Hook script execution failed: internal error: Child process (LC_ALL=C PATH=/bin \
                 /etc/libvirt/hooks/qemu web prepare begin -) unexpected exit status 1: no storage today",
                "a hook of libvirt's refused it: no storage today",
            ),
            (
                "internal error: Child process (LC_ALL=C /usr/bin/qemu (x) unexpected -S) unexpected exit status 1: full",
                "internal error: child process: unexpected exit status 1: full",
            ),
        ] {
            assert_eq!(cause(message), expected);
        }
    }

    #[test]
    fn words_that_come_later_stand_where_there_were_none() {
        let wordless = cause("internal error: qemu unexpectedly closed the monitor");
        for (words, expected) in [
            (None, None),
            (Some("2026-11-27T03:14:12Z qemu-kvm: no such machine"), Some("QEMU ended: no such machine")),
            (
                Some(
                    "2026-11-27T03:14:12Z qemu-kvm: Failed to get \"write\" lock\nIs another process using the image [/a]?",
                ),
                Some(
                    "/a is open elsewhere (QEMU's lock on it): find out where the machine runs or who uses the disk, and end \
                     that first",
                ),
            ),
        ] {
            assert_eq!(with_words(&wordless, || words.map(str::to_owned)).as_deref(), expected);
        }
        assert_eq!(with_words("no such domain", || panic!("asked for")), None);
    }
}
