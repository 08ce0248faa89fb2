// SPDX-License-Identifier: GPL-2.0-or-later
//! What `virt` lacks or gets wrong, by way of its raw bindings: the only `unsafe` code of the package.
//!
//! Each function here is safe to call, takes and gives Rust's types, and returns libvirt's error of the same thread.
#![allow(unsafe_code)]

use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::mpsc::Sender;
use std::time::Duration;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::sys;
use vm_agent::model::definition::DefinedDomain;

/// A `sigset_t` of Linux: 1024 bits in glibc as in musl.
#[repr(C)]
struct SignalSet([u64; 16]);

/// `VIR_DOMAIN_STATS_DIRTYRATE`.
const STATS_DIRTYRATE: c_uint = 1 << 9;
/// `VIR_DOMAIN_DIRTYRATE_MEASURED`.
const STATUS_MEASURED: u64 = 2;

/// Linux's number for "block these signals too" (all architectures but MIPS and SPARC).
const SIG_BLOCK: c_int = 0;

unsafe extern "C" {
    fn sigemptyset(set: *mut SignalSet) -> c_int;
    fn sigaddset(set: *mut SignalSet, signal: c_int) -> c_int;
    fn pthread_sigmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
    fn sigwait(set: *const SignalSet, signal: *mut c_int) -> c_int;
    safe fn _exit(status: c_int) -> !;
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn free(memory: *mut c_void);
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Ends the process at once: no destructor of libvirt's fifty libraries runs beside the threads that still do.
pub(crate) fn exit(status: c_int) -> ! {
    _exit(status)
}

/// SIGTERM and SIGINT.
fn termination() -> SignalSet {
    let mut set = SignalSet([0; 16]);
    // SAFETY: the set is ours, as long as C's, and any content of it is made valid by `sigemptyset`.
    unsafe {
        sigemptyset(&raw mut set);
        for signal in [Signal::TERM, Signal::INT] {
            sigaddset(&raw mut set, signal.as_raw());
        }
    }
    set
}

/// Holds back SIGTERM and SIGINT, in this thread and those that it starts from now on.
pub(crate) fn hold_termination() {
    let set = termination();
    // SAFETY: the set is valid, and no old one is asked for. (It can fail for a wrong first argument only.)
    unsafe { pthread_sigmask(SIG_BLOCK, &raw const set, ptr::null_mut()) };
}

/// Returns when a signal that is held back arrives.
pub(crate) fn wait_for_termination() {
    let (set, mut signal) = (termination(), 0);
    // SAFETY: the set is valid, and the number ours. (It can fail for a wrong set only.)
    unsafe { sigwait(&raw const set, &raw mut signal) };
}

fn check(result: c_int) -> Result<c_int, Error> {
    if result < 0 { Err(Error::last_error()) } else { Ok(result) }
}

/// `virDomainState` and its reason. (`Domain::state` drops the error.)
pub(crate) fn state(domain: &Domain) -> Result<(i32, i32), Error> {
    let (mut state, mut reason) = (0, 0);
    // SAFETY: the domain is alive as long as the reference; both numbers are ours.
    check(unsafe { sys::virDomainGetState(domain.as_ptr(), &raw mut state, &raw mut reason, 0) })?;
    Ok((state, reason))
}

/// Writes the domain's memory to a file and ends it.
pub(crate) fn save(domain: &Domain, path: &str, flags: u32) -> Result<(), Error> {
    let path = CString::new(path)?;
    // SAFETY: the domain is alive as long as the reference; the path lives until the end of this function, and is copied.
    check(unsafe { sys::virDomainSaveFlags(domain.as_ptr(), path.as_ptr(), ptr::null(), flags) }).map(drop)
}

/// Writes the domain's memory to a sparse image by so many channels at once, and ends it. libvirt can since 11.2.0.
pub(crate) fn save_sparse(domain: &Domain, path: &str, channels: u32, flags: u32) -> Result<(), Error> {
    type Save = unsafe extern "C" fn(sys::virDomainPtr, sys::virTypedParameterPtr, c_int, c_uint) -> c_int;
    let found = newer(c"virDomainSaveParams")?;
    // SAFETY: it is the function of this name, whose type libvirt promises.
    let save = unsafe { std::mem::transmute::<*mut c_void, Save>(found) };
    let mut image = ImageParams::new(path, channels)?;
    image.add(sys::VIR_DOMAIN_SAVE_PARAM_IMAGE_FORMAT, sys::VIR_DOMAIN_SAVE_PARAM_IMAGE_FORMAT_SPARSE)?;
    // SAFETY: the domain is alive as long as the reference, and so are the parameters, which libvirt only reads.
    check(unsafe { save(domain.as_ptr(), image.params, image.count, flags) }).map(drop)
}

/// Restores a domain from a sparse image, which so many channels read at once. libvirt can since 11.2.0.
pub(crate) fn restore_sparse(connection: &Connect, path: &str, channels: u32, flags: u32) -> Result<(), Error> {
    type Restore = unsafe extern "C" fn(sys::virConnectPtr, sys::virTypedParameterPtr, c_int, c_uint) -> c_int;
    let found = newer(c"virDomainRestoreParams")?;
    // SAFETY: it is the function of this name, whose type libvirt promises.
    let restore = unsafe { std::mem::transmute::<*mut c_void, Restore>(found) };
    let image = ImageParams::new(path, channels)?;
    // SAFETY: the connection is open as long as the reference, and so are the parameters, which libvirt only reads.
    check(unsafe { restore(connection.as_ptr(), image.params, image.count, flags) }).map(drop)
}

/// Typed parameters that tell of an image: libvirt's own allocation.
struct ImageParams {
    params: sys::virTypedParameterPtr,
    count: c_int,
    room: c_int,
}

impl ImageParams {
    fn new(path: &str, channels: u32) -> Result<Self, Error> {
        let mut image = Self { params: ptr::null_mut(), count: 0, room: 0 };
        image.add(sys::VIR_DOMAIN_SAVE_PARAM_FILE, &CString::new(path)?)?;
        let (name, channels) = (sys::VIR_DOMAIN_SAVE_PARAM_PARALLEL_CHANNELS, c_int::try_from(channels).unwrap_or(1));
        let (params, count, room) = (&raw mut image.params, &raw mut image.count, &raw mut image.room);
        // SAFETY: the three are libvirt's to change, and say together what it has allocated; the name ends with NUL.
        check(unsafe { sys::virTypedParamsAddInt(params, count, room, name.as_ptr(), channels) })?;
        Ok(image)
    }

    fn add(&mut self, name: &CStr, value: &CStr) -> Result<(), Error> {
        let (params, count, room) = (&raw mut self.params, &raw mut self.count, &raw mut self.room);
        // SAFETY: as above; both texts end with NUL, and are copied.
        check(unsafe { sys::virTypedParamsAddString(params, count, room, name.as_ptr(), value.as_ptr()) }).map(drop)
    }
}

impl Drop for ImageParams {
    fn drop(&mut self) {
        // SAFETY: libvirt has allocated so many; nothing refers to them any more.
        unsafe { sys::virTypedParamsFree(self.params, self.count) };
    }
}

/// A function of libvirt's that is newer than the oldest library that this program runs with.
fn newer(name: &CStr) -> Result<*mut c_void, Error> {
    // SAFETY: no library means all that are loaded; the name ends with NUL.
    let found = unsafe { dlsym(ptr::null_mut(), name.as_ptr()) };
    if found.is_null() { Err(Error::last_error()) } else { Ok(found) }
}

/// Aborts the domain's job.
pub(crate) fn abort_job(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain is alive as long as the reference.
    check(unsafe { sys::virDomainAbortJob(domain.as_ptr()) }).map(drop)
}

/// Whether the disk (its target) has a job: a copy, a commit, ...
pub(crate) fn has_block_job(domain: &Domain, disk: &str) -> Result<bool, Error> {
    let disk = CString::new(disk)?;
    let mut info = sys::virDomainBlockJobInfo { type_: 0, bandwidth: 0, cur: 0, end: 0 };
    // SAFETY: the domain is alive as long as the reference; the name lives until the end of this function; the record is
    // ours.
    check(unsafe { sys::virDomainGetBlockJobInfo(domain.as_ptr(), disk.as_ptr(), &raw mut info, 0) })
        .map(|found| found > 0)
}

/// Switches the domain's migration to post-copy.
pub(crate) fn start_postcopy(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain is alive as long as the reference.
    check(unsafe { sys::virDomainMigrateStartPostCopy(domain.as_ptr(), 0) }).map(drop)
}

/// Has the hypervisor measure how fast the guest makes its memory dirty. libvirt has the function since 7.2.0.
pub(crate) fn start_dirty_rate(domain: &Domain, time: Duration) -> Result<(), Error> {
    type Start = unsafe extern "C" fn(sys::virDomainPtr, c_int, c_uint) -> c_int;
    let found = newer(c"virDomainStartDirtyRateCalc")?;
    // SAFETY: it is the function of this name, whose type libvirt promises.
    let start = unsafe { std::mem::transmute::<*mut c_void, Start>(found) };
    let seconds = c_int::try_from(time.as_secs()).unwrap_or(1);
    // SAFETY: the domain is alive as long as the reference.
    check(unsafe { start(domain.as_ptr(), seconds, 0) }).map(drop)
}

/// Sends the guest's agent a command, and gives its answer. The function is of a library of its own, beside libvirt's.
pub(crate) fn agent_command(domain: &Domain, command: &str, seconds: u32) -> Result<String, Error> {
    type Send = unsafe extern "C" fn(sys::virDomainPtr, *const c_char, c_int, c_uint) -> *mut c_char;
    const RTLD_NOW: c_int = 2;
    let command = CString::new(command)?;
    // SAFETY: the names end with NUL; the library stays where it is until the process ends.
    let found = unsafe {
        let library = dlopen(c"libvirt-qemu.so.0".as_ptr(), RTLD_NOW);
        if library.is_null() { library } else { dlsym(library, c"virDomainQemuAgentCommand".as_ptr()) }
    };
    if found.is_null() {
        return Err(Error::last_error());
    }
    // SAFETY: it is the function of this name, whose type libvirt promises.
    let send = unsafe { std::mem::transmute::<*mut c_void, Send>(found) };
    let seconds = c_int::try_from(seconds).unwrap_or(1);
    // SAFETY: the domain is alive as long as the reference; the command lives until the end of this function. The answer is
    // NULL, or a string that is ours to free, and that nothing refers to after that.
    unsafe {
        let answer = send(domain.as_ptr(), command.as_ptr(), seconds, 0);
        if answer.is_null() {
            return Err(Error::last_error());
        }
        let said = text(answer);
        free(answer.cast());
        Ok(said)
    }
}

/// Bytes a second that were measured; `None` as long as there is no result.
pub(crate) fn dirty_rate(domain: &Domain) -> Result<Option<u64>, Error> {
    let mut records: *mut sys::virDomainStatsRecordPtr = ptr::null_mut();
    // SAFETY: the domain is alive as long as the reference; the list of domains ends with NULL; libvirt allocates the
    // records.
    let count = check(unsafe {
        let mut domains = [domain.as_ptr(), ptr::null_mut()];
        sys::virDomainListGetStats(domains.as_mut_ptr(), STATS_DIRTYRATE, &raw mut records, 0)
    })?;
    let mut stats = BTreeMap::new();
    if !records.is_null() {
        // SAFETY: libvirt gave us `count` records at this address, each with as many parameters as it says.
        unsafe {
            for record in std::slice::from_raw_parts(records, usize::try_from(count).unwrap_or(0)) {
                stats.extend(named(record.read().params, record.read().nparams));
            }
            sys::virDomainStatsRecordListFree(records);
        }
    }
    let number = |name: &str| stats.get(name).and_then(Value::as_u64);
    let measured = number("dirtyrate.calc_status") == Some(STATUS_MEASURED);
    Ok(number("dirtyrate.megabytes_per_second").filter(|_| measured).map(|mib| mib << 20))
}

/// A domain's job.
pub(crate) struct Job {
    /// `virDomainJobType`: 0 is none, 1 and 2 are running, 3 completed, 4 failed, 5 cancelled.
    kind: i32,
    /// `virDomainJobOperation`; 0 without a job.
    pub operation: i32,
}

impl Job {
    pub(crate) fn running(&self) -> bool {
        const RUNNING: [i32; 2] = [sys::VIR_DOMAIN_JOB_BOUNDED as i32, sys::VIR_DOMAIN_JOB_UNBOUNDED as i32];
        RUNNING.contains(&self.kind)
    }
}

/// The domain's job. (`Domain::job_stats` aborts on an idle domain.)
pub(crate) fn job(domain: &Domain) -> Result<Job, Error> {
    let (mut kind, mut count) = (0, 0);
    let mut parameters: sys::virTypedParameterPtr = ptr::null_mut();
    // SAFETY: the domain is alive as long as the reference; libvirt allocates the array, and says how long it is.
    check(unsafe {
        sys::virDomainGetJobStats(domain.as_ptr(), &raw mut kind, &raw mut parameters, &raw mut count, 0)
    })?;
    // SAFETY: libvirt gave us `count` parameters at this address. The array and its strings are libvirt's allocation, which
    // the second call frees; nothing refers to it then.
    let stats = unsafe {
        let stats = named(parameters, count);
        sys::virTypedParamsFree(parameters, count);
        stats
    };
    let operation = stats.get("operation").and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok());
    Ok(Job { kind, operation: operation.unwrap_or(0) })
}

