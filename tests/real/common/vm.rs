// SPDX-License-Identifier: GPL-2.0-or-later
//! A guest and its definition.

use super::{Call, Dialect, Dialect::*, Host, Process, until};
use std::path::{Path, PathBuf};

/// A guest that is not written down yet.
pub struct Guest<'a> {
    host: &'a Host,
    name: String,
    options: Vec<String>,
    edits: Vec<(String, String)>,
    persistent: bool,
}

impl<'a> Guest<'a> {
    /// The quickest guest: no kernel, so it never answers a request to shut down.
    pub fn new(host: &'a Host, name: &str) -> Self {
        let options = vec!["--variant".into(), "none".into()];
        Self { host, name: name.into(), options, edits: Vec::new(), persistent: false }
    }

    /// A small one that ticks, and powers off when asked to.
    pub fn polite(self) -> Self {
        self.option("--variant", "tick")
    }

    /// A small one that tells of requests to shut down on its console, and ignores them.
    pub fn stubborn(self) -> Self {
        self.option("--variant", "stubborn")
    }

    /// A Linux that does what the polite one does.
    pub fn linux(self) -> Self {
        self.option("--variant", "linux")
    }

    /// One whose memory holds as much as a Linux's: to save it or to move it takes its time.
    pub fn full(self) -> Self {
        self.option("--full", "64")
    }

    /// One whose firmware takes so many seconds, in which nobody hears the power button.
    pub fn slow_to_boot(self, seconds: u32) -> Self {
        self.edit("</os>", &format!("<bootmenu enable='yes' timeout='{}'/></os>", seconds * 1000))
    }

    /// One that panics right after its boot and is left like that.
    pub fn crashing(self) -> Self {
        self.polite().option("--append", "crash=1").option("--on-crash", "preserve")
    }

    /// A Linux that suspends itself to memory as soon as it has booted.
    pub fn suspending(self) -> Self {
        self.doing("echo boot; echo mem >/sys/power/state")
    }

    /// A Linux whose guest agent answers, from so many seconds after the boot on.
    pub fn with_agent(self, after: u32) -> Self {
        self.with_agent_channel().option("--append", &format!("agent={after}"))
    }

    /// A Linux that has a channel for an agent, and none that answers there.
    pub fn with_agent_channel(self) -> Self {
        const CHANNEL: &str = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel><memballoon model='none'/>";
        self.linux().edit("<memballoon model='none'/>", CHANNEL)
    }

    /// A Linux that starts its watchdog as soon as it has booted, and never calms it: it fires after some two seconds.
    pub fn with_watchdog(self, action: &str) -> Self {
        // The kernel has no driver for it. Its configuration takes two words: the faster clock, and that it is enabled.
        const START: &str = "for device in /sys/bus/pci/devices/*; do\n\
                             [ \"$(cat $device/vendor)$(cat $device/device)\" = 0x80860x25ab ] || continue\n\
                             printf '\\004\\000' | dd of=$device/config bs=2 seek=48 count=1 conv=notrunc\n\
                             printf '\\002' | dd of=$device/config bs=1 seek=104 count=1 conv=notrunc\n\
                             done\necho started";
        let device = format!("<watchdog model='i6300esb' action='{action}'/><memballoon model='none'/>");
        self.doing(START).edit("<memballoon model='none'/>", &device)
    }

    /// A Linux that writes on through the disk at this path, piece by piece, and tells of each piece on its console.
    pub fn writing_on(self, disk: &Path) -> Self {
        const WRITE: &str = "while read -r module; do insmod /modules/$module; done </modules/order\nn=0\n\
                             while dd if=/dev/zero of=/dev/vda bs=64k count=1 seek=$((n % 64)) conv=fsync 2>/dev/null; do\n\
                             n=$((n + 1)); echo wrote $n; sleep 0.1\ndone\necho failed";
        let guest = self.doing(WRITE).option("--disk", disk.to_str().unwrap());
        guest.edit("cache='none'/>", "cache='writeback' error_policy='stop'/>")
    }

    /// A Linux that has nothing to do but these lines of its shell.
    pub fn doing(self, lines: &str) -> Self {
        let this = self.linux();
        let old = tag(&this.xml(), "initrd");
        let init = format!(
            "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev\n\
             exec </dev/ttyS0 >/dev/ttyS0 2>&1\n{lines}\nwhile :; do sleep 1; done"
        );
        this.host.script(&format!("{}-root/init", this.name), &init);
        let new = this.host.shared().join(format!("{}.initramfs", this.name));
        // A later archive of an initramfs overwrites an earlier one.
        let pack = r#"cd "$1" && { cat "$2"; echo init | cpio -o -H newc --quiet; } >"$3""#;
        let folder = this.host.shared().join(format!("{}-root", this.name));
        this.host.run("sh", &["-c", pack, "sh", folder.to_str().unwrap(), &old, new.to_str().unwrap()]);
        this.edit(&old, new.to_str().unwrap())
    }

