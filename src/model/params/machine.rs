// SPDX-License-Identifier: GPL-2.0-or-later
//! The rows of what says which virtual machine is meant, and how it is started, watched and stopped.

use super::Params;
use super::definition_command::DefinitionCommand;
use super::hypervisor;
use super::mapping::usable;
use super::path::PathSpec;
use super::scripts::scripts;
use super::table::Concern::{Identity, Start, Stop, Watch};
use super::table::Setter::{Bytes, Flag, LaxFlag, Number, Text};
use super::table::{Param, ValueKind, Wrong, boolean, row};
use super::utilization;
use super::values::{Guard, SavedMemory};
use crate::model::change::ShutdownMode;
use crate::sys::text::shown;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(super) static ROWS: &[Param] = &[
    row(Identity, "name", Text(name))
        .unique()
        .restarts()
        .told(
            "Name of the virtual machine",
            "Name of the virtual machine. Without it, the name in the file config counts. Recommended: with it, the \
             virtual machine is found even when the file cannot be read.",
        )
        .readme("Name of the virtual machine")
        .vm_sh(1, "string", None, "Name", "Name of the virtual machine; also the name in its definition.")
        .primary(),
    row(Identity, "config", Bytes(config))
        .alias(&["xmlfile", "xmfile"])
        .unique()
        .restarts()
        .told(
            "Definition's file",
            "Full path of the file with the definition (libvirt XML, or an xl file of Xen's); wins over path. A transient \
             virtual machine is created from it; libvirt's own definition of that name, if there is one, is left as it is. \
             What an xl file defines is run by xl, unless use_virsh or a URI asks for libvirt. It may be a block device that \
             begins with the definition, up to the first NUL byte.",
        )
        .readme("Its definition's file (libvirt XML, or an xl file); wins over path")
        .vm_sh(
            8,
            "string",
            None,
            "Definition's file",
            "Full path of the file with the virtual machine's definition (libvirt XML); wins over path.",
        ),
    row(Identity, "definition_command", Bytes(definition_command))
        .unique()
        .restarts()
        .told(
            "Command that prints the definition",
            "Command whose output is the definition, in place of config and path: for one that lies in an object store or \
             beside an image, as in 'rbd image-meta get pool/image xml'. Words as a shell would split them, but without a \
             shell; the first is a program, by its full path or its name in /usr/sbin:/usr/bin:/sbin:/bin. Run by a start, \
             and where only it tells the virtual machine's name; a stop or a monitor does without it where the virtual \
             machine was seen before. It must end with 0, in a share of the action's time.",
        )
        .readme("Command that prints the definition, without a shell; in place of config and path")
        .vm_sh(
            32,
            "string",
            None,
            "Command that prints the definition",
            "Command whose output is the definition, in place of config and path; words, without a shell. Run by a start.",
        )
        .reconfig(),
    row(Start, "path", Bytes(path))
        .restarts()
        .told(
            "Folders with definitions",
            "Folders to search for the definition, as /folder:/folder; the first that has a file NAME or NAME.xml \
             wins. An entry, or what is called so in a folder, may be a block device that begins with the definition. Needs \
             name.",
        )
        .readme("Folders with definitions, `/folder:/folder`")
        .vm_sh(
            12,
            "string",
            None,
            "Folders with definitions",
            "Folders to search for the definition, as /folder:/folder; the first that has a file NAME or NAME.xml \
             wins.",
        ),
    row(Identity, "hypervisor", Text(hypervisor))
        .default("auto")
        .restarts()
        .told(
            "Hypervisor",
            "auto, a libvirt connection URI (qemu:///system), or a driver's name (qemu, kvm, xen, lxc). auto is \
             xen:///system in a Xen dom0, else qemu:///system.",
        )
        .readme("URI, or qemu, kvm, xen, lxc")
        .vm_sh(19, "string", Some("auto"), "Hypervisor", "auto, or the hypervisor: qemu, kvm, xen or lxc."),
    row(Identity, "hypervisor_uri", Text(hypervisor))
        .default("auto")
        .restarts()
        .told("Hypervisor's URI", "auto, or a libvirt connection URI; wins over hypervisor.")
        .readme("URI; wins over hypervisor")
        .vm_sh(
            20,
            "string",
            Some("auto"),
            "Hypervisor's URI",
            "auto, or the libvirt URI of the hypervisor; wins over hypervisor.",
        ),
    row(Start, "use_virsh", Flag(|p| &mut p.use_virsh))
        .default("no")
        .told("Use virsh", "yes: change the virtual machine through the command virsh; no: through libvirt directly.")
        .readme("Change it through virsh, not the worker")
        .vm_sh(
            7,
            "integer",
            Some(""),
            "Use virsh",
            "1: change the virtual machine through the command virsh; otherwise through libvirt directly.",
        ),
    row(Stop, "no_kill", Flag(|p| &mut p.no_kill))
        .default("no")
        .told(
            "Never destroy when stopping",
            "yes: stop only asks the guest to shut down, never destroys it, and fails when its time is over (with \
             fencing, the node is then fenced).",
        )
        .readme("Never destroy when stopping: fail instead")
        .vm_sh(
            22,
            "boolean",
            Some("false"),
            "Never destroy when stopping",
            "yes: stop only asks the guest to shut down, never destroys it, and fails when its time is over.",
        ),
    row(Stop, "force_stop", Flag(|p| &mut p.force_stop))
        .default("no")
        .told(
            "Destroy when stopping",
            "yes: stop destroys the virtual machine at once, without asking the guest to shut down.",
        )
        .readme("Destroy at once when stopping"),
    row(Stop, "shutdown_mode", Text(shutdown_modes))
        .default("default")
        .told(
            "Ways of asking for a shutdown",
            "Ways of asking the guest to shut down, in order, separated by commas: default, acpi, agent, initctl, \
             signal, paravirt. A way that is refused is followed by the next one; the last resort before destroying \
             is what libvirt does by default.",
        )
        .readme("How to ask for a shutdown, in order: default, acpi, agent, initctl, signal, paravirt"),
    row(Start, "status_program", Bytes(status_program))
        .told(
            "Check of the guest (bash)",
            "Bash command line that checks the guest: run by monitors of depth 10, and after a start until it \
             succeeds; it must exit with 0.",
        )
        .readme("Check of the guest: a bash command line")
        .vm_sh(
            18,
            "string",
            Some(""),
            "Check of the guest",
            "Bash command line that checks the guest: run by a status of depth 10 and after a start; it must exit \
             with 0.",
        )
        .reconfig(),
    row(Start, "monitor_scripts", Bytes(monitor_scripts))
        .told(
            "Checks of the guest (programs)",
            "Programs that check the guest: run by monitors of depth 10, and after a start until they succeed; each \
             must exit with 0. Separated by blanks; arguments need quotes, as in \"'/usr/local/bin/check web' \
             /usr/local/bin/other\". No shell is used.",
        )
        .readme("Checks of the guest: programs, without a shell"),
    row(Start, "start_resources", LaxFlag(|p| &mut p.start_resources))
        .default("no")
        .told(
            "Start networks and storage pools",
            "yes: a start brings up the virtual networks and storage pools that the definition names and that are not \
             active, when nothing else hinders it; a migration does so at the target. It fails where one of them cannot be \
             started. Nothing stops them again.",
        )
        .readme("A start, and a migration at its target, brings up the networks and pools that the definition names"),
    row(Stop, "save_config_on_stop", LaxFlag(|p| &mut p.save_config))
        .default("no")
        .told(
            "Save changes into the definition's file",
            "yes: a stop, and a migration before it moves anything, writes into the definition's file what was changed in \
             the running virtual machine since its start (a device that was attached, its memory, ...), and leaves every \
             other part of the file as it is. A file that was edited meanwhile is left; the text is then put beside it, as \
             FILE.vm-agent-new. What cannot be saved is a warning. Monitors save nothing. It must be set when the virtual \
             machine is started.",
        )
        .readme("A stop or a migration writes what was changed in the running machine into its file"),
    row(Stop, "sync_config_on_stop", LaxFlag(|p| &mut p.sync_config))
        .default("no")
        .told(
            "Copy the saved file to the other nodes",
            "yes: the same as save_config_on_stop, and a file that was written is copied to the other nodes by csync2 -x. \
             A csync2 that is missing, fails or hangs is a warning.",
        )
        .readme("The same, and csync2 copies a file that was written to the other nodes"),
    row(Start, "saved_memory", Text(saved_memory))
        .kind(ValueKind::Select(&["refuse", "use", "drop"]))
        .default("refuse")
        .told(
            "What becomes of saved memory",
            "What a start does with memory that libvirt has saved of the virtual machine (virsh managedsave, \
             libvirt-guests), which destroys disks that were written since: refuse to start, use it, or drop it.",
        )
        .readme("What a start does with memory that libvirt has saved: refuse, use or drop")
        .vm_sh(
            23,
            "string",
            None,
            "What becomes of saved memory",
            "What a start does with memory that libvirt has saved of the virtual machine (virsh managedsave, \
             libvirt-guests), which destroys disks that were written since: refuse to start (the default), use it, \
             or drop it.",
        )
        .reconfig(),
    row(Start, "snapshot", Text(snapshot))
        .told(
            "Folder for saved memory",
            "Folder in which a stop saves the virtual machine's memory, in place of shutting the guest down; the next start \
             restores it. What may be old is never restored: of another run or definition, or where a disk was written \
             since; it is set aside under another name. A save that fails, or takes more than half of the stop's time, \
             ends in a shutdown. A folder that all nodes share lets every node restore; machines whose disks are no files \
             need one.",
        )
        .readme("Folder in which a stop saves the memory that the next start restores")
        .vm_sh(
            13,
            "string",
            Some(""),
            "Folder for saved memory",
            "Folder in which a stop saves the virtual machine's memory, in place of shutting the guest down; the next start \
             restores it, unless it may be old: then it is set aside.",
        ),
    row(Stop, "snapshot_channels", Number(|p| &mut p.snapshot_channels, 255, "a number of channels, up to 255"))
        .default("0")
        .told(
            "Parallel writing of saved memory",
            "Number of channels by which a stop writes the memory to the folder snapshot at once, as a sparse image; a start \
             reads it by as many. libvirt 11.2 and QEMU 9.0 can do that, and only they can restore it: on a node that has \
             older ones a stop saves as with 0, which is the form that libvirt's own configuration names.",
        )
        .readme("Channels that write and read the memory in `snapshot` at once, as a sparse image (libvirt 11.2)"),
    row(Start, "snapshot_required", Flag(|p| &mut p.snapshot_required))
        .default("no")
        .told(
            "Fail rather than pass saved memory by",
            "yes: a start fails where memory in the folder snapshot cannot be restored, until somebody has seen to it; no: \
             it is set aside under another name, and the virtual machine starts afresh.",
        )
        .readme("A start fails where memory in `snapshot` cannot be restored, in place of starting afresh")
        .vm_sh(
            31,
            "boolean",
            None,
            "Fail rather than pass saved memory by",
            "yes: a start fails where memory in the folder snapshot cannot be restored; otherwise it is set aside, and \
             the virtual machine starts afresh (the default).",
        )
        .reconfig(),
    row(Start, "guard", Text(guard))
        .kind(ValueKind::Select(&["off", "try", "strict"]))
        .default("try")
        .told(
            "Guard against a second copy",
            "Whether a start asks, before it creates anything, who else may have the virtual machine: the cluster's other \
             nodes, if it runs there (over libvirt, as a migration would connect), and its storage, if somebody else has \
             one of its writable disks open (QEMU's and virtlockd's locks, RBD watchers, DRBD, LVM, SCSI reservations, \
             mounts of this host). try: it fails where that is so, and where a node is \
             silent of which the cluster does not know that it runs nothing; strict: it fails also where that cannot be \
             told, as of a disk that no witness knows (most block devices); off: it does not ask.",
        )
        .readme("Whether a start asks the other nodes if it runs there, and the storage if its disks are open elsewhere: try, strict (fails also where that cannot be told) or off")
        .vm_sh(
            24,
            "string",
            None,
            "Guard against a second copy",
            "Whether a start asks, before it creates anything, who else may have the virtual machine: the cluster's other \
             nodes, if it runs there, and its storage, if somebody else has one of its writable disks open. try (the \
             default): it fails where that is so, and where a node is silent of which the cluster does not know that it \
             runs nothing; strict: it fails also where that cannot be told; off: it does not ask.",
        )
        .reconfig(),
    row(Start, "guard_nodes", Text(guard_nodes))
        .told(
            "Nodes to ask before a start",
            "The nodes that a start asks whether the virtual machine runs there, separated by commas or blanks, in \
             place of the cluster's own members.",
        )
        .readme("The nodes that it asks, in place of the cluster's members"),
    row(Watch, "guard_monitor", Flag(|p| &mut p.guard_monitor))
        .default("no")
        .told(
            "Look for a second copy in each monitor",
            "yes: every recurring monitor asks the cluster's other nodes whether the virtual machine runs there too, and \
             answers \"degraded\" (190) where it does; no: only one of depth 10 does. Nobody's silence is a fault, and \
             with guard=off nobody is asked.",
        )
        .readme("Every recurring monitor looks for a second copy on the other nodes, not only one of depth 10"),
    row(Watch, "degraded_when_blind", Flag(|p| &mut p.degraded_when_blind))
        .default("no")
        .told(
            "Show a silent libvirt as degraded",
            "yes: a recurring monitor answers \"degraded\" (190) instead of 0 while libvirt does not answer and only \
             the process of the virtual machine can be seen.",
        )
        .readme("Answer 190 while only the process can be seen"),
    row(Watch, "monitor_wait", Number(|p| &mut p.monitor_wait, 86_400, "seconds, 0 to answer at once, up to 86400"))
        .default("0")
        .told(
            "Seconds that a healthy monitor stays",
            "A recurring monitor that sees the virtual machine run well stays so many seconds (at most half of its \
             timeout), and answers the moment something happens to it: an end is known at once, not at the next \
             interval. Recommended: 30, with op monitor interval=1s timeout=60s. The first monitor after a start, a \
             migration or a refresh answers at once, and so does one of depth 10.",
        )
        .readme("Seconds that a healthy recurring monitor stays, to answer the moment something happens"),
    row(Watch, "autoset_utilization_cpu", Text(utilization::autoset_cpu))
        .kind(ValueKind::Boolean)
        .told(
            "Keep the utilization cpu",
            "yes: the resource's utilization attribute cpu is kept at the number of virtual processors, by recurring \
             monitors of a virtual machine that runs well; no: it is left alone. Unset: yes.",
        )
        .readme("Pacemaker: keep the utilization attribute cpu (if unset: yes)"),
    row(Watch, "autoset_utilization_host_memory", Text(utilization::autoset_host_memory))
        .kind(ValueKind::Boolean)
        .told(
            "Keep the utilization host_memory",
            "yes: the resource's utilization attribute host_memory is kept at the virtual machine's memory in MiB; no: \
             it is left alone. Unset: yes, but under the agent's name vm not on Xen.",
        )
        .readme("Pacemaker: keep host_memory, in MiB (if unset: yes; as `vm` not on Xen)"),
    row(Watch, "autoset_utilization_hv_memory", Text(utilization::autoset_hv_memory))
        .kind(ValueKind::Boolean)
        .told(
            "Keep the utilization hv_memory",
            "yes: the resource's utilization attribute hv_memory is kept at the virtual machine's memory in MiB; no: it \
             is left alone. Unset: yes under the agent's name VirtualDomain; under vm on Xen alone.",
        )
        .readme("Pacemaker: keep hv_memory, in MiB (if unset: as `vm` on Xen alone)"),
    row(Watch, "unset_utilization_cpu", Flag(utilization::unset_cpu))
        .default("no")
        .told(
            "Remove the utilization cpu",
            "yes: the resource's utilization attribute cpu is removed, where autoset_utilization_cpu is off.",
        )
        .readme("Pacemaker: remove cpu, where it is not kept"),
    row(Watch, "unset_utilization_host_memory", Flag(utilization::unset_host_memory))
        .default("no")
        .told(
            "Remove the utilization host_memory",
            "yes: the resource's utilization attribute host_memory is removed, where \
             autoset_utilization_host_memory is off.",
        )
        .readme("Pacemaker: remove host_memory, where it is not kept"),
    row(Watch, "unset_utilization_hv_memory", Flag(utilization::unset_hv_memory))
        .default("no")
        .told(
            "Remove the utilization hv_memory",
            "yes: the resource's utilization attribute hv_memory is removed, where autoset_utilization_hv_memory is off.",
        )
        .readme("Pacemaker: remove hv_memory, where it is not kept"),
];

