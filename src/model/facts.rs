// SPDX-License-Identifier: GPL-2.0-or-later
//! Facts about a domain on this host, each with its source. Nothing here changes anything.

pub(crate) use crate::model::cause::{Cause, Since, Tries};
use crate::model::definition::{self, DefinedDomain, DefinitionText, Language};
use crate::model::failure::Failure;
pub(crate) use crate::model::guest_agent::GuestAgent;
use crate::model::outcome::{Code, Outcome};
pub(crate) use crate::model::run_id::{ProcessId, RunId};
use crate::model::saved_state::SavedState;
pub(crate) use crate::model::silence::{Fact, Silence, SilenceKind};
use crate::model::standing::Standing;
use crate::model::state::{Motion, State};
use crate::model::storage::OpenDisk;
pub(crate) use crate::model::tools::Tools;
use crate::model::worker::{Lookup, Who};
use crate::sys::text::{parse_uuid, sha256_hex, uuid_text};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// All that an action knows before it decides: what its last look showed, and what it has asked since it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// How it is on this host.
    pub here: Place,
    /// What the definition's file says.
    pub definition: Definition,
    /// What is in the way of a start, and what to do: another machine, or a disk that was switched.
    pub hindrance: Option<String>,
    /// What was asked besides. A look asks none of it, and leaves it as it is.
    pub answers: Answers,
}

/// How the machine is on one host: what libvirt, or xl, says there, and what the host itself shows. See [`Place::presence`] for
/// what that comes down to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The virtual machine's name, when anything tells it.
    pub name: Option<String>,
    /// Who controls it there, or would.
    pub tools: Tools,
    /// What libvirt says, or xl where that controls it.
    pub libvirt: Libvirt,
    /// What the host itself says: its process table, or xenstore.
    pub process: Process,
    /// A start that libvirt was asked for, and whose end nobody has seen yet; by the agent's own record.
    pub starting: Option<Starting>,
    /// Whether the process was ever told to run, by libvirt's status file. Asked only when libvirt does not answer.
    pub told_to_run: Option<bool>,
}

/// A member, and how the machine is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    /// Its name in the cluster.
    pub node: String,
    /// How the cluster sees it.
    pub standing: Standing,
    /// Whether the cluster has on record that the resource runs there, where it was asked about one.
    pub on_record: Option<bool>,
    /// How the machine is there, by the word of libvirt there.
    pub place: Place,
}

/// The answers to questions that only some actions have, each at its time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Answers {
    /// Whether libvirt keeps a definition of the active domain.
    pub kept: Fact<bool>,
    /// Whether libvirt has saved memory of the domain, which its next start would restore.
    pub saved: Fact<bool>,
    /// The memory of it in the folder of `snapshot`.
    pub state: Fact<SavedState>,
    /// Whether a save that is under way is an agent's, which did not live to end it.
    pub own_save: Fact<bool>,
    /// How it is where its last migration from here went, when that host was asked.
    pub elsewhere: Option<Place>,
    /// How it is at the cluster's other members, when they were asked.
    pub peers: Fact<Vec<Peer>>,
    /// How it is at the target of the migration that this action is, when that was asked since the last look.
    pub target: Option<Place>,
    /// That nothing which can be asked stands in the way of this migration; what does.
    pub rehearsed: Fact<()>,
    /// That libvirt has begun with all that it was asked for.
    pub queue_passed: Fact<()>,
    /// That the guest's last checks found it well; why they did not.
    pub guest: Fact<()>,
    /// What the guest's agent was last found to be.
    pub agent: Fact<GuestAgent>,
    /// What is to be told of disks that were switched.
    pub switched: Fact<Option<String>>,
    /// A disk that somebody else has open, by the word of its storage.
    pub open_elsewhere: Fact<Option<OpenDisk>>,
    /// Since when it stands still, or is off, and by what.
    pub cause: Fact<Cause>,
}

/// The word on the domain of who controls it: libvirt's, or xl's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Libvirt {
    /// It knows the domain.
    Domain(Domain),
    /// It answered, and knows no such domain.
    NoDomain,
    /// It need not be asked: the parameters name no machine, or no hypervisor, for the reason given, so none was started
    /// with them; and no domain of this host bears the resource's mark.
    Unusable(String),
    /// It answered, but nothing tells which of its domains is meant.
    Ambiguous(String),
    /// It did not answer.
    Silent(Silence),
}

/// A domain, as libvirt describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Its state, with the reason.
    pub state: State,
    /// Whether it arrives or leaves; looked for only where the state leaves it open.
    pub motion: Motion,
}