/// Typed parameters by their names.
///
/// # Safety
/// There are `count` of them at this address, or it is NULL.
unsafe fn named(parameters: sys::virTypedParameterPtr, count: c_int) -> BTreeMap<String, Value> {
    if parameters.is_null() {
        return BTreeMap::new();
    }
    // SAFETY: the caller's promise.
    let parameters = unsafe { std::slice::from_raw_parts(parameters, usize::try_from(count).unwrap_or(0)) };
    // SAFETY: libvirt ends each name with NUL.
    parameters.iter().map(|parameter| (unsafe { text(parameter.field.as_ptr()) }, value(parameter))).collect()
}

fn value(parameter: &sys::virTypedParameter) -> Value {
    // SAFETY: the type says which member of the union is set; a string is NUL-ended.
    unsafe {
        match u32::try_from(parameter.type_).unwrap_or(0) {
            sys::VIR_TYPED_PARAM_INT => parameter.value.i.into(),
            sys::VIR_TYPED_PARAM_UINT => parameter.value.ui.into(),
            sys::VIR_TYPED_PARAM_LLONG => parameter.value.l.into(),
            sys::VIR_TYPED_PARAM_ULLONG => parameter.value.ul.into(),
            sys::VIR_TYPED_PARAM_DOUBLE => parameter.value.d.into(),
            sys::VIR_TYPED_PARAM_BOOLEAN => (parameter.value.b != 0).into(),
            sys::VIR_TYPED_PARAM_STRING => text(parameter.value.s).into(),
            _ => Value::Null,
        }
    }
}