/// Whether a domain may have this name (libvirt's own rule, less what cannot be a file name).
fn name(params: &mut Params, name: &str) -> Result<(), Wrong> {
    let why = if name.trim().is_empty() {
        "is blank; expected the virtual machine's name"
    } else if name.contains('/') || name == "." || name == ".." {
        "is not a virtual machine's name: it may not contain '/'"
    } else if name.chars().any(char::is_control) {
        "is not a virtual machine's name: it contains a control character"
    } else {
        params.name = Some(name.to_owned());
        return Ok(());
    };
    Err(Wrong::Refused(format!("'{}' {why}", shown(name.as_ref()))))
}

fn config(params: &mut Params, value: &OsStr) -> Result<(), Wrong> {
    if !Path::new(value).is_absolute() {
        return Err(Wrong::Refused(format!("'{}' is not a full path; expected /folder/file", shown(value))));
    }
    params.config = Some(PathBuf::from(value));
    Ok(())
}

fn definition_command(params: &mut Params, value: &OsStr) -> Result<(), Wrong> {
    params.definition_command = Some(DefinitionCommand::parse(value).map_err(Wrong::Refused)?);
    Ok(())
}

fn path(params: &mut Params, value: &OsStr) -> Result<(), Wrong> {
    params.path = Some(PathSpec::parse(value).map_err(Wrong::Refused)?);
    Ok(())
}

