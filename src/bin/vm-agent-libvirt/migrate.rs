// SPDX-License-Identifier: GPL-2.0-or-later
//! The verb that moves a domain to another host.
//!
//! libvirt's call blocks until the domain has moved or has not. Beside it, threads print the job's progress, obey
//! commands from standard input, and turn SIGTERM and the loss of the destination into an abort of the job. When to give
//! which command is the caller's policy. Whatever the call returns, the caller asks both hosts.

use crate::watch::Happening;
use crate::{connect, ffi, guard, libvirts, output, own, preflight};
use std::io::BufRead;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use virt::domain::{Domain, MigrateParameters};
use virt::sys;
use vm_agent::worker::{Answer, Command, End, Failure, Flag, Migrate, Progress, Reply, Step, Who};

/// Between two progress lines.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Between two looks for a job that has not begun, or has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often an abort is tried while there is no job yet: ten seconds.
const ABORT_TRIES: u32 = 100;
/// How long a guest's writing is measured, and how often the result is asked for.
const MEASURE: Duration = Duration::from_secs(1);
const MEASURE_TRIES: u32 = 10;
/// How long the deadline waits for the abort that it asks for.
const GIVE_UP_WITHIN: Duration = Duration::from_secs(2);

/// `virDomainJobType` of a job that runs.
pub const RUNNING: [i32; 2] = [sys::VIR_DOMAIN_JOB_BOUNDED as i32, sys::VIR_DOMAIN_JOB_UNBOUNDED as i32];

/// The domain, from the moment that libvirt is asked to move it.
static MOVING: Mutex<Option<Domain>> = Mutex::new(None);

fn moving() -> MutexGuard<'static, Option<Domain>> {
    MOVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Moves the domain; answers when it is over. SIGTERM must have been held back before any thread was started.
pub fn run(uri: &str, who: &Who, migrate: &Migrate) -> Result<Answer, Failure> {
    guard::thread("termination", || {
        loop {
            ffi::wait_for_termination();
            obey(Command::Abort);
        }
    })?;
    guard::thread("commands", read_commands)?;
    connect::run_event_loop()?;

    // The other host takes longest to answer, so it is asked first.
    let (sender, connected) = channel();
    let dest_uri = migrate.dest_uri.clone();
    guard::thread("connect", move || sender.send(connect::open(&dest_uri, Step::ConnectDestination)))?;
    output::progress(Progress::Asking(End::Source));
    let source = connect::open(uri, Step::Connect)?;
    connect::keep_alive(&source);
    let domain = connect::find(&source, who).map_err(libvirts(Step::Lookup))?;
    if migrate.measure {
        let domain = domain.clone();
        guard::thread("dirty rate", move || measure(&domain))?;
    }
    output::progress(Progress::Asking(End::Destination));
    let gone = |_| own(Step::ConnectDestination)("the connection to the target was not made".into());
    let destination = connected.recv().map_err(gone)??;
    preflight::check(&source, &domain, &destination, migrate.rehearse)?;
    if migrate.rehearse {
        return Ok(Answer::default());
    }
    let p2p = migrate.flags.contains(&Flag::P2p);
    connect::keep_alive(&destination);
    if !p2p {
        let (sender, losses) = channel();
        ffi::watch_close(&destination, sender).map_err(libvirts(Step::ConnectDestination))?;
        guard::thread("destination", move || watch_destination(&losses))?;
    }
    let moved_uuid = domain.uuid_string().map_err(libvirts(Step::Lookup))?;

    // Some versions take the downtime only while the job runs; it is set again then.
    let downtime = migrate.downtime_ms;
    if let Some(ms) = downtime {
        let _ = domain.migrate_set_max_downtime(ms, 0);
    }
    *moving() = Some(domain.clone());
    guard::thread("progress", move || print_progress(downtime))?;

    output::progress(Progress::Begun);
    let flags = migrate.flags.iter().fold(0, |flags, flag| flags | number(*flag));
    let moved = if p2p {
        domain.migrate_to_uri3(Some(&migrate.dest_uri), parameters(migrate), flags)
    } else {
        domain.migrate3(&destination, parameters(migrate), flags).map(drop)
    };
    moved.map_err(libvirts(Step::Call))?;
    // How it is there, over the connection that is open anyway; who asks again has to connect anew.
    let lookup = connect::look(&destination, &Who::Uuid(moved_uuid)).ok();
    Ok(Answer { lookup, ..Answer::default() })
}

