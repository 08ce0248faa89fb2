// SPDX-License-Identifier: GPL-2.0-or-later
//! Who called, for what: argv and environment become one `Invocation`, the same for every caller. Pure, but for
//! `Environment::of_this_process`, the only place that reads the environment.

pub use crate::model::action::Action;
pub use crate::model::caller::Caller;

use crate::model::budget::Budget;
use crate::model::params::{Concern, Params, Problem};
use crate::sys::text::shown;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// A longer timeout counts as this one, a year: it must still fit where milliseconds are counted.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// The environment, as pairs of bytes.
#[derive(Clone, Debug, Default)]
pub struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// This process's environment.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the place where it is read")]
    pub fn of_this_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// An environment made of pairs.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// The value of `name`; an empty one counts as unset.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_os_str())
    }

    /// The text of `name`; an empty one, or one that is not UTF-8, counts as unset.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }

    /// The parameters: what follows `OCF_RESKEY_`.
    pub fn reskeys(&self) -> impl Iterator<Item = (&[u8], &OsStr)> {
        self.0.iter().filter_map(|(n, v)| Some((n.as_bytes().strip_prefix(b"OCF_RESKEY_")?, v.as_os_str())))
    }

    fn any_starts(&self, prefix: &[u8]) -> bool {
        self.0.iter().any(|(n, _)| n.as_bytes().starts_with(prefix))
    }

    /// All pairs.
    #[must_use]
    pub fn pairs(&self) -> &[(OsString, OsString)] {
        &self.0
    }

    /// What a caller of OCF agents says: for the administrator's programs, which are promised it.
    fn ocf(&self) -> Vec<(OsString, OsString)> {
        self.0.iter().filter(|(name, _)| name.as_bytes().starts_with(b"OCF_")).cloned().collect()
    }
}

/// One call, in the same words for every caller.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Who called.
    pub caller: Caller,
    /// For what.
    pub action: Action,
    /// The parameters.
    pub params: Params,
    /// The caller's timeout for this action.
    pub timeout: Duration,
    /// The caller waits for ever: a migration may take longer than the timeout, as long as it gets on.
    pub open_ended: bool,
    /// Whether the caller repeats this monitor (Pacemaker's interval is not 0).
    pub recurring: bool,
    /// OCF_CHECK_LEVEL.
    pub check_level: u32,
    /// Whether the resource's agent has the name of Pacemaker's predecessor.
    pub as_virtual_domain: bool,
    /// The resource's name in the cluster (`vm:foo`, `foo`), or empty.
    pub instance: String,
    /// This node's name in the cluster, when it is told.
    pub node: Option<String>,
    /// Where to migrate to.
    pub target: Option<OsString>,
    /// Where a migration comes from.
    pub source: Option<String>,
    /// The call as a cluster manager makes it, in variables of the environment: what the administrator's own programs get.
    pub ocf: Vec<(OsString, OsString)>,
}

/// Which program this is called as: by `VM_AGENT_CALLER`, else by `argv[0]`, else by the environment.
#[must_use]
pub fn caller(argv0: &OsStr, env: &Environment) -> Caller {
    if let Some(caller) = env.text("VM_AGENT_CALLER").and_then(Caller::parse) {
        return caller;
    }
    let ocf = || {
        let crm = env.any_starts(b"OCF_RESKEY_CRM_meta_") || env.get("OCF_RESKEY_crm_feature_set").is_some();
        if crm { Caller::Pacemaker } else { Caller::Ocf }
    };
    match argv0.as_bytes().rsplit(|b| *b == b'/').next() {
        Some(b"vm.sh") => Caller::Rgmanager,
        Some(b"vm" | b"VirtualDomain" | b"Xen") => ocf(),
        _ if env.any_starts(b"OCF_RESKEY_RGMANAGER_meta_") => Caller::Rgmanager,
        _ if env.get("OCF_RESOURCE_INSTANCE").is_some() || env.any_starts(b"OCF_RESKEY_") => ocf(),
        _ => Caller::Human,
    }
}

