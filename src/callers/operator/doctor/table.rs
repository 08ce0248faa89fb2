// SPDX-License-Identifier: GPL-2.0-or-later
//! The table of doctor's checks: one row each, with its code, its level, what is true where it is found, why that matters,
//! and how to mend it. A code never means anything else, and one that goes is not given again. Pure.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    /// A machine is lost, runs twice, or is not moved, when it comes to it.
    Error,
    /// It goes wrong in some cases, or it is not known whether it does.
    Warning,
    /// Worth to know.
    Notice,
}

impl Level {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// One row of the table.
pub(super) struct CheckRow {
    /// `VA101`.
    pub id: &'static str,
    pub level: Level,
    /// What is true.
    pub what: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// How to mend it.
    pub mend: &'static str,
}

/// Makes the checks of their rows: the enum, the list of all, and the table.
macro_rules! checks {
    ($($name:ident $level:ident $id:literal: $what:literal, $why:literal, $mend:literal;)*) => {
        /// What is looked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum ExamCheck { $($name,)* }

        impl ExamCheck {
            /// Every check, in the order of the page.
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its row.
            pub(super) const fn row(self) -> CheckRow {
                match self {
                    $(Self::$name => CheckRow {
                        id: $id, level: Level::$level, what: $what, why: $why, mend: $mend,
                    },)*
                }
            }
        }
    };
}

checks! {
    // Whoever could not be asked.
    NotKnown Warning "VA001":
        "something could not be asked, and is not known",
        "What is not known may be wrong, and this look does not say so.",
        "See to what it names, and look again.";
    NoAgent Warning "VA002":
        "this agent is not installed on a member at the place where it is here",
        "The cluster moves a machine there, and nothing there can start, watch or receive it.",
        "Install the package of vm-agent there.";
    OtherVersion Warning "VA003":
        "the members have different versions of this agent",
        "Two versions may read a parameter differently, and a report of a fault fits neither.",
        "Bring all members to the same version.";
    ClockApart Warning "VA004":
        "the members' clocks differ by more than five seconds",
        "The records of a failure cannot be put in order, and certificates may count as not yet valid.",
        "Have chronyd or systemd-timesyncd keep the time on all members.";

    // ssh, by which a migration connects.
    SshRefused Error "VA101":
        "ssh lets this host in at a member only with a password, or not at all",
        "A migration connects by ssh and cannot type: it fails, and under Pacemaker that may stop the machine.",
        "Put this host's public key into ~root/.ssh/authorized_keys there, and see that its sshd lets root in by key.";
    SshSilent Error "VA102":
        "ssh gets no connection to a member",
        "A migration connects the same way, and fails.",
        "See that sshd runs there, at this address and port, and that no firewall is between.";
    HostKeyUnknown Error "VA103":
        "a member's host key is not known under exactly the name that a migration uses",
        "ssh knows keys by the name that it was given: known as node2 is not known as node2.example. It asks, or refuses; the first migration fails.",
        "Have the key in known_hosts under that very name.";
    HostKeyChanged Error "VA104":
        "a member shows another host key than the one that is known",
        "It was installed anew, or somebody answers in its place. ssh refuses, and a migration fails.",
        "Find out which of the two it is; then remove the old key, and have the new one known.";
    HostPattern Error "VA105":
        "ssh's configuration has an entry for another form of a member's name, and none for the one that a migration uses",
        "ssh looks no name up when it compares it with Host: the entry's key and user are not used, and it asks for a password.",
        "Add the name to that Host line.";
    KeyReadable Error "VA106":
        "a private key can be read by others",
        "ssh does not use such a key, and asks for a password; or whoever reads it is root on all members.",
        "Let root alone read it, and own it.";
    KeyLocked Error "VA107":
        "a private key has a passphrase",
        "Nobody is there to type it when the cluster moves a machine.",
        "Make a key without a passphrase for this alone, and name it in ~root/.ssh/config by IdentityFile.";
    NoKey Error "VA108":
        "root has no key for ssh to a member",
        "Without a key ssh asks for a password, which nobody types.",
        "Make one without a passphrase, and put its public half into ~root/.ssh/authorized_keys of the members.";
    SshFilesOpen Error "VA109":
        "root's home, its .ssh or authorized_keys can be written by others, or is not root's",
        "sshd passes by such an authorized_keys (StrictModes), and lets nobody in by key; and whoever may write it is root.",
        "Let root alone write them.";
    SshLabel Warning "VA110":
        "SELinux is on, and a file in ~root/.ssh is not labelled ssh_home_t",
        "sshd may not read it then, and lets nobody in by key.",
        "Give the files the labels of the policy.";
    NoAddress Error "VA111":
        "the name by which a migration connects has no address here",
        "A mapping or suffix makes a name that must exist on every member.",
        "Put the name into DNS, or /etc/hosts of all members.";
    HostKeyUnchecked Notice "VA112":
        "ssh takes whatever host key is shown under a member's name",
        "Whoever answers under that name gets the guest's memory.",
        "Have the keys in known_hosts, and remove StrictHostKeyChecking no.";
    LoginTalks Error "VA113":
        "a login at a member without a terminal prints something",
        "libvirt speaks its protocol over that line: the text stands where its first message should, and no migration connects.",
        "Have what is printed by /root/.bashrc and its like only be printed where there is a terminal.";
    OtherPublicKey Error "VA114":
        "the public key in the file beside a private key is another one's",
        "ssh offers the key of that file, and proves another: it is let in nowhere, though the private key is right.",
        "Write the file anew from the private key.";
    RootLogin Error "VA115":
        "a member's sshd lets root in by no key",
        "A migration to it connects as root, and is refused, whatever keys there are.",
        "Set PermitRootLogin prohibit-password in /etc/ssh/sshd_config there, and reload sshd; or set migration_user.";
    SshConfig Error "VA116":
        "ssh on a member stops at its own configuration",
        "It goes to no host with a file that is not root's, that others may write, or that has a word it does not know: no migration leaves that member.",
        "Mend the file that it names: its owner (root), its mode (600), or the line.";

    // The cluster.
    FencingOff Error "VA201":
        "fencing is off",
        "A node that is lost may still run its machines: the cluster starts each of them a second time, and their disks are destroyed.",
        "Configure fence devices, test them, and turn fencing on.";
    NoFenceDevice Error "VA202":
        "a node has no fence device",
        "The cluster waits for ever for the fencing of a lost node, and its machines stay down.",
        "Configure one for it, and test it.";
    TwoResources Error "VA203":
        "two resources are about one virtual machine",
        "Each starts, watches and stops it: one finds what the other does a failure, and both may start it on two nodes.",
        "Remove one of the two.";
    NoName Warning "VA204":
        "a resource has config but no name",
        "Where the file cannot be read, nobody knows what the machine is called: whether it runs cannot be told.",
        "Set name too.";
    StopTooShort Error "VA205":
        "a stop's timeout leaves the guest no time to shut down",
        "20 s of it are kept to end the machine by force: a guest that needs longer than the rest is killed at each stop.",
        "Give the stop as long as the guest may need, and 20 s more.";
    MoveTooShort Warning "VA206":
        "migrate_to's timeout is too short for the machine's memory",
        "The move is given up before it can be done, each time.",
        "Give it the time that the memory takes over the network, twice.";
    NoMoves Notice "VA207":
        "a resource may not be moved live",
        "Pacemaker stops it and starts it elsewhere instead, also when a node is emptied for maintenance.",
        "Set allow-migrate, if its disks are on shared storage.";
    FailedMoveStops Warning "VA208":
        "a failed move stops the machine",
        "Without on-fail=block Pacemaker answers every failed migration by a stop and a start.",
        "Set on-fail=block for migrate_to.";
    NotWatched Warning "VA209":
        "a resource has no recurring monitor",
        "Nobody notices when the machine ends.",
        "Add a monitor.";
    Cloned Error "VA210":
        "a machine's resource is a clone",
        "A clone runs on several nodes at once, and a machine's disks bear one writer.",
        "Take it out of the clone.";
    StopIgnored Error "VA211":
        "a failed stop is ignored",
        "The cluster takes a machine that it could not stop for stopped, and starts it elsewhere: it runs twice.",
        "Remove on-fail from the stop: the node is fenced then.";
    OtherAgent Notice "VA212":
        "a machine's resource is of another agent",
        "Its monitors and stops take a silent libvirt or an unreadable file for a machine that is off.",
        "See what 'vm-agent convert' prints.";
    NoQuorum Error "VA213":
        "a part of the cluster without quorum goes on",
        "Two parts that do not see each other each start all machines, or fence each other in turn.",
        "Set no-quorum-policy to stop or freeze.";
    NotManaged Notice "VA214":
        "the cluster leaves a machine to people for now",
        "It is in maintenance, or unmanaged: nothing is restarted or moved.",
        "End that when the work is done.";
    BadParameter Error "VA215":
        "a resource has a parameter that cannot be used",
        "It counts for nothing, or a start or a move is refused for it.",
        "Set it to what is expected, or remove it.";
    MonitorTooShort Error "VA216":
        "a monitor's timeout is shorter than monitor_wait needs",
        "The monitor is ended before it may answer, and the machine counts as failed.",
        "Give the monitor's timeout more than twice monitor_wait.";
    NotSticky Notice "VA217":
        "a resource does not stick to where it runs",
        "When a node comes back, Pacemaker moves machines again to balance the nodes: each move is a risk that nobody asked for.",
        "Set resource-stickiness for it, or for all in rsc_defaults.";

    // Machines, over all members.
    SameName Error "VA301":
        "two machines have one name",
        "libvirt keeps names apart on one host alone. The cluster finds the wrong one, and a move is refused.",
        "Rename one of them, also where no cluster manages it.";
    SameUuid Error "VA302":
        "two machines have one UUID",
        "A copied definition kept its UUID: libvirt takes one machine for the other when it is moved there.",
        "Give the copy a UUID of its own.";
    SameMac Warning "VA303":
        "two machines have a network interface of the same address",
        "On one network each gets some of the other's packets.",
        "Give the copy's interfaces addresses of their own.";
    Autostart Error "VA304":
        "libvirt starts a cluster's machine by itself",
        "After a boot libvirt starts it, while the cluster may have it run elsewhere.",
        "Turn its autostart off.";
    RunsTwice Error "VA305":
        "a machine runs on more than one member",
        "Both write its disks.",
        "Stop all but one at once.";
    FileDiffers Warning "VA306":
        "the members have different definitions of the machine",
        "After a failover it comes up as another machine than it was.",
        "Have one file, on shared storage or copied to all members.";
    FileMissing Error "VA307":
        "a member has no definition of the machine that can be read",
        "It cannot be started there when its node is lost.",
        "Copy the file there, or keep it on shared storage.";
    NoUuid Warning "VA308":
        "the machine's definition has no UUID",
        "libvirt draws one at each start: guests with licences or logs by UUID see new hardware, and a copy is not recognised.",
        "Write one into it.";
    SavedMemory Warning "VA309":
        "libvirt has saved the memory of a cluster's machine",
        "A start is refused until somebody says whether it is to go on from there (saved_memory): an old memory on newer disks destroys them.",
        "Look when it was saved; remove it where the machine has run since.";

    HasSnapshots Warning "VA310":
        "a cluster's machine has snapshots",
        "libvirt moves no machine that has any: a move is refused.",
        "Delete them ('virsh snapshot-delete' merges one, '--metadata' only forgets it).";

    // What the machine needs.
    NoEmulator Error "VA401":
        "a member's emulator or libvirt cannot run this kind of machine",
        "The machine cannot be started there, or be moved to it.",
        "Install the same QEMU, or name a type, a machine and an emulator in the definition that all members have.";
    LocalDisk Error "VA402":
        "a disk is on storage of one member alone",
        "The machine cannot be moved, and after its node's death another member has an old copy of the disk, or none.",
        "Keep it on GFS2, OCFS2, NFS, Ceph, a shared LUN, LVM on shared disks, or DRBD.";
    OtherDisk Error "VA403":
        "one path leads to different disks on two members",
        "A move would go on with the wrong data, and destroy it.",
        "Have the same storage at that path on all members.";
    CacheMode Warning "VA404":
        "a disk's cache may lose what the guest has written, or keeps libvirt from moving it",
        "With cache='unsafe' a crash of the node costs data that the guest believes to be safe; with a host's cache older libvirts refuse to move it.",
        "Set cache='none' at the disk's driver.";
    HostDevice Warning "VA405":
        "the machine has a device of its host",
        "Most such devices cannot be moved live: the machine must be stopped for it.",
        "Detach it before a move, or allow no moves.";
    OwnNvram Notice "VA406":
        "the machine's firmware variables are each member's own",
        "After a failover it boots with those of that member: an older order of boot, or none.",
        "Keep the NVRAM file on shared storage, by its full path in the definition.";
    OwnTpm Notice "VA407":
        "the state of the machine's emulated TPM is each member's own",
        "After a failover the guest finds another TPM, and what is sealed with the first stays sealed.",
        "Keep the state's folder on shared storage.";
    OtherCpu Warning "VA408":
        "the machine has its host's CPU, and the members' differ",
        "A machine that was started on the better one cannot be moved to the other.",
        "Give it a CPU in the definition that all members have; --fix-hints prints it.";
    GuestRestarts Notice "VA409":
        "libvirt starts the machine again when its guest shuts itself down",
        "The cluster does not see that the guest wanted to be off, and nobody can turn it off from within.",
        "Set on_poweroff to destroy in the definition.";
    SmallMember Error "VA410":
        "a member has less memory than the machine needs",
        "It cannot be started there when its node is lost.",
        "Keep it from that member by a location rule, or give it less memory.";
    NoNetwork Error "VA411":
        "a member lacks a network or bridge of the machine",
        "The machine cannot be started there, or be moved to it.",
        "Set it up there under the same name, and have it come up at boot.";
    NoStorage Error "VA412":
        "a member lacks a disk, pool, volume or shared folder of the machine",
        "The machine cannot be started there, or be moved to it.",
        "Connect, mount or start it there; see why storage does not answer.";
    NoFirmware Error "VA413":
        "a member lacks the machine's firmware, kernel or the place of its NVRAM",
        "The machine cannot be started there, or be moved to it.",
        "Install the same firmware there, at the same path.";
    NoTpm Error "VA414":
        "a member lacks what the machine's TPM needs",
        "The machine cannot be started there, or be moved to it.",
        "Install swtpm there, or take the TPM out of the definition.";
    NoHostDevice Error "VA415":
        "a member lacks a device that is given to the machine",
        "The machine cannot be started there.",
        "Have the device there at the same address, free and with its IOMMU on, or keep the machine from that member.";
    LesserCpu Error "VA416":
        "a member lacks the machine's CPU, or a part of it",
        "The machine cannot be started there, or be moved to it.",
        "Name a CPU model in the definition that all members have ('virsh hypervisor-cpu-baseline').";
    NoSecret Error "VA417":
        "a member's libvirt has not a secret that a disk needs",
        "The machine cannot be started there, or be moved to it.",
        "Define the secret there, and set its value.";
    LackingNow Warning "VA418":
        "a member lacks something at this moment that the machine needs",
        "A start there would fail now.",
        "Free it, or reserve more of it.";
    PerhapsLacking Warning "VA419":
        "a member may lack something that the machine needs",
        "A start there may fail.",
        "Look at it there.";

    // Each member.
    LibvirtSilent Error "VA501":
        "libvirt does not answer on a member",
        "Nothing can be started there or be moved to it.",
        "See why its daemon does not run or answer.";
    GuestsService Warning "VA502":
        "libvirt-guests.service is enabled",
        "At a shutdown it ends the cluster's machines beside the cluster, and may start them at the next boot.",
        "Disable it, without --now, which ends them at once.";
    AutoShutdown Warning "VA503":
        "libvirt itself ends machines at a shutdown of the host",
        "It does so beside the cluster, which takes it for failures.",
        "Set auto_shutdown_try_save, auto_shutdown_try_shutdown and auto_shutdown_poweroff to none.";
    NoOrdering Warning "VA504":
        "systemd does not know that the cluster is to be stopped before machines and libvirt are",
        "At a shutdown of the node systemd kills the guests while the cluster still stops them.",
        "Install the drop-in that comes with this agent.";
    MixedDaemons Warning "VA505":
        "libvirt's monolithic and modular daemons run side by side",
        "Each knows its own machines: one that the one started is absent to the other.",
        "Run one of the two, and mask the other.";
    LockManagers Warning "VA506":
        "the members' libvirts use different lock managers",
        "A lock that one member does not ask for protects nothing.",
        "Set lock_manager alike in /etc/libvirt/qemu.conf of all members.";
    OtherLibvirt Notice "VA507":
        "the members have different versions of libvirt",
        "A definition that the newer one writes may have what the older one does not know.",
        "Bring all members to the same version, once the machines were moved.";
    OtherQemu Warning "VA508":
        "the members have different versions of QEMU, or of another hypervisor",
        "A machine that was started under the newer one cannot be moved back to the older.",
        "Bring all members to the same version, or name a machine type in the definitions that all have.";
    SameHostUuid Error "VA509":
        "two members have one host UUID",
        "libvirt takes them for one host, and refuses every migration between them.",
        "Set host_uuid in libvirtd.conf (or virtqemud.conf), or make new machine-ids.";
    BadHostname Error "VA510":
        "a member's libvirt calls itself by a name that leads nowhere from here",
        "Without a network of its own a migration's memory is sent to that name.",
        "Give the host a name that all members resolve, or set migration_network_suffix.";
    OtherCpus Notice "VA511":
        "the members' CPUs differ",
        "A machine that has its host's CPU moves only to a member whose CPU has all that it was started with.",
        "Give machines that are to move a CPU in their definition that all members have; --fix-hints prints it.";
    NoCommonCpu Warning "VA512":
        "the members' hypervisors have no CPU in common",
        "No machine is moved live between them, but one whose processor is emulated.",
        "Keep each machine on members whose processors are of one maker, by location rules.";
    OldKernel Error "VA513":
        "a member's kernel gives no descriptor of a process (pidfd)",
        "The agent starts no program and ends no process without one, so that no signal meets another's: there it only watches.",
        "Boot Linux 5.3 or newer there; where it is a container, let it have pidfd_open.";

    // The network between them.
    PortsTaken Warning "VA601":
        "no port is free for the memory of a migration",
        "libvirt takes one of 49152 to 49215 (migration_port_min, migration_port_max) for each that comes in.",
        "End what listens there, or widen the range.";
    PortsClosed Error "VA602":
        "a firewall is between two members, where the memory of a migration is sent",
        "ssh connects, and the move fails all the same.",
        "Open TCP 49152 to 49215 between all members, on the network that the memory takes.";
    CertificateEnds Error "VA603":
        "a TLS certificate has expired, or does within 30 days",
        "From then on no migration connects.",
        "Have it signed anew.";
    CertificateName Error "VA604":
        "a member's TLS certificate is not for the name by which a migration connects",
        "libvirt compares the two, and refuses the connection.",
        "Have one signed with all names that are used (subjectAltName).";
    NoCertificate Error "VA605":
        "TLS is asked for, and a member lacks a certificate for it",
        "No migration connects.",
        "Put CA, certificates and keys below /etc/pki, as libvirt documents.";
}
