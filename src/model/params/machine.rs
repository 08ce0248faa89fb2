// SPDX-License-Identifier: GPL-2.0-or-later
//! The rows of what says which virtual machine is meant, and how it is started, watched and stopped.

use super::Params;
use super::definition_command::DefinitionCommand;
use super::hypervisor;
use super::path::PathSpec;
use super::scripts::scripts;
use super::table::Concern::{Identity, Start, Stop};
use super::table::Setter::{Bytes, Flag, LaxFlag, Text};
use super::table::{Param, Wrong, row};
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
