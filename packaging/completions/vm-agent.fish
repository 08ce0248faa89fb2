# SPDX-License-Identifier: GPL-2.0-or-later
# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_vm_agent_global_optspecs
    string join \n v/verbose h/help V/version
end

function __fish_vm_agent_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_vm_agent_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_vm_agent_using_subcommand
    set -l cmd (__fish_vm_agent_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c vm-agent -n "__fish_vm_agent_needs_command" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -s V -l version -d 'Print version'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "status" -d 'Show the virtual machine\'s state, and what a cluster would be told'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "logs" -d 'Show what is on record of it here: the agent\'s and the cluster\'s lines, the ends of its emulator\'s log and consoles'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "history" -d 'Show the records of what was done with it here: each action, its answer and the reason'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "replay" -d 'Decide recorded actions again, by the facts that they tell, and say whether the same comes of them'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "whereis" -d 'Say on which hosts it runs, and where libvirt has a definition of it: this one, and all members of the cluster'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "list" -d 'List this host\'s virtual machines: their states, and the resources that they were started for'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "doctor" -d 'Say what is wrong with this host, all members of the cluster, and a machine, before it matters'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "convert" -d 'Print the commands that make a predecessor\'s machines resources of this agent, and what has no counterpart'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "plan" -d 'Say what Pacemaker would do if something happened, and do nothing'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "metrics" -d 'Print what is known of this host\'s machines for Prometheus: their states, and what became of their actions'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "start" -d 'Start it: from its definition\'s file, or libvirt\'s own definition'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "stop" -d 'Ask the guest to shut down; destroy it if it does not in time'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "kill" -d 'Destroy it at once'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "restart" -d 'Stop it, then start it'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "recover" -d 'Restart it unless it runs well'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "migrate" -d 'Move it to another host while it runs'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "monitor" -d 'Say in one line what a cluster\'s monitor would'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "explain" -d 'Say what an action would find and do, and do nothing'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "validate-all" -d 'Check the parameters; with -o OCF_CHECK_LEVEL=10 also this host'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "reload" -d 'Take over changed parameters (nothing to do by hand)'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "meta-data" -d 'Print the meta-data'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "usage" -d 'Print this help'
complete -c vm-agent -n "__fish_vm_agent_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand status" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand status" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand status" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand status" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand status" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand status" -l watch -d 'Show it again every so many seconds, until interrupted' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand status" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand status" -l json -d 'The same facts as one JSON object'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand status" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand status" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand logs" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand logs" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand logs" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand logs" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand logs" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand logs" -s n -l lines -d 'The most lines of each' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand logs" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand logs" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand logs" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand history" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand history" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand history" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand history" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand history" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand history" -s n -l lines -d 'The most records' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand history" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand history" -l json -d 'Each record as one JSON object on a line, with its facts: what replay reads'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand history" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand history" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand replay" -l story -d 'Print each as a story, facts above a line and what was decided below it, for a file of tests/scenarios'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand replay" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand replay" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand whereis" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand whereis" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand whereis" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand whereis" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand whereis" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand whereis" -l nodes -d 'The other hosts to ask, in place of the cluster\'s members: n2,n3' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand whereis" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand whereis" -l json -d 'The same facts as one JSON object'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand whereis" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand whereis" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand list" -l nodes -d 'Also those of these hosts: n2,n3' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand list" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand list" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand list" -s o -l option -d 'Any other parameter of a cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand list" -l cluster -d 'Also those of the other members of the cluster that runs here'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand list" -l names -d 'The names alone, one a line'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand list" -l json -d 'The same facts as one JSON object'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand list" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand list" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand doctor" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand doctor" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand doctor" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand doctor" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand doctor" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand doctor" -l nodes -d 'The other hosts to ask, in place of the cluster\'s members: n2,n3' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand doctor" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand doctor" -l json -d 'The same facts as one JSON object'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand doctor" -l fix-hints -d 'Print the commands that mend what was found, and run none of them'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand doctor" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand convert" -l to -d 'Whose commands [default: those of pcs, unless crmsh alone is installed]' -r -f -a "pcs\t''
crm\t''"
complete -c vm-agent -n "__fish_vm_agent_using_subcommand convert" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand convert" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand plan" -l cib -d 'A whole CIB (cibadmin --query), or - for standard input [default: that of the Pacemaker that runs here]' -r -F
complete -c vm-agent -n "__fish_vm_agent_using_subcommand plan" -l node-lost -d 'A node is lost; may be given again' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand plan" -l move -d 'A virtual machine or resource is moved to another node' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand plan" -l to -d 'The node to move it to' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand plan" -l libvirtd-dead -d 'libvirt\'s daemon is dead on a node; may be given again' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand plan" -l dies -d 'A virtual machine dies where it runs' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand plan" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand plan" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand plan" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand metrics" -l output -d 'The file to write, whole or not at all [default: standard output]' -r -F
complete -c vm-agent -n "__fish_vm_agent_using_subcommand metrics" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand metrics" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand metrics" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand metrics" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand start" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand start" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand start" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand start" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand start" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand start" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand start" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand start" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand stop" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand stop" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand stop" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand stop" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand stop" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand stop" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand stop" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand stop" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand kill" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand kill" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand kill" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand kill" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand kill" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand kill" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand kill" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand kill" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand restart" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand restart" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand restart" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand restart" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand restart" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand restart" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand restart" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand restart" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand recover" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand recover" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand recover" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand recover" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand recover" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand recover" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand recover" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand recover" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand migrate" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand migrate" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand migrate" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand migrate" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand migrate" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand migrate" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand migrate" -l rehearse -d 'Only check both ends, and move nothing'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand migrate" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand migrate" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand monitor" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand monitor" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand monitor" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand monitor" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand monitor" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand monitor" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand monitor" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand monitor" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand explain" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand explain" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand explain" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand explain" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand explain" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand explain" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand explain" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand explain" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand validate-all" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand validate-all" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand validate-all" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand validate-all" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand validate-all" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand validate-all" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand validate-all" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand validate-all" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand reload" -l path -d 'Folders to search for its definition: /folder:/folder' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand reload" -l xmlfile -l config -d 'The definition\'s file' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand reload" -s c -l connect -d 'The libvirt connection URI, or qemu, kvm, xen, lxc' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand reload" -l timeout -d 'End within so many seconds' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand reload" -s o -l option -d 'Any other parameter of the cluster resource (see meta-data), as NAME=VALUE' -r
complete -c vm-agent -n "__fish_vm_agent_using_subcommand reload" -l force -d 'Act even though a cluster manages it, or it may run on another node'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand reload" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand reload" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand meta-data" -l dialect -d 'As this caller reads them' -r -f -a "ocf\t''
rgmanager\t''"
complete -c vm-agent -n "__fish_vm_agent_using_subcommand meta-data" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand meta-data" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand usage" -s v -l verbose -d 'Say more on stderr'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand usage" -s h -l help -d 'Print help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "status" -d 'Show the virtual machine\'s state, and what a cluster would be told'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "logs" -d 'Show what is on record of it here: the agent\'s and the cluster\'s lines, the ends of its emulator\'s log and consoles'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "history" -d 'Show the records of what was done with it here: each action, its answer and the reason'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "replay" -d 'Decide recorded actions again, by the facts that they tell, and say whether the same comes of them'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "whereis" -d 'Say on which hosts it runs, and where libvirt has a definition of it: this one, and all members of the cluster'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "list" -d 'List this host\'s virtual machines: their states, and the resources that they were started for'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "doctor" -d 'Say what is wrong with this host, all members of the cluster, and a machine, before it matters'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "convert" -d 'Print the commands that make a predecessor\'s machines resources of this agent, and what has no counterpart'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "plan" -d 'Say what Pacemaker would do if something happened, and do nothing'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "metrics" -d 'Print what is known of this host\'s machines for Prometheus: their states, and what became of their actions'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "start" -d 'Start it: from its definition\'s file, or libvirt\'s own definition'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "stop" -d 'Ask the guest to shut down; destroy it if it does not in time'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "kill" -d 'Destroy it at once'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "restart" -d 'Stop it, then start it'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "recover" -d 'Restart it unless it runs well'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "migrate" -d 'Move it to another host while it runs'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "monitor" -d 'Say in one line what a cluster\'s monitor would'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "explain" -d 'Say what an action would find and do, and do nothing'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "validate-all" -d 'Check the parameters; with -o OCF_CHECK_LEVEL=10 also this host'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "reload" -d 'Take over changed parameters (nothing to do by hand)'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "meta-data" -d 'Print the meta-data'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "usage" -d 'Print this help'
complete -c vm-agent -n "__fish_vm_agent_using_subcommand help; and not __fish_seen_subcommand_from status logs history replay whereis list doctor convert plan metrics start stop kill restart recover migrate monitor explain validate-all reload meta-data usage help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vm-agent -n '__fish_seen_subcommand_from status logs history whereis doctor start stop kill restart recover migrate monitor validate-all reload' -f -a '(vm-agent list --names 2>/dev/null)'