/// Before the process ends by its own deadline: a peer-to-peer migration would go on in the daemon.
pub fn give_up() {
    let begun = moving();
    if begun.is_none() {
        // Kept for ever: it cannot begin any more.
        return std::mem::forget(begun);
    }
    drop(begun);
    drop(guard::thread("give up", || obey(Command::Abort)));
    std::thread::sleep(GIVE_UP_WITHIN);
}

/// The end of the input says nothing: a caller may close it and go on reading.
fn read_commands() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            // One that hangs must not keep an abort from being heard.
            Ok(command) => drop(guard::thread("command", move || obey(command))),
            Err(why) => output::progress(Progress::NoCommand(format!("{line}: {why}"))),
        }
    }
}

/// A destination that is lost would else be noticed when TCP gives up, after a quarter of an hour.
fn watch_destination(losses: &Receiver<Happening>) {
    while let Ok(happening) = losses.recv() {
        if let Happening::Closed { reason } = happening {
            output::progress(Progress::Lost { end: End::Destination, reason });
            obey(Command::Abort);
        }
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

/// Prints the statistics of the job as long as the process lives; sets the downtime when there is a job.
fn print_progress(mut downtime: Option<u64>) {
    let Some(domain) = moving().clone() else { return };
    loop {
        match ffi::job(&domain, false) {
            Ok(job) if RUNNING.contains(&job.kind) => {
                output::progress(Progress::Job(job));
                if let Some(ms) = downtime.take() {
                    obey(Command::Downtime { ms });
                }
                std::thread::sleep(PROGRESS_EVERY);
            }
            Ok(_) | Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Carries out a command, and says so.
fn obey(command: Command) {
    let guard = moving();
    let Some(domain) = guard.clone() else {
        let message = "the migration has not begun".to_owned();
        if command == Command::Abort {
            // The lock is held: it cannot begin any more.
            output::finish(&Reply::Error(own(Step::Call)("aborted before the migration began".into())));
        }
        return output::progress(Progress::Did { command, error: Some(own(Step::Call)(message)) });
    };
    drop(guard);
    let done = match command {
        Command::Abort => abort(&domain),
        Command::Downtime { ms } => domain.migrate_set_max_downtime(ms, 0),
        Command::Bandwidth { mib } => domain.migrate_set_max_speed(mib, 0),
        Command::Postcopy => ffi::start_postcopy(&domain),
        Command::Suspend => domain.suspend(),
        Command::Resume => domain.resume(),
    };
    output::progress(Progress::Did { command, error: done.map_err(libvirts(Step::Call)).err() });
}

/// Aborts the job. Between the call and the job's beginning there is nothing to abort yet, so it is tried again.
fn abort(domain: &Domain) -> Result<(), virt::error::Error> {
    let mut tries = 1..ABORT_TRIES;
    loop {
        let runs = ffi::job(domain, false).is_ok_and(|job| RUNNING.contains(&job.kind));
        let aborted = ffi::abort_job(domain);
        if runs || aborted.is_ok() || tries.next().is_none() {
            return aborted;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn parameters(migrate: &Migrate) -> MigrateParameters {
    let migrate = migrate.clone();
    let xml = migrate.xml.unwrap_or_default();
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
        dest_xml: xml.destination,
        disks_port: migrate.disks_port,
        disks_uri: migrate.disks_uri,
        graphics_uri: migrate.graphics_uri,
        listen_address: migrate.listen_address,
        migrate_disks: migrate.migrate_disks.into_iter().collect(),
        parallel_connections: migrate.parallel_connections,
        persist_xml: xml.persistent,
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
