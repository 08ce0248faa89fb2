// SPDX-License-Identifier: GPL-2.0-or-later
//! The verb that moves a domain to another host.
//!
//! libvirt's call blocks until the domain has moved or has not. Beside it, threads set the downtime when the job has begun,
//! and turn SIGTERM and the loss of the destination into an abort of the job. Whatever the call returns, the caller asks
//! both hosts.

use crate::failure::{During, own};
use crate::keeping::{self, Keeping};
use crate::{connect, ffi, guard, output, preflight};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use virt::domain::{Domain, MigrateParameters};
use virt::sys;
use vm_agent::model::change::{Flag, Migrate};
use vm_agent::model::worker::{Answer, CallStep, ErrorReply, Progress, Reply, Side, Who};

/// Between two looks for a job that has not begun.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often an abort is tried while there is no job yet: ten seconds.
const ABORT_TRIES: u32 = 100;
/// How long a guest's writing is measured, and how often the result is asked for.
const MEASURE: Duration = Duration::from_secs(1);
const MEASURE_TRIES: u32 = 10;
/// How long the deadline waits for the abort that it asks for.
const GIVE_UP_WITHIN: Duration = Duration::from_secs(2);

/// The domain, from the moment that libvirt is asked to move it.
static MOVING: Mutex<Option<Domain>> = Mutex::new(None);

fn moving() -> MutexGuard<'static, Option<Domain>> {
    MOVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Moves the domain; answers when it is over. SIGTERM must have been held back before any thread was started.
pub(crate) fn run(uri: &str, who: &Who, migrate: &Migrate) -> Result<Answer, ErrorReply> {
    guard::thread("termination", || {
        loop {
            ffi::wait_for_termination();
            abort();
        }
    })?;
    connect::run_event_loop()?;

    // The other host takes longest to answer, so it is asked first.
    let (sender, connected) = channel();
    let dest_uri = migrate.dest_uri.clone();
    guard::thread("connect", move || sender.send(connect::open(&dest_uri, CallStep::ConnectDestination)))?;
    output::progress(Progress::Asking(Side::Source));
    let source = connect::open(uri, CallStep::Connect)?;
    connect::keep_alive(&source);
    let domain = connect::find(&source, who).during(CallStep::Lookup)?;
    if migrate.measure {
        let domain = domain.clone();
        guard::thread("dirty rate", move || measure(&domain))?;
    }
    output::progress(Progress::Asking(Side::Destination));
    let gone = |_| own(CallStep::ConnectDestination, "the connection to the target was not made");
    let destination = connected.recv().map_err(gone)??;
    preflight::check(&source, &domain, &destination, migrate)?;
    let keeping = Keeping::of(&domain, migrate);
    if migrate.rehearse.is_some() {
        // For virsh, which asks for no check and makes no definition.
        return Ok(Answer { xml: keeping.dest_xml.map(Into::into), ..Answer::default() });
    }
    let p2p = migrate.flags.contains(&Flag::P2p);
    connect::keep_alive(&destination);
    if !p2p {
        let (sender, losses) = channel();
        ffi::watch_close(&destination, sender).during(CallStep::ConnectDestination)?;
        guard::thread("destination", move || watch_destination(&losses))?;
    }
    let moved_uuid = domain.uuid_string().during(CallStep::Lookup)?;

    // Some versions take the downtime only while the job runs; it is set again then.
    *moving() = Some(domain.clone());
    if let Some(ms) = migrate.downtime_ms {
        let _ = domain.migrate_set_max_downtime(ms, 0);
        let domain = domain.clone();
        guard::thread("downtime", move || set_downtime(&domain, ms))?;
    }

    output::progress(Progress::Begun);
    let asked = migrate.flags.iter().filter(|flag| keeping.leaves(**flag));
    let flags = asked.fold(0, |flags, flag| flags | number(*flag));
    let go = |dest_xml: Option<String>| {
        let parameters = MigrateParameters { dest_xml, ..parameters(migrate) };
        match p2p {
            true => domain.migrate_to_uri3(Some(&migrate.dest_uri), parameters, flags),
            false => domain.migrate3(&destination, parameters, flags).map(drop),
        }
    };
    match go(keeping.dest_xml.clone()) {
        Err(error) if keeping.is_hindered_by(&error) => {
            let why = error.message();
            keeping::warn(format!("it moves without the word that keeps the state of its TPM: {why}"));
            go(None)
        }
        moved => moved,
    }
    .during(CallStep::Call)?;
    keeping.undefine(&source, &domain);
    // How it is there, over the connection that is open anyway; who asks again has to connect anew.
    let lookup = connect::look(&destination, &Who::Uuid(moved_uuid)).ok();
    Ok(Answer { lookup, ..Answer::default() })
}

