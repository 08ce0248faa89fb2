// SPDX-License-Identifier: GPL-2.0-or-later
//! LVM: a volume that is not active here, and exclusively so on another host. One that is active here is no evidence, since
//! clusters activate shared volumes everywhere.

use super::tool;
use super::word::Word;
use crate::sys::time::Deadline;
use serde::Deserialize;
use std::path::Path;

/// Asks about a path at which there is nothing. That is libvirt's to tell, unless it is a volume of another host.
pub(super) fn ask(path: &Path, deadline: Deadline) -> Word {
    let Some(volume) = path.to_str().filter(|path| is_volume(path)) else { return Word::Free };
    let args = ["--reportformat", "json", "-o", "lv_active_remotely,lv_active_exclusively,lv_active_locally", volume];
    match tool::ask("lvs", &args, deadline, read) {
        open @ Word::Open(..) => open,
        // There is no such volume either, or LVM does not say.
        Word::Free | Word::Unknown(_) | Word::Untold(_) => Word::Free,
    }
}

/// `/dev/GROUP/VOLUME`.
fn is_volume(path: &str) -> bool {
    let mut parts = path.strip_prefix("/dev/").unwrap_or_default().split('/');
    matches!((parts.next(), parts.next(), parts.next()), (Some(group), Some(volume), None) if !group.is_empty() && !volume.is_empty())
}

#[derive(Deserialize)]
struct Reports {
    report: Vec<LvmReport>,
}

#[derive(Deserialize)]
struct LvmReport {
    lv: Vec<Activity>,
}

#[derive(Deserialize)]
struct Activity {
    #[serde(rename = "lv_active_remotely")]
    remotely: String,
    #[serde(rename = "lv_active_exclusively")]
    exclusively: String,
    #[serde(rename = "lv_active_locally")]
    locally: String,
}

fn read(text: &str) -> Option<Word> {
    let reports: Reports = serde_json::from_str(text).ok()?;
    let activity = reports.report.first()?.lv.first()?;
    let elsewhere = activity.locally.is_empty() && !activity.remotely.is_empty() && !activity.exclusively.is_empty();
    Some(if elsewhere { Word::Open("LVM has it active on another host".into(), true) } else { Word::Free })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_open_that_another_host_has_active_for_itself() {
        let lvs = |remotely: &str, exclusively: &str, locally: &str| {
            format!(
                r#"{{"report":[{{"lv":[{{"lv_active_remotely":"{remotely}","lv_active_exclusively":"{exclusively}","lv_active_locally":"{locally}"}}]}}]}}"#
            )
        };
        let open = Some(Word::Open("LVM has it active on another host".into(), true));
        assert_eq!(read(&lvs("active remotely", "active exclusively", "")), open);
        assert_eq!(read(&lvs("active remotely", "", "active locally")), Some(Word::Free));
        assert_eq!(read(&lvs("", "", "")), Some(Word::Free));
        assert_eq!(read("nothing"), None);
    }

    #[test]
    fn only_what_can_be_a_volume_is_asked_about() {
        for (path, expected) in
            [("/dev/vg/web", true), ("/dev/sda", false), ("/srv/web.img", false), ("/dev/a/b/c", false)]
        {
            assert_eq!(is_volume(path), expected, "{path}");
        }
    }
}