/// The host's own word on the domain: that of its process table, or of xenstore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Process {
    /// Not asked.
    NotLooked,
    /// The domain's process.
    Alive {
        /// Which.
        run: RunId,
        /// Whether it was started to receive a migration (it may have done so long ago).
        incoming: bool,
        /// The name that it was started under: another one, if the definition's was changed since.
        name: String,
        /// Whether it is on its way to its end, and may hang there. It has its disks open still.
        ending: bool,
    },
    /// A process may be the domain's, and why that cannot be told.
    MayBe(String),
    /// The domain has none, but one that libvirt did not start is called like it; which.
    Namesake(String),
    /// It is not there: the whole table was read, or it is known to have ended.
    Gone,
    /// Xen has no domain of it: everything was read.
    NoDomain,
    /// Cannot be told, and why.
    Unknown(String),
}

/// What the definition's file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Definition {
    /// Not looked for.
    NotLooked,
    /// Read, well-formed, and of the right name.
    File(Box<Defined>),
    /// The file is as it was when it was last read, and was not read again; or it is no file, but a device or a command's
    /// output, which only a start reads. Of a file, only a look at a machine that runs leaves it at that.
    Unchanged {
        /// The name in it.
        name: String,
        /// The UUID in it.
        uuid: Option<[u8; 16]>,
    },
    /// There is none where it was looked for.
    None {
        /// The paths that were looked at.
        looked_at: Vec<PathBuf>,
    },
    /// It cannot be used.
    Bad(Outcome),
}

/// A definition that was read once; this text is what is created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Defined {
    /// Where it was read.
    pub path: PathBuf,
    /// The text, as read. It is in no record: it may hold passwords, and no policy looks into it.
    #[serde(skip)]
    pub text: DefinitionText,
    /// What it is written in.
    pub language: Language,
    /// The name in it.
    pub name: String,
    /// The UUID in it.
    pub uuid: Option<[u8; 16]>,
}

/// A start that libvirt was asked for, as it is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Starting {
    /// The agent that asked first. An emulator that is older than it does not come from this start.
    pub agent: ProcessId,
    /// The daemon that was asked, where it is known.
    pub daemon: Option<ProcessId>,
}

impl Starting {
    /// Whether this run can only come from this start. When a domain of Xen's was made nobody tells.
    #[must_use]
    pub(crate) const fn made(&self, run: RunId) -> bool {
        match run {
            RunId::Process { start, .. } => start >= self.agent.1,
            RunId::XenDomain(_) => false,
        }
    }

    pub(crate) fn text(&self) -> String {
        let (pid, start) = self.agent;
        let daemon = self.daemon.map_or("unknown".to_owned(), |(pid, start)| format!("{pid} {start}"));
        format!("agent {pid} {start} daemon {daemon}")
    }

    /// A record that is cut or strange is one of a start too, of which nothing else is known.
    pub(crate) fn parse(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let id = |pid: &str, start: &str| Some((pid.parse().ok()?, start.parse().ok()?));
        let (agent, daemon) = match words[..] {
            ["agent", pid, start, "daemon", daemon, since] => (id(pid, start), id(daemon, since)),
            ["agent", pid, start, "daemon", "unknown"] => (id(pid, start), None),
            _ => (None, None),
        };
        // Nothing is known to be younger than an agent that is not known.
        Self { agent: agent.unwrap_or((0, u64::MAX)), daemon }
    }
}

impl Process {
    /// The domain's process, where it was found.
    #[must_use]
    pub(crate) const fn run(&self) -> Option<RunId> {
        match self {
            Self::Alive { run, .. } => Some(*run),
            Self::NotLooked | Self::MayBe(_) | Self::Namesake(_) | Self::Gone | Self::NoDomain | Self::Unknown(_) => {
                None
            }
        }
    }
}

impl Libvirt {
    /// The UUID of the domain that it knows.
    #[must_use]
    pub(crate) const fn uuid(&self) -> Option<[u8; 16]> {
        match self {
            Self::Domain(domain) => Some(domain.uuid),
            Self::NoDomain | Self::Unusable(_) | Self::Ambiguous(_) | Self::Silent(_) => None,
        }
    }

    /// What the worker was told about a domain.
    pub(crate) fn told(lookup: Lookup) -> Self {
        let Lookup::Found(facts) = lookup else { return Self::NoDomain };
        let state = State::from_numbers(facts.state, facts.reason);
        let motion = match (facts.job_operation, facts.job_error) {
            (Some(operation), _) => Motion::of_job(state, Ok(operation)),
            (None, Some(code)) => Motion::of_job(state, Err(code)),
            (None, None) => Motion::Unknown,
        };
        match parse_uuid(&facts.uuid) {
            Some(uuid) => Self::Domain(Domain { uuid, name: facts.name, state, motion }),
            None => Self::Silent(Silence::refused("libvirt cannot be asked (its UUID is none)")),
        }
    }
}

impl Place {
    /// A host of which nothing but libvirt's word is known.
    #[must_use]
    pub(crate) const fn by_word(libvirt: Libvirt) -> Self {
        let (tools, process) = (Tools::Libvirt, Process::NotLooked);
        Self { name: None, tools, libvirt, process, starting: None, told_to_run: None }
    }