/// The text at `start`, or nothing.
///
/// # Safety
/// `start` is NULL, or the start of a string that ends with NUL.
unsafe fn text(start: *const c_char) -> String {
    if start.is_null() {
        return String::new();
    }
    // SAFETY: the caller promises a NUL-ended string.
    unsafe { CStr::from_ptr(start) }.to_string_lossy().into_owned()
}

/// Whether the host's hypervisor can give the domain its `<cpu>`; the error says what is missing.
pub(crate) fn compare_cpu(connection: &Connect, facts: &DefinedDomain, cpu: &str) -> Result<(), Error> {
    let c_string = |text: &Option<String>| text.as_deref().map(CString::new).transpose();
    let (emulator, arch, machine) = (c_string(&facts.emulator)?, c_string(&facts.arch)?, c_string(&facts.machine)?);
    let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    let (virt_type, cpu) = (CString::new(facts.domain_type.as_str())?, CString::new(cpu)?);
    // SAFETY: the connection is alive as long as the reference; the strings live until the end of this function.
    check(unsafe {
        sys::virConnectCompareHypervisorCPU(
            connection.as_ptr(),
            pointer(&emulator),
            pointer(&arch),
            pointer(&machine),
            virt_type.as_ptr(),
            cpu.as_ptr(),
            sys::VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE,
        )
    })
    .map(drop)
}

