// SPDX-License-Identifier: GPL-2.0-or-later
//! The table of shares: one row each, with what it is for, how long it is and why. Pure.

use super::rule::{ALL, Rule, most, part};
use crate::model::action::Action;

/// One row of the table.
pub struct ShareRow {
    /// What it is for.
    pub words: &'static str,
    rule: Rule,
    /// Other rules, of these actions.
    others: &'static [(&'static [Action], Rule)],
    /// Why it is as it is.
    pub why: &'static str,
}

const STOPS: &[Action] = &[Action::Stop, Action::Kill];
const ENDS: &[Action] = &[Action::Stop, Action::Kill, Action::Restart, Action::Recover];
const RESTARTS: &[Action] = &[Action::Restart, Action::Recover];
const STARTS: &[Action] = &[Action::Start, Action::MigrateFrom];
const WATCHES: &[Action] = &[Action::Status, Action::Monitor];
const MOVES: &[Action] = &[Action::Migrate, Action::MigrateTo];

const fn row(words: &'static str, rule: Rule, why: &'static str) -> ShareRow {
    ShareRow { words, rule, others: &[], why }
}

/// Makes the shares of their rows: the enum, the list of all, and the table.
macro_rules! shares {
    ($($name:ident => $row:expr,)*) => {
        /// What time is spent on, or kept for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Share { $($name,)* }

        impl Share {
            /// Every share, in the order of the page.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its row.
            #[must_use]
            pub const fn row(self) -> ShareRow {
                match self { $(Self::$name => const { $row },)* }
            }
        }
    };
}

