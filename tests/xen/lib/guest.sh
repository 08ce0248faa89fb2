# SPDX-License-Identifier: GPL-2.0-or-later
#
# A guest's file, and what it says.

verb_guest() {
	[ $# -ge 1 ] || die "usage: lab guest NAME [--xml] [--pvh|--hvm] [--deaf] [WORD ...]"
	local name=$1 form=xl type=pv disk=hvm more=()
	# An emulated processor has better things to do.
	local words='console=hvc0 quiet mitigations=off init_on_alloc=0 apparmor=0 audit=0 cryptomgr.notests nokaslr'
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--xml) form=xml ;;
		--pvh) type=pvh ;;
		--hvm) type=hvm ;;
		--deaf) words+=' lab=deaf' disk=deaf ;;
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
		memory = 96
		vcpus = 1
	FILE
	if [ $type = hvm ]; then
		cat <<-FILE
			disk = ["format=raw,vdev=hda,backendtype=qdisk,target=/lab/$disk.img"]
			serial = "file:/var/log/xen/console/hvm-$name.log"
			vga = "none"
			vnc = 0
		FILE
	else
		cat <<-FILE
			kernel = "/lab/vmlinux"
			ramdisk = "/lab/guest.gz"
			extra = "$words"
		FILE
	fi
	[ ${#more[@]} = 0 ] || printf '%s\n' "${more[@]}"
}

print_xml() {
	local kind=linux
	[ $type != hvm ] || {
		print_hvm_xml
		return
	}
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

# It has no console but its serial port.
print_hvm_xml() {
	cat <<-FILE
		<domain type='xen'>
		  <name>$name</name>
		  <memory unit='MiB'>96</memory>
		  <vcpu>1</vcpu>
		  <os>
		    <type arch='x86_64' machine='xenfv'>hvm</type>
		    <loader type='rom'>/usr/lib/xen-4.17/boot/hvmloader</loader>
		    <boot dev='hd'/>
		  </os>
		  <features><acpi/><apic/></features>
		  <devices>
		    <disk type='file' device='disk'>
		      <driver name='qemu' type='raw'/>
		      <source file='/lab/$disk.img'/>
		      <target dev='hda' bus='ide'/>
		    </disk>
		    <serial type='file'><source path='/var/log/xen/console/hvm-$name.log'/><target port='0'/></serial>
		  </devices>
	FILE
	[ ${#more[@]} = 0 ] || printf '  %s\n' "${more[@]}"
	echo '</domain>'
}

# The file of one that arrived by xl may have the name that it had on its way.
verb_console() {
	[ $# = 3 ] || die "usage: lab console DIR HOST NAME"
	use_dom0 "$1" "$2"
	in_dom0 sh -c 'cd /var/log/xen/console && ls -tr "guest-$1.log" "guest-$1--incoming.log" "hvm-$1.log" 2>/dev/null | xargs -r cat' sh "$3" |
		tr -d '\r'
}

verb_ticks() {
	[ $# = 3 ] || die "usage: lab ticks DIR HOST NAME"
	local tick
	tick=$(verb_console "$@" | sed -n 's/^tick \([0-9a-f]* [0-9]* [0-9.]*\)$/\1/p' | tail -n 1)
	[ -n "$tick" ] || die "the guest $3 says nothing"
	echo "$tick"
}