impl Invocation {
    /// A cluster manager's call: everything but the action is in the environment.
    #[must_use]
    pub fn from_manager(caller: Caller, action: Action, argument: Option<&OsStr>, env: &Environment) -> Self {
        let mut params = Params::read(env.reskeys());
        let mut number = |name: &str, what: &str| -> Option<u64> {
            let value = env.get(name)?;
            let parsed = value.to_str().and_then(|t| t.trim().parse().ok());
            if parsed.is_none() {
                params.problems.push(Problem {
                    param: name.to_owned(),
                    text: format!("'{}' is not a number; expected {what}", shown(value)),
                    // The published value, or the default, counts.
                    concerns: Concern::Nothing,
                    used: false,
                });
            }
            parsed
        };
        // rgmanager says 0 when it enforces the published timeouts, so 0 means the published one. When it tells that one it
        // enforces none, and nobody has asked for one: cluster.conf would have told another.
        let timeout = match caller {
            Caller::Rgmanager => number("OCF_RESKEY_RGMANAGER_meta_timeout", "seconds").map(Duration::from_secs),
            Caller::Pacemaker | Caller::Ocf | Caller::Human => {
                number("OCF_RESKEY_CRM_meta_timeout", "milliseconds").map(Duration::from_millis)
            }
        };
        let told = timeout.filter(|told| !told.is_zero());
        let published = action.default_timeout(caller);
        let interval = number("OCF_RESKEY_CRM_meta_interval", "milliseconds").unwrap_or(0);
        let check_level = number("OCF_CHECK_LEVEL", "0, 10 or 20").unwrap_or(0);
        let target = match caller {
            Caller::Rgmanager => argument.map(OsStr::to_owned),
            Caller::Pacemaker | Caller::Ocf | Caller::Human => {
                env.get("OCF_RESKEY_CRM_meta_migrate_target").map(OsStr::to_owned)
            }
        };
        Self {
            caller,
            action,
            timeout: told.unwrap_or(published).min(LONGEST),
            open_ended: caller == Caller::Rgmanager && action.moves() && told == Some(published),
            recurring: interval > 0 || (caller == Caller::Rgmanager && action == Action::Status),
            check_level: u32::try_from(check_level).unwrap_or(u32::MAX),
            as_virtual_domain: env.text("OCF_RESOURCE_TYPE") == Some("VirtualDomain"),
            instance: env.get("OCF_RESOURCE_INSTANCE").map(|v| v.to_string_lossy().into_owned()).unwrap_or_default(),
            node: env.text("OCF_RESKEY_CRM_meta_on_node").map(str::to_owned),
            source: env.text("OCF_RESKEY_CRM_meta_migrate_source").map(str::to_owned),
            target,
            params,
            ocf: env.ocf(),
        }
    }

    /// Whether this monitor asks, once, if the virtual machine happens to run here.
    #[must_use]
    pub fn probe(&self) -> bool {
        matches!(self.caller, Caller::Pacemaker) && self.action == Action::Monitor && !self.recurring
    }

    /// Whether this monitor may stay with a machine that runs well, to tell of a change when it comes. One of depth 10 may
    /// not: the guest's checks would be old at its end, and Pacemaker runs one monitor of a resource after the other.
    #[must_use]
    pub const fn may_stay(&self) -> bool {
        let recurring = matches!(self.caller, Caller::Pacemaker) && self.recurring && self.check_level < 10;
        recurring && matches!(self.action, Action::Monitor) && self.params.monitor_wait > 0
    }