/// The later row wins, unless it says `auto`.
fn hypervisor(params: &mut Params, text: &str) -> Result<(), Wrong> {
    let named = hypervisor::named(text).map_err(|why| Wrong::Refused(format!("'{}' {why}", shown(text.as_ref()))))?;
    if named.is_some() {
        params.hypervisor_is_uri = text.contains(':');
    }
    params.hypervisor = named.or(params.hypervisor.take());
    Ok(())
}

fn shutdown_modes(params: &mut Params, text: &str) -> Result<(), Wrong> {
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    let modes: Result<Vec<_>, _> = words.map(|word| ShutdownMode::parse(word).ok_or(word)).collect();
    params.shutdown_modes = modes.map_err(|word| {
        Wrong::Refused(format!(
            "'{}' is not a way to shut down; expected default, acpi, agent, initctl, signal or paravirt",
            shown(word.as_ref())
        ))
    })?;
    Ok(())
}

fn status_program(params: &mut Params, value: &OsStr) -> Result<(), Wrong> {
    params.status_program = Some(value.to_owned());
    Ok(())
}

/// A check of depth 10 says what is wrong with them as well.
fn monitor_scripts(params: &mut Params, value: &OsStr) -> Result<(), Wrong> {
    let read = scripts(value.as_bytes());
    let wrong = read.as_ref().err().cloned();
    params.monitor_scripts = Some(read);
    wrong.map_or(Ok(()), |why| Err(Wrong::Refused(why)))
}