/// The CPU that all of these have in common, as the host's hypervisor can give it; with every feature of it, or with those
/// alone that its model has not.
pub(crate) fn baseline_cpu(connection: &Connect, cpus: &[String], expand: bool) -> Result<String, Error> {
    let texts: Vec<CString> = cpus.iter().map(|cpu| CString::new(cpu.as_str())).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
    let flags = sys::VIR_CONNECT_BASELINE_CPU_MIGRATABLE
        | if expand { sys::VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES } else { 0 };
    let none = ptr::null();
    // SAFETY: the connection is alive as long as the reference; the texts and the array of their pointers, whose length libvirt
    // is told, live until the end of this function.
    let found = unsafe {
        sys::virConnectBaselineHypervisorCPU(
            connection.as_ptr(),
            none,
            none,
            none,
            none,
            pointers.as_mut_ptr(),
            c_uint::try_from(pointers.len()).unwrap_or(0),
            flags,
        )
    };
    if found.is_null() {
        return Err(Error::last_error());
    }
    // SAFETY: libvirt gave a text that ends with NUL, and that is ours to free.
    unsafe {
        let cpu = text(found);
        free(found.cast());
        Ok(cpu)
    }
}

/// KiB of the host's memory by kind.
pub(crate) fn memory(connection: &Connect) -> Result<BTreeMap<String, u64>, Error> {
    let (every_cell, mut count) = (sys::VIR_NODE_MEMORY_STATS_ALL_CELLS, 0);
    // SAFETY: with no array libvirt only says how many there are.
    check(unsafe { sys::virNodeGetMemoryStats(connection.as_ptr(), every_cell, ptr::null_mut(), &raw mut count, 0) })?;
    let mut stats = vec![sys::virNodeMemoryStats { field: [0; 80], value: 0 }; usize::try_from(count).unwrap_or(0)];
    // SAFETY: the array has `count` elements, which libvirt is told.
    check(unsafe {
        sys::virNodeGetMemoryStats(connection.as_ptr(), every_cell, stats.as_mut_ptr(), &raw mut count, 0)
    })?;
    // SAFETY: libvirt ends each name with NUL.
    Ok(stats.iter().map(|stat| (unsafe { text(stat.field.as_ptr()) }, stat.value)).collect())
}

/// Sends libvirt's reason (`virConnectCloseReason`) when the connection is lost. Needs the event loop.
pub(crate) fn watch_close(connection: &Connect, sender: Sender<i32>) -> Result<(), Error> {
    let sender = Box::into_raw(Box::new(sender));
    // SAFETY: the sender is never freed, so it is there whenever libvirt calls.
    check(unsafe { sys::virConnectRegisterCloseCallback(connection.as_ptr(), Some(on_close), sender.cast(), None) })
        .map(drop)
}

unsafe extern "C" fn on_close(_connection: sys::virConnectPtr, reason: c_int, sender: *mut c_void) {
    // SAFETY: the sender is the one of `watch_close`, never freed.
    let _ = unsafe { &*sender.cast::<Sender<i32>>() }.send(reason);
}