/// Before the process ends by its own deadline: a peer-to-peer migration would go on in the daemon.
pub(crate) fn give_up() {
    let begun = moving();
    if begun.is_none() {
        // Kept for ever: it cannot begin any more.
        return std::mem::forget(begun);
    }
    drop(begun);
    drop(guard::thread("give up", abort));
    std::thread::sleep(GIVE_UP_WITHIN);
}

/// A destination that is lost would else be noticed when TCP gives up, after a quarter of an hour.
fn watch_destination(losses: &Receiver<i32>) {
    while let Ok(reason) = losses.recv() {
        output::progress(Progress::Lost { end: Side::Destination, reason });
        abort();
    }
}

/// Measures how fast the guest makes its memory dirty. A libvirt or hypervisor that cannot tell is not waited for.
fn measure(domain: &Domain) {
    if ffi::start_dirty_rate(domain, MEASURE).is_err() {
        return;
    }
    for _ in 0..MEASURE_TRIES {
        std::thread::sleep(MEASURE);
        if let Ok(Some(bytes)) = ffi::dirty_rate(domain) {
            return output::progress(Progress::DirtyRate(bytes));
        }
    }
}

/// Sets the downtime as soon as there is a job.
fn set_downtime(domain: &Domain, ms: u64) {
    while !job_runs(domain) {
        std::thread::sleep(LOOK_EVERY);
    }
    let _ = domain.migrate_set_max_downtime(ms, 0);
}

fn job_runs(domain: &Domain) -> bool {
    ffi::job(domain).is_ok_and(|job| job.running())
}

/// Aborts the migration; one that has not begun will not begin, and the process ends.
fn abort() {
    let begun = moving();
    let Some(domain) = begun.clone() else {
        // The lock is held: it cannot begin any more.
        output::finish(&Reply::Error(own(CallStep::Call, "aborted before the migration began")));
    };
    drop(begun);
    // Between the call and the job's beginning there is nothing to abort yet, so it is tried again.
    for _ in 0..ABORT_TRIES {
        let runs = job_runs(&domain);
        if ffi::abort_job(&domain).is_ok() || runs {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn parameters(migrate: &Migrate) -> MigrateParameters {
    let migrate = migrate.clone();
    MigrateParameters {
        auto_converge_increment: migrate.auto_converge_increment,
        auto_converge_initial: migrate.auto_converge_initial,
        bandwidth: migrate.bandwidth,
        bandwidth_postcopy: migrate.bandwidth_postcopy,
        compression: migrate.compression,
        compression_mt_dthreads: migrate.compression_mt_dthreads,
        compression_mt_level: migrate.compression_mt_level,
        compression_mt_threads: migrate.compression_mt_threads,
        compression_xbzrle_cache: migrate.compression_xbzrle_cache,
        disks_port: migrate.disks_port,
        disks_uri: migrate.disks_uri,
        graphics_uri: migrate.graphics_uri,
        listen_address: migrate.listen_address,
        migrate_disks: migrate.migrate_disks.into_iter().collect(),
        parallel_connections: migrate.parallel_connections,
        tls_destination: migrate.tls_destination,
        uri: migrate.migrate_uri,
        ..MigrateParameters::default()
    }
}

fn number(flag: Flag) -> u32 {
    match flag {
        Flag::Live => sys::VIR_MIGRATE_LIVE,
        Flag::P2p => sys::VIR_MIGRATE_PEER2PEER,
        Flag::Tunnelled => sys::VIR_MIGRATE_TUNNELLED,
        Flag::PersistDest => sys::VIR_MIGRATE_PERSIST_DEST,
        Flag::UndefineSource => sys::VIR_MIGRATE_UNDEFINE_SOURCE,
        Flag::Paused => sys::VIR_MIGRATE_PAUSED,
        Flag::NonSharedDisk => sys::VIR_MIGRATE_NON_SHARED_DISK,
        Flag::NonSharedInc => sys::VIR_MIGRATE_NON_SHARED_INC,
        Flag::NonSharedSynchronousWrites => sys::VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES,
        Flag::ChangeProtection => sys::VIR_MIGRATE_CHANGE_PROTECTION,
        Flag::Unsafe => sys::VIR_MIGRATE_UNSAFE,
        Flag::Offline => sys::VIR_MIGRATE_OFFLINE,
        Flag::Compressed => sys::VIR_MIGRATE_COMPRESSED,
        Flag::AbortOnError => sys::VIR_MIGRATE_ABORT_ON_ERROR,
        Flag::AutoConverge => sys::VIR_MIGRATE_AUTO_CONVERGE,
        Flag::RdmaPinAll => sys::VIR_MIGRATE_RDMA_PIN_ALL,
        Flag::Postcopy => sys::VIR_MIGRATE_POSTCOPY,
        Flag::PostcopyResume => sys::VIR_MIGRATE_POSTCOPY_RESUME,
        Flag::Tls => sys::VIR_MIGRATE_TLS,
        Flag::Parallel => sys::VIR_MIGRATE_PARALLEL,
        Flag::Zerocopy => sys::VIR_MIGRATE_ZEROCOPY,
    }
}
