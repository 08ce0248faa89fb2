// SPDX-License-Identifier: GPL-2.0-or-later
//! What asking the other members costs a start: a measurement, which `cargo test --test real -- --ignored --nocapture
//! what_a_start_costs` prints. Members are asked over ssh at real hosts, of which several have one; what the cluster says of
//! them is made up, since no cluster of namespaces is that large.

use crate::common::*;
use std::time::Duration;

const TRIES: usize = 5;

/// How the last member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Answers,
    Fenced,
    Unfenced,
    Lost,
}

/// What crm_mon says of so many members, in a cluster that fences or not.
fn status(members: usize, last: Last) -> String {
    let node = |number: usize| {
        let (online, unclean) = match last {
            Last::Fenced | Last::Unfenced if number == members => (false, false),
            Last::Lost if number == members => (false, true),
            _ => (true, false),
        };
        let name = if number == 1 { "node1".to_owned() } else { format!("member{number}") };
        format!(
            "<node name='{name}' id='{number}' online='{online}' unclean='{unclean}' pending='false' type='member'/>"
        )
    };
    let nodes: String = (1..=members).map(node).collect();
    format!(
        "<pacemaker-result><summary><cluster_options stonith-enabled='{}'/></summary><nodes>{nodes}</nodes>\
         <resources><resource id='a' active='false'/></resources></pacemaker-result>",
        last != Last::Unfenced
    )
}

#[test]
#[ignore = "it measures"]
fn what_a_start_costs() {
    let cluster = Cluster::of(4, "migration");
    let here = cluster.host(1);
    // A manager's process, and its tool, which prints a file.
    here.run(
        "sh",
        &["-c", "cp /bin/sleep /run/pacemakerd && { setsid /run/pacemakerd 9999 </dev/null >/dev/null 2>&1 & }"],
    );
    let said = here.file("status.xml", "");
    let tool = here.script("crm_mon", &format!("cat {}", said.display()));
    here.run("cp", &["--remove-destination", tool.to_str().unwrap(), "/usr/sbin/crm_mon"]);
    cluster.host(4).lab("kill", &["h4"]);
    let vm = here.guest("a").written();
    println!("| members | the last one | start, s | asking, s | answer |\n|---|---|---|---|---|");
    for members in [2, 16] {
        let mut alone = None;
        for last in [None, Some(Last::Answers), Some(Last::Fenced), Some(Last::Unfenced), Some(Last::Lost)] {
            let dead = last.is_some_and(|last| last != Last::Answers);
            let host = |number: usize| if number == members && dead { 4 } else { 2 + number % 2 };
            let mapping: Vec<String> = (2..=members).map(|it| format!("member{it}:node{}", host(it))).collect();
            std::fs::write(&said, status(members, last.unwrap_or(Last::Answers))).unwrap();
            let start = || {
                let guard = if last.is_some() { "try" } else { "off" };
                let call = vm.call(Pacemaker, "start").param("migration_mapping", mapping.join(","));
                call.param("guard", guard).timeout(90.0).run()
            };
            let mut took = Vec::new();
            let mut codes = Vec::new();
            for _ in 0..if last == Some(Last::Lost) { 1 } else { TRIES } {
                let answer = start();
                assert_eq!(answer.code != 0, last == Some(Last::Lost), "{answer}");
                took.push(answer.took);
                codes.push(answer.code);
                vm.call(Pacemaker, "kill").gives(0);
            }
            took.sort();
            let median = took[took.len() / 2];
            let alone = *alone.get_or_insert(median);
            println!(
                "| {members} | {} | {:.2} | {:.2} | {} |",
                last.map_or("guard=off".to_owned(), |last| format!("{last:?}")),
                median.as_secs_f32(),
                median.saturating_sub(alone).as_secs_f32(),
                codes[0]
            );
            assert!(median < Duration::from_secs(30));
        }
    }
}