fn saved_memory(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.saved_memory = SavedMemory::parse(text).ok_or_else(|| Wrong::expected(text, "refuse, use or drop"))?;
    Ok(())
}

/// A folder; or what VirtualDomain and vm.sh take for nothing, in a word.
fn snapshot(params: &mut Params, text: &str) -> Result<(), Wrong> {
    if boolean(text) == Some(false) {
        return Ok(());
    }
    if !text.starts_with('/') || text.chars().any(char::is_control) {
        return Err(Wrong::Refused(format!("'{}' is not a full path; expected /folder", shown(text.as_ref()))));
    }
    params.snapshot = Some(text.to_owned());
    Ok(())
}

fn guard(params: &mut Params, text: &str) -> Result<(), Wrong> {
    params.guard = Guard::parse(text).ok_or_else(|| Wrong::expected(text, "off, try or strict"))?;
    Ok(())
}

fn guard_nodes(params: &mut Params, text: &str) -> Result<(), Wrong> {
    let nodes: Vec<String> = text.split([',', ' ', '\t']).filter(|node| !node.is_empty()).map(str::to_owned).collect();
    if nodes.is_empty() || !nodes.iter().all(|node| usable(node)) {
        return Err(Wrong::expected(text, "names of nodes, separated by commas"));
    }
    params.guard_nodes = nodes;
    Ok(())
}
