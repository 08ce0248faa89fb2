# SPDX-License-Identifier: GPL-2.0-or-later
#
# A guest's file, and what it says.

verb_guest() {
	[ $# -ge 1 ] || die "usage: lab guest NAME [--xml] [--pvh] [--deaf] [WORD ...]"
	local name=$1 form=xl type=pv more=()
	# An emulated processor has better things to do.
	local words='console=hvc0 quiet mitigations=off init_on_alloc=0 apparmor=0 audit=0 cryptomgr.notests nokaslr'
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--xml) form=xml ;;
		--pvh) type=pvh ;;
		--deaf) words+=' lab=deaf' ;;
		*) more+=("$1") ;;
		esac
		shift
	done
	"print_$form"
}

print_xl() {
	cat <<-FILE
		name = "$name"
		type = "$type"
		kernel = "/lab/vmlinux"
		ramdisk = "/lab/guest.gz"
		extra = "$words"
		memory = 96
		vcpus = 1
	FILE
	[ ${#more[@]} = 0 ] || printf '%s\n' "${more[@]}"
}

print_xml() {
	local kind=linux
	[ $type = pv ] || kind=xenpvh
	cat <<-FILE
		<domain type='xen'>
		  <name>$name</name>
		  <memory unit='MiB'>96</memory>
		  <vcpu>1</vcpu>
		  <os>
		    <type arch='x86_64' machine='xen$type'>$kind</type>
		    <kernel>/lab/vmlinux</kernel>
		    <initrd>/lab/guest.gz</initrd>
		    <cmdline>$words</cmdline>
		  </os>
		  <devices>
		    <console type='pty'><target type='xen' port='0'/></console>
		  </devices>
	FILE
	[ ${#more[@]} = 0 ] || printf '  %s\n' "${more[@]}"
	echo '</domain>'
}

# The file of one that arrived by xl may have the name that it had on its way.
verb_console() {
	[ $# = 3 ] || die "usage: lab console DIR HOST NAME"
	use_dom0 "$1" "$2"
	in_dom0 sh -c 'cd /var/log/xen/console && ls -tr "guest-$1.log" "guest-$1--incoming.log" 2>/dev/null | xargs -r cat' sh "$3" |
		tr -d '\r'
}

verb_ticks() {
	[ $# = 3 ] || die "usage: lab ticks DIR HOST NAME"
	local tick
	tick=$(verb_console "$@" | sed -n 's/^tick \([0-9a-f]* [0-9]* [0-9.]*\)$/\1/p' | tail -n 1)
	[ -n "$tick" ] || die "the guest $3 says nothing"
	echo "$tick"
}