shares! {
    // Of every call.
    Answer => row(
        "kept to answer",
        most(2).of_timeout(20).least(50),
        "At its timeout a caller kills without a word; an agent that has answered is never killed.",
    ),
    LastLook => row(
        "of that, kept even from the last look",
        part(Share::Answer, 2),
        "A step that used all its time must still end with what is seen.",
    ),
    LogFile => row(
        "of that, kept even from the wait for a log file's storage",
        part(Share::Answer, 4),
        "Where it hangs, its lines are given up; the answer is not.",
    ),
    // A look.
    Look => ShareRow {
        others: &[
            (WATCHES, most(2).of_timeout(4).of_left(2)),
            (MOVES, most(5).of_timeout(8).of_left(2)),
            (&[Action::ValidateAll], ALL.of_left(2)),
        ],
        ..row(
            "a look at libvirt",
            most(5).of_timeout(4).of_left(2),
            "A silent daemon may not cost all: what follows may be the end of a process, which needs no libvirt. \
             rgmanager asks one node after the other, so who watches waits less.",
        )
    },
    XlLook => row(
        "a look at xl's list",
        most(10).of_timeout(3).of_left(2),
        "xl is a program, which takes seconds where the host is busy with guests that boot; nothing is asked besides.",
    ),
    Processes => row(
        "of a look, beside libvirt's, for processes that do not show what they run",
        most(3),
        "One that is stuck in the kernel may lock its memory for ever.",
    ),
    OtherClient => row(
        "of a look, kept to ask whether the daemon answers others",
        ALL.of_left(5),
        "A daemon that is silent about one domain only is busy with it, and not dead.",
    ),
    OtherSocket => row(
        "of a look, kept for the daemon's other socket",
        ALL.of_left(2),
        "Anybody may fill the read-only socket.",
    ),
    Job => row(
        "of a look, for the domain's job",
        most(1),
        "libvirt may be held up by the job; the state that it has told counts without it.",
    ),
    Question => row(
        "one more question to libvirt",
        most(2),
        "It has just answered one, so it answers at once or not at all.",
    ),
    Worker => row(
        "the same question by the worker",
        most(5),
        "A program must be started and must connect first.",
    ),
    Definition => ShareRow {
        others: &[
            (STARTS, ALL.of_free(1)),
            (RESTARTS, ALL.of_free(2)),
            (&[Action::Status], most(2).of_timeout(4)),
            (&[Action::Monitor], most(5).of_timeout(4)),
        ],
        ..row(
            "for the definition's storage",
            most(10).of_timeout(4).of_free(1),
            "A start can do nothing without it; who watches must answer, and a stop can do without.",
        )
    },
    // Before a person's action, and for what a person is shown.
    Cluster => row(
        "asking the cluster and its members",
        most(12).of_timeout(2),
        "Half of the time is left for what the person wants.",
    ),
    Members => row(
        "asking the cluster and its members for `status` and `whereis`",
        most(6),
        "What is seen here is not held up by it.",
    ),
    Doctor => row(
        "of `doctor`, kept by each who asks others for what follows from their answers",
        ALL.of_left(4),
        "The slowest of them takes the most, and its silence is an answer too.",
    ),
    Offline => row(
        "asking a member that the cluster calls offline",
        most(3),
        "It may answer, and its silence counts for nothing.",
    ),
    Hint => row(
        "looking for a hint to the person",
        most(1).of_timeout(4),
        "It only serves a sentence.",
    ),
    LookHere => row(
        "looking here before the members are asked",
        most(2).of_left(4),
        "The members' answers take the most.",
    ),
    ResourceFile => row(
        "for the file of one of the cluster's resources",
        most(1),
        "There may be many, on storage that hangs.",
    ),
    StatusLook => row(
        "the look of `status`",
        most(3).of_timeout(4),
        "A person sees more, and waits longer, than a cluster.",
    ),
    StartedFrom => row(
        "for the file that a machine was started from",
        most(2),
        "`status` only compares it.",
    ),
    // validate-all.
    HasDriver => row(
        "asking libvirt whether it has the hypervisor's driver",
        most(2),
        "A daemon that does not answer says nothing about the parameter.",
    ),
    ConfigFile => row(
        "for the file that `config` names",
        most(2),
        "At level 0 a file that is not there is no fault.",
    ),
    Lacks => row(
        "asking libvirt what this host lacks",
        ALL.of_left(3),
        "The rest is for the files, and for a look at libvirt.",
    ),
    Programs => row(
        "for the programs of monitor_scripts",
        ALL.of_left(4),
        "Storage that hangs must not hide what libvirt and the files have to say.",
    ),
    Files => row(
        "for the definition's files",
        ALL.of_left(3),
        "Storage that hangs must not hide what libvirt has to say.",
    ),
    // Waits for what may change by itself.
    Lock => ShareRow {
        others: &[(STOPS, ALL.of_left(4).of_free(2))],
        ..row(
            "waiting for another vm-agent",
            ALL,
            "Two agents at one machine undo each other's work. A stop must end all the same.",
        )
    },
    LockAtLast => row(
        "waiting on, once that was told to end",
        ALL.of_left(6).of_free(2),
        "An agent that starts or moves the machine comes to its end tidily.",
    ),
    SecondLook => ShareRow {
        others: &[(WATCHES, most(3).of_timeout(3))],
        ..row(
            "looking again",
            most(3),
            "A guest may just be rebooting, a daemon restarting, libvirt noticing an end.",
        )
    },
    Stay => row(
        "a healthy monitor, staying for what may happen (monitor_wait)",
        ALL.of_timeout(2),
        "What then happens must be looked at and told within the rest.",
    ),
    Word => row(
        "waiting for libvirt where the process alone does not tell",
        ALL.of_timeout(2),
        "It may be starting, or an incoming placeholder; then the process has to do.",
    ),
    ClearsUp => row(
        "waiting where libvirt and the process table contradict each other",
        most(10),
        "A daemon that restarts takes that long to find its domains again.",
    ),
    Stray => row(
        "waiting for a process that outlives its domain",
        most(3).of_timeout(4),
        "libvirt says off some moments before its process has ended.",
    ),
    QueueShows => row(
        "waiting until a start that libvirt has begun with shows",
        most(1).of_timeout(8),
        "A question may overtake it.",
    ),
    DaemonReturns => row(
        "a stop, waiting for a daemon that refuses connections",
        most(10).of_timeout(4),
        "It may be restarting, and only with it can the guest be asked.",
    ),
    DaemonRefuses => row(
        "a start, waiting for a daemon that refuses connections",
        most(10),
        "Then another node may try.",
    ),
    DaemonAnswers => row(
        "a start, waiting for a daemon that does not answer",
        most(60),
        "It is there, and slow.",
    ),
    // A start.
    Create => row(
        "kept to look and to create it",
        most(10).of_timeout(4),
        "A definition that comes in the last moment is of no use.",
    ),
    Standing => row(
        "asking the cluster whether the host that it last migrated to is off",
        most(1).of_left(8),
        "Without an answer that host is asked.",
    ),
    Guard => ShareRow {
        others: &[(WATCHES, most(5).of_left(3))],
        ..row(
            "asking the cluster's other members (guard)",
            most(10).of_free(3),
            "One that is online and silent may run it; its libvirt may be restarting, and the cluster waits for this \
             start. To a monitor silence says nothing.",
        )
    },
    Utilization => row(
        "keeping the resource's utilization attributes",
        most(5).of_left(4),
        "It serves a later placement, and can be done by a later monitor.",
    ),
    Agent => row(
        "asking the guest's agent",
        most(8).of_left(2),
        "libvirt waits for it itself, 5 s, and a program must be started and must connect before.",
    ),
    KeepStopped => row(
        "telling Pacemaker to keep it stopped",
        most(10).of_left(2),
        "The answer is the same without it; only what the cluster makes of that is not.",
    ),
    Elsewhere => row(
        "asking the host that it last migrated to",
        most(10).of_left(4),
        "One that is busy must have time to say that it runs there; one that the cluster knows to be off is not asked.",
    ),
    SignOfLife => row(
        "of that, until a host counts as dead that answers no request for a connection",
        most(2),
        "It is the answer of its kernel, which needs no daemon; a request that is lost is made again after 1 s.",
    ),
    Storage => row(
        "asking the storage whether its disks are open elsewhere",
        most(5).of_left(4),
        "Storage that hangs does not tell, and the start must fail or go on.",
    ),
    Resources => row(
        "starting the networks and storage pools that it needs (start_resources)",
        most(30).of_left(2),
        "A pool on storage that is dead must not take the time to say so.",
    ),
    Passes => row(
        "waiting for whoever has a disk open on this host",
        most(2).of_left(4),
        "It may be a tool that only reads for a moment.",
    ),
    Lapses => row(
        "waiting for what a dead host has left on a disk",
        most(60).of_left(2),
        "A lock over NFS or a watch of RBD lapses some time after its host was fenced.",
    ),
    Mark => row("reading and setting its mark", most(5).of_left(4), "It runs as well without."),
    // A stop.
    SaveMemory => row(
        "saving its memory (snapshot)",
        ALL.of_free(2),
        "The other half lets the guest shut down where the save fails, or takes too long.",
    ),
    SaveEnds => row(
        "waiting for a save to end that is aborted",
        most(10).of_left(3),
        "The guest must run again before it can be asked to shut down.",
    ),
    StateFolder => row(
        "for the folder of snapshot",
        most(10).of_left(4),
        "It may hang; a stop can do without it, and a start must know what lies there.",
    ),
    Force => row(
        "kept to end it by force",
        most(20).of_timeout(2),
        "A look at a silent libvirt takes 5 s, its destroy 10 s where QEMU hangs, and the process must end.",
    ),
    StartAgain => row(
        "kept to end it by force and to start it again",
        ALL.of_timeout(2),
        "A restart without a start is a stop.",
    ),
    ForceThere => row(
        "kept to end it at the target of its migration",
        most(10).of_timeout(4),
        "It may have arrived there while libvirt here was clearing up.",
    ),
    ThenThere => row(
        "of what ends it here, kept for that",
        most(10).of_timeout(4).of_left(2),
        "libvirt's destroy of the half that a post-copy leaves here may take all the time of a busy host.",
    ),
    Resume => ShareRow {
        others: &[(ENDS, ALL.of_free(1))],
        ..row("resuming it", ALL, "A stop resumes it only to ask the guest, and can do without.")
    },
    Wake => ShareRow {
        others: &[(ENDS, most(5).of_free(1))],
        ..row("waking a guest that sleeps", most(10), "A guest that does not wake cannot be moved or asked.")
    },
    Switched => row(
        "putting on record which of its disks were switched",
        most(5).of_left(8),
        "What libvirt knows of that ends with the machine.",
    ),
    Save => row(
        "saving into its file what was changed in it",
        most(10).of_free(4),
        "No stop fails for it, and the guest needs its time to shut down.",
    ),
    Sync => row(
        "csync2, copying that file to the other nodes",
        most(20).of_free(4),
        "A node may be down; that it lacks the file is warned of.",
    ),
    Abort => row(
        "aborting a migration that takes it away",
        most(10).of_left(3),
        "Nothing may arrive elsewhere that was stopped here; the rest is for its end.",
    ),
    AbortUnsaid => row(
        "aborting one that libvirt did not tell of",
        most(3).of_left(3),
        "There hardly is one.",
    ),
    Kill => row(
        "kept of a destroy to end the process itself",
        most(5).of_left(3),
        "libvirt may hang in the destroy; the process can be ended without it.",
    ),
    Sigterm => row(
        "for its process to end by SIGTERM",
        most(5).of_left(3),
        "QEMU closes its disks then.",
    ),
    Sigkill => row(
        "for its process to end by SIGKILL",
        most(10).of_left(2),
        "One that does not end waits for a device or for storage: the rest is for looking.",
    ),
    // A migration.
    Target => row(
        "asking the target of a migration",
        most(10).of_left(3),
        "It is another host, by ssh perhaps; one that is dead is asked again.",
    ),
    Begin => row(
        "connecting and checking before a move",
        most(20).of_timeout(4),
        "A target that has not answered by then is silent, and the rest may bring another try.",
    ),
    Check => row(
        "checking both ends in a rehearsal",
        most(20),
        "Nothing else is done in it.",
    ),
    GiveUp => row(
        "kept to abort the move and to look at both ends",
        most(30).of_left(10).least(6000),
        "A move that does not end in time must end as stayed, and that takes an abort and two looks.",
    ),
    Close => row(
        "of that, kept even from a move that is about to end",
        part(Share::GiveUp, 3),
        "A move that needs no abort needs less afterwards.",
    ),
    Over => row(
        "of that, kept for the looks alone",
        part(Share::GiveUp, 6),
        "libvirt's call is left to itself then.",
    ),
    Order => row(
        "giving libvirt an order about a move",
        most(5),
        "More downtime, post-copy, a pause, an abort: each takes moments, or does not come.",
    ),
    PutRight => row(
        "putting right what a move left behind",
        most(15),
        "A resume or a destroy at the other end.",
    ),
    Cut => row(
        "cutting a connection that nobody answers",
        most(2),
        "ss only tells the kernel.",
    ),
    Silence => row(
        "waiting for a target that may be dead",
        most(60),
        "A cluster does nothing about it before it has the migration's answer.",
    ),
}

impl Share {
    /// How long it is in an action.
    pub(super) fn rule(self, action: Action) -> Rule {
        let ShareRow { rule, others, .. } = self.row();
        others.iter().find(|(actions, _)| actions.contains(&action)).map_or(rule, |(_, other)| *other)
    }
}

impl ShareRow {
    /// How long it is, in words.
    #[must_use]
    pub fn text(&self) -> String {
        let others = self.others.iter().map(|(actions, rule)| {
            let words: Vec<&str> = actions.iter().map(|action| action.word()).collect();
            format!("; {}: {}", words.join(", "), rule.text())
        });
        self.rule.text() + &others.collect::<String>()
    }
}
