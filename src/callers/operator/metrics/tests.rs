// SPDX-License-Identifier: GPL-2.0-or-later
//! The text of metrics, held against a strict reader of what OpenMetrics and Prometheus's older format have in common.

use super::*;
use crate::host::tally::ActionEnded;
use std::time::Duration;

fn ended(action: Action, code: u8, well: u64, failed: u64) -> ActionEnded {
    ActionEnded { action, code, took: Duration::from_millis(1250), at: 1_795_323_000, well, failed }
}

/// A host with one machine of each kind.
fn measured(answers: bool) -> Measured {
    let mark = Mark { instance: "vm:web".into(), started: "2026-11-22T04:50:00Z".into(), ..Mark::default() };
    let sighted = |name: &str, state, mark| Sighted { name: name.into(), state: State::from_numbers(state, 1), mark };
    let list = vec![sighted("web", 1, Some(mark)), sighted("a \"b\"\\\n", 5, None), sighted("both", 5, None)];
    let web = Tally {
        uri: Some("qemu:///system".into()),
        actions: vec![
            ended(Action::Start, 0, 2, 1),
            ended(Action::Migrate, 1, 3, 1),
            ended(Action::MigrateTo, 0, 4, 0),
            ended(Action::MigrateFrom, 0, 5, 0),
        ],
        away: vec![(Away::Disk, Duration::from_millis(1500)), (Away::Restart, Duration::from_secs(7))],
    };
    let away = Tally { actions: vec![ended(Action::Stop, 1, 0, 1)], ..Tally::default() };
    let elsewhere = Tally { uri: Some("lxc:///system".into()), ..Tally::default() };
    Measured {
        told: vec![
            ("qemu:///system".into(), answers.then_some(list)),
            ("lxc:///system".into(), None),
            ("xl:///".into(), Some(vec![sighted("both", 1, None)])),
        ],
        counted: vec![("away".into(), away), ("box".into(), elsewhere), ("web".into(), web)],
        now: 1_795_323_060,
    }
}

/// The samples of a text, by name and labels. Strict: families come once and whole, each with its type before its samples;
/// a counter's samples end in `_total` and a unit is the name's end; no sample is there twice; the end is told.
fn read(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    let mut current = "";
    let body = text.strip_suffix("# EOF\n").expect("the end is told");
    assert!(!body.contains("# EOF") && !body.contains("\n\n") && !body.contains('\r') && body.ends_with('\n'));
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let (word, rest) = rest.split_once(' ').unwrap();
            let (name, rest) = rest.split_once(' ').unwrap();
            match word {
                "HELP" => assert!(!families.contains_key(name) && !rest.contains(['\\', '"']), "{line}"),
                "TYPE" => {
                    assert!(["gauge", "counter"].contains(&rest), "{line}");
                    assert_eq!(families.insert(name, rest), None, "{line}");
                    current = name;
                }
                "UNIT" => assert!(name == current && name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
        let suffix = if families[current] == "counter" { "_total" } else { "" };
        assert_eq!(name, format!("{current}{suffix}"), "{line}");
        if let Some(mut rest) = labels.strip_suffix('}') {
            let mut known = BTreeSet::new();
            while !rest.is_empty() {
                let (label, after) = rest.split_once("=\"").unwrap();
                assert!(label.bytes().all(|byte| byte.is_ascii_lowercase()) && known.insert(label), "{line}");
                let mut chars = after.char_indices();
                let end = loop {
                    match chars.next().expect("a label's value ends") {
                        (_, '\\') => assert!(matches!(chars.next(), Some((_, '\\' | '"' | 'n'))), "{line}"),
                        (at, '"') => break at,
                        _ => {}
                    }
                };
                rest = after.get(end + 1..).unwrap();
                rest = if rest.is_empty() { rest } else { rest.strip_prefix(',').unwrap() };
            }
        } else {
            assert!(labels.is_empty(), "{line}");
        }
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{line}");
        assert_eq!(samples.insert(sample.to_owned(), value), None, "twice: {line}");
    }
    samples
}

/// The states of a machine that are told to be so.
fn states(samples: &BTreeMap<String, f64>, machine: &str) -> Vec<String> {
    let of = format!("vm_agent_machine_state{{machine=\"{machine}\",state=\"");
    let told = samples.iter().filter(|(sample, _)| sample.starts_with(&of));
    assert_eq!(told.clone().count(), STATES.len(), "{machine}");
    let is = told.filter(|(_, value)| **value == 1.0);
    is.map(|(sample, _)| sample.trim_start_matches(&of).trim_end_matches("\"}").to_owned()).collect()
}

#[test]
fn metrics_are_in_the_form_that_a_strict_reader_takes_and_tell_each_machines_one_state() {
    let samples = read(&measured(true).text());
    for (machine, state) in [
        ("web", "running"),
        ("a \\\"b\\\"\\\\\\n", "shut_off"),
        ("away", "absent"),
        ("box", "unknown"),
        ("both", "running"),
    ] {
        assert_eq!(states(&samples, machine), [state], "{machine}");
    }
    for (sample, value) in [
        ("hypervisor_answers{uri=\"qemu:///system\"}", 1.0),
        ("hypervisor_answers{uri=\"lxc:///system\"}", 0.0),
        ("machine_started_timestamp_seconds{machine=\"web\",resource=\"vm:web\"}", 1_795_323_000.0),
        ("action_last_code{machine=\"away\",action=\"stop\"}", 1.0),
        ("action_last_duration_seconds{machine=\"web\",action=\"start\"}", 1.25),
        ("actions_total{machine=\"web\",action=\"start\",result=\"failed\"}", 1.0),
        ("moves_total{machine=\"web\",direction=\"out\",result=\"ok\"}", 7.0),
        ("moves_total{machine=\"web\",direction=\"out\",result=\"failed\"}", 1.0),
        ("moves_total{machine=\"web\",direction=\"in\",result=\"ok\"}", 5.0),
        ("away_seconds_total{machine=\"web\",cause=\"io-error\"}", 1.5),
        ("metrics_timestamp_seconds", 1_795_323_060.0),
    ] {
        assert_eq!(samples.get(&format!("vm_agent_{sample}")), Some(&value), "{sample}");
    }
}

#[test]
fn metrics_of_a_host_that_does_not_tell_say_unknown_of_each_machine_on_record() {
    let samples = read(&measured(false).text());
    for machine in ["web", "away", "box"] {
        assert_eq!(states(&samples, machine), ["unknown"], "{machine}");
    }
    assert_eq!(samples["vm_agent_hypervisor_answers{uri=\"qemu:///system\"}"], 0.0);
    assert!(!samples.keys().any(|sample| sample.contains("machine_started")));
}

#[test]
fn every_state_has_a_word_of_the_list() {
    for state in -1..9 {
        for reason in 0..15 {
            let word = word(State::from_numbers(state, reason));
            assert!(STATES.contains(&word) && !["absent", "unknown"].contains(&word), "{state} {reason}: {word}");
        }
    }
    read(&Measured { told: Vec::new(), counted: Vec::new(), now: 0 }.text());
}