    /// Another host, whose libvirt was asked.
    pub(crate) fn told(answer: Result<Lookup, Failure>) -> Self {
        Self::by_word(answer.map_or_else(|failure| Libvirt::Silent(failure.into()), Libvirt::told))
    }

    /// A host that is known to be off, with all that it ran; by which evidence.
    pub(crate) fn dead(why: impl Into<String>) -> Self {
        let silence = Silence { kind: SilenceKind::Dead, why: why.into() };
        Self { process: Process::Gone, ..Self::by_word(Libvirt::Silent(silence)) }
    }

    /// A host that could not be asked.
    pub(crate) fn silent(why: impl Into<String>) -> Self {
        Self::by_word(Libvirt::Silent(Silence::refused(why)))
    }

    /// The domain to act on: by UUID where libvirt told it.
    #[must_use]
    pub(crate) fn who(&self) -> Who {
        match &self.libvirt {
            Libvirt::Domain(domain) => Who::Uuid(uuid_text(&domain.uuid)),
            Libvirt::NoDomain | Libvirt::Unusable(_) | Libvirt::Ambiguous(_) | Libvirt::Silent(_) => {
                Who::Name(self.name.clone().unwrap_or_default())
            }
        }
    }
}

impl Definition {
    /// The name in it.
    #[must_use]
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::File(defined) => Some(&defined.name),
            Self::Unchanged { name, .. } => Some(name),
            Self::NotLooked | Self::None { .. } | Self::Bad(_) => None,
        }
    }

    /// The UUID in it.
    #[must_use]
    pub(crate) fn uuid(&self) -> Option<[u8; 16]> {
        match self {
            Self::File(defined) => defined.uuid,
            Self::Unchanged { uuid, .. } => *uuid,
            Self::NotLooked | Self::None { .. } | Self::Bad(_) => None,
        }
    }
}

impl Defined {
    /// SHA-256 of the text, in hexadecimal. Computed when it is asked for: a monitor does without.
    #[must_use]
    pub(crate) fn sha256(&self) -> String {
        sha256_hex(self.text.as_bytes())
    }

    /// What it says.
    #[must_use]
    pub(crate) fn facts(&self) -> Option<DefinedDomain> {
        match self.language {
            Language::Xml => definition::parse(self.text.as_bytes()).ok(),
            Language::Xl => definition::parse_xl(self.text.as_bytes()).ok(),
        }
    }

    /// Whether it is for the domain that was asked for; the sentence names both names.
    ///
    /// # Errors
    /// It is another domain's.
    pub(crate) fn is_for(&self, wanted: &str) -> Result<(), Outcome> {
        if self.name == wanted {
            return Ok(());
        }
        let (path, name) = (self.path.display(), &self.name);
        let its = if self.language == Language::Xml { "<name>" } else { "name" };
        let sentence = format!("{path} defines '{name}', not '{wanted}': correct its {its} or the parameter name");
        Err(Outcome::new(Code::Installed, sentence))
    }
}

/// A migration from this host that is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// The target's connection URI.
    pub uri: String,
    /// What the cluster calls the target.
    pub node: Option<String>,
    pub stage: NotedStage,
}

/// How far a migration that is on record was seen to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotedStage {
    /// It was begun, and nobody has seen its end.
    Begun,
    /// So it was, and libvirt was then told to pause the guest until it has moved, or was about to be.
    Pausing,
    /// It was seen to have ended, with the machine at the target.
    Finished,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::failure::FailureKind;
    use crate::model::presence::Presence;
    use crate::model::worker::DomainFacts;

    fn found(state: i32, uuid: &str) -> Lookup {
        let (name, uuid) = ("a".into(), uuid.into());
        Lookup::Found(DomainFacts {
            name,
            uuid,
            id: None,
            state,
            reason: 1,
            persistent: None,
            autostart: None,
            saved: None,
            job_operation: None,
            job_error: None,
        })
    }

    #[test]
    fn another_host_is_what_its_libvirt_says_and_silence_is_unknown() {
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        let told = |lookup| Place::told(Ok(lookup));
        assert!(matches!(told(Lookup::Absent).presence(), Presence::Off(_)));
        assert!(matches!(told(found(5, uuid)).presence(), Presence::Off(_)));
        assert!(matches!(told(found(1, uuid)).presence(), Presence::Active(_)));
        // An answer that cannot be read is none.
        assert!(matches!(told(found(5, "no uuid")).presence(), Presence::Unknown(_)));
        for kind in [FailureKind::Missing, FailureKind::Refused(Some(38)), FailureKind::TimedOut, FailureKind::Crashed]
        {
            let place = Place::told(Err(Failure::new(kind, "w")));
            assert!(matches!(place.presence(), Presence::Unknown(_)), "{place:?}");
        }
        assert!(matches!(Place::silent("w").presence(), Presence::Unknown(_)));
        assert!(matches!(Place::dead("fenced").presence(), Presence::Off(_)));
    }
}