    /// A guest that wants to read a disk at its boot, which a server at `socket` provides over the network.
    pub fn with_network_disk(self, socket: &Path) -> Self {
        let socket = socket.display();
        self.option("--disk", "/disk.img")
            .edit("<disk type='file'", "<disk type='network'")
            .edit("cache='none'/>", "cache='none' error_policy='stop' rerror_policy='stop'/>")
            .edit(
                "<source file='/disk.img'/>",
                &format!("<source protocol='nbd'><host transport='unix' socket='{socket}'/></source>"),
            )
    }

    /// One that libvirt is to keep a definition of, where somebody starts it.
    pub fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// An option of `lab guest`; a later value wins.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([name.into(), value.into()]);
        self
    }

    /// Replaces a part of the definition that must be there.
    pub fn edit(mut self, part: &str, with: &str) -> Self {
        self.edits.push((part.into(), with.into()));
        self
    }

    /// The definition's text.
    pub fn xml(&self) -> String {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        self.edits.iter().fold(self.host.definition(&self.name, &options), |text, (part, with)| {
            assert!(text.contains(part), "no {part} in {text}");
            text.replacen(part, with, 1)
        })
    }

    /// Written to a file NAME.xml in a folder of its own.
    pub fn written(self) -> Vm<'a> {
        let folder = self.host.folder(&format!("vms-{}", self.name));
        let file = folder.join(format!("{}.xml", self.name));
        std::fs::write(&file, self.xml()).unwrap();
        Vm { host: self.host, name: self.name, persistent: self.persistent, folder, file }
    }
}

/// A guest whose definition is a file.
pub struct Vm<'a> {
    pub host: &'a Host,
    pub name: String,
    /// Whether it is to have a definition in libvirt.
    pub persistent: bool,
    /// The folder with its definition.
    pub folder: PathBuf,
    /// Its definition.
    pub file: PathBuf,
}

impl<'a> Vm<'a> {
    /// A call for it: its name, and the folder with its definition as `path`.
    pub fn call(&self, dialect: Dialect, action: &str) -> Call<'a> {
        self.call_by_name(dialect, action).param("path", &self.folder)
    }

    /// A call that says nothing but its name.
    pub fn call_by_name(&self, dialect: Dialect, action: &str) -> Call<'a> {
        self.host.call(dialect, action).named(&self.name)
    }

    /// A call as VirtualDomain's users make it: the definition's file, and no name.
    pub fn call_by_file(&self, action: &str) -> Call<'a> {
        self.host.call(VirtualDomain, action).instance("rsc").param("config", &self.file)
    }

    /// The recurring status of rgmanager, the recurring monitor of Pacemaker, or a person's status.
    pub fn watch(&self, dialect: Dialect) -> Call<'a> {
        match dialect {
            Rgmanager | Human => self.call(dialect, "status"),
            Pacemaker | VirtualDomain | Ocf => self.call(dialect, "monitor").recurring(),
        }
    }

    /// Created by virsh, as a domain that no agent has marked.
    pub fn created(self) -> Self {
        self.host.virsh(&["create", self.file.to_str().unwrap()]);
        self
    }

    /// What libvirt says of it.
    pub fn state(&self) -> String {
        self.host.state(&self.name)
    }

    /// Waits for a state by libvirt's word.
    pub fn becomes(&self, state: &str) -> &Self {
        until(30, &format!("'{}' in state {state}", self.name), || (self.state() == state).then_some(()));
        self
    }

    /// Waits until the guest runs and hears the power button.
    pub fn ticks(&self) -> &Self {
        self.says("tick ")
    }

    /// Waits for a word on its console.
    pub fn says(&self, word: &str) -> &Self {
        until(60, &format!("'{word}' on the console of '{}'", self.name), || {
            self.host.console(&self.name).contains(word).then_some(())
        });
        self
    }

    /// Its QEMU, which must be there.
    pub fn qemu(&self) -> Process {
        self.host.qemu(&self.name).unwrap_or_else(|| panic!("'{}' has no process", self.name))
    }

    /// Whether it has a QEMU.
    pub fn lives(&self) -> bool {
        self.host.qemu(&self.name).is_some()
    }

    /// Its definition as libvirt has it now.
    pub fn live_xml(&self) -> String {
        self.host.virsh(&["dumpxml", &self.name])
    }

    /// Ends it, whatever it does.
    pub fn destroy(&self) {
        self.host.virsh(&["destroy", &self.name]);
    }
}

/// The text of the first element of this name, by the simplest means.
pub fn tag(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split_once('<').unwrap().0.to_owned()
}

/// A path for a parameter.
pub fn joined(folders: &[&Path]) -> std::ffi::OsString {
    folders.iter().map(|folder| folder.as_os_str()).collect::<Vec<_>>().join(std::ffi::OsStr::new(":"))
}