    /// What there is of time, and what it is for.
    #[must_use]
    pub const fn budget(&self) -> Budget {
        Budget::of(self.action, self.caller, self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(pairs.iter().map(|(n, v)| (OsString::from(n), OsString::from(v))))
    }

    fn called(argv0: &str, pairs: &[(&str, &str)]) -> Caller {
        caller(OsStr::new(argv0), &env(pairs))
    }

    #[test]
    fn the_name_it_is_called_by_tells_the_caller() {
        let crm = [("OCF_RESKEY_CRM_meta_timeout", "1")];
        assert_eq!(called("/usr/share/cluster/vm.sh", &[]), Caller::Rgmanager);
        assert_eq!(called("/usr/lib/ocf/resource.d/vm-agent/vm", &crm), Caller::Pacemaker);
        for name in ["VirtualDomain", "Xen"] {
            assert_eq!(called(name, &[("OCF_RESOURCE_INSTANCE", "a")]), Caller::Ocf);
        }
        assert_eq!(called("/usr/sbin/vm-agent", &[("PATH", "/bin")]), Caller::Human);
        assert_eq!(called("/usr/sbin/vm-agent", &crm), Caller::Pacemaker);
        assert_eq!(called("vm-agent", &[("OCF_RESKEY_name", "a"), ("VM_AGENT_CALLER", "human")]), Caller::Human);
    }

    #[test]
    fn pacemaker_counts_in_milliseconds_and_rgmanager_in_seconds() {
        let vars = env(&[("OCF_RESKEY_CRM_meta_timeout", "30000"), ("OCF_RESKEY_RGMANAGER_meta_timeout", "45")]);
        let of = |c| Invocation::from_manager(c, Action::Start, None, &vars).timeout.as_secs();
        assert_eq!((of(Caller::Pacemaker), of(Caller::Rgmanager)), (30, 45));
    }

    #[test]
    fn rgmanagers_timeout_of_zero_means_the_published_one() {
        let vars = env(&[("OCF_RESKEY_RGMANAGER_meta_timeout", "0")]);
        assert_eq!(Invocation::from_manager(Caller::Rgmanager, Action::Stop, None, &vars).timeout.as_secs(), 120);
    }

    #[test]
    fn a_migration_is_open_ended_where_rgmanager_enforces_no_timeout_and_nobody_set_one() {
        let of = |caller, action, seconds: &str| {
            let vars = env(&[("OCF_RESKEY_RGMANAGER_meta_timeout", seconds)]);
            let inv = Invocation::from_manager(caller, action, None, &vars);
            (inv.open_ended, inv.timeout.as_secs())
        };
        assert_eq!(of(Caller::Rgmanager, Action::Migrate, "600"), (true, 600));
        // It enforces the published one, or cluster.conf has its own.
        assert_eq!(of(Caller::Rgmanager, Action::Migrate, "0"), (false, 600));
        assert_eq!(of(Caller::Rgmanager, Action::Migrate, ""), (false, 600));
        assert_eq!(of(Caller::Rgmanager, Action::Migrate, "3600"), (false, 3600));
        assert_eq!(of(Caller::Rgmanager, Action::Stop, "120"), (false, 120));
        assert_eq!(of(Caller::Pacemaker, Action::MigrateTo, "600"), (false, 600));
    }

    #[test]
    fn an_ocf_caller_that_tells_no_time_is_answered_before_systemd_ends_the_agent() {
        let of = |caller, action| Invocation::from_manager(caller, action, None, &env(&[])).timeout.as_secs();
        for action in [Action::Start, Action::Stop, Action::Kill, Action::Restart, Action::Recover] {
            assert_eq!(of(Caller::Ocf, action), 80, "{action:?}");
            assert!(of(Caller::Pacemaker, action) > 80, "{action:?}");
        }
        assert_eq!((of(Caller::Ocf, Action::Monitor), of(Caller::Ocf, Action::MigrateTo)), (30, 600));
    }

    #[test]
    fn a_timeout_beyond_a_year_is_a_year() {
        for (caller, name) in [
            (Caller::Rgmanager, "OCF_RESKEY_RGMANAGER_meta_timeout"),
            (Caller::Pacemaker, "OCF_RESKEY_CRM_meta_timeout"),
            (Caller::Human, "OCF_RESKEY_CRM_meta_timeout"),
        ] {
            for text in ["9000000000000000000", "18446744073709551615"] {
                let inv = Invocation::from_manager(caller, Action::Stop, None, &env(&[(name, text)]));
                assert_eq!((inv.timeout.as_secs(), inv.params.problems.len()), (31_536_000, 0), "{name}={text}");
            }
        }
    }

    #[test]
    fn only_rgmanager_gives_the_target_as_an_argument() {
        let vars = env(&[("OCF_RESKEY_CRM_meta_migrate_target", "n2")]);
        let of = |c| Invocation::from_manager(c, Action::Migrate, Some(OsStr::new("n9")), &vars).target;
        assert_eq!((of(Caller::Pacemaker), of(Caller::Rgmanager)), (Some("n2".into()), Some("n9".into())));
    }

    #[test]
    fn a_timeout_that_is_no_number_is_a_problem_and_the_default_holds() {
        let vars = env(&[("OCF_RESKEY_CRM_meta_timeout", "soon")]);
        let inv = Invocation::from_manager(Caller::Pacemaker, Action::Stop, None, &vars);
        assert_eq!((inv.timeout.as_secs(), inv.params.problems.len()), (120, 1));
    }
}
