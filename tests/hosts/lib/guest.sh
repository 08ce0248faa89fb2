# SPDX-License-Identifier: GPL-2.0-or-later
#
# Guests: their definitions and what they say.

verb_guest() {
	[ $# -ge 2 ] || die "usage: lab guest DIR NAME [--variant V] [--mem MIB] [--full MIB] [--append ARGS] [--on-crash WHAT] [--disk PATH] [--uuid U]"
	use_lab "$1"
	local name=$2 variant=tick mem='' full='' append='' on_crash=destroy disk='' uuid=''
	shift 2
	while [ $# -gt 0 ]; do
		[ $# -ge 2 ] || die "guest: $1 needs a value"
		case $1 in
		--variant) variant=$2 ;;
		--mem) mem=$2 ;;
		--full) full=$2 ;;
		--append) append=$2 ;;
		--on-crash) on_crash=$2 ;;
		--disk) disk=$2 ;;
		--uuid) uuid=$2 ;;
		*) die "guest: unknown option $1" ;;
		esac
		shift 2
	done
	case $variant in
	tick | stubborn | linux) mem=${mem:-80} ;;
	dirty) mem=${mem:-$((96 + $(dirty_size)))} ;;
	none) mem=${mem:-16} ;;
	*) die "guest: unknown variant $variant" ;;
	esac
	print_definition
}

# The MiB that a dirty guest writes through, as its kernel arguments say.
dirty_size() {
	local word size=64
	for word in $append; do
		case $word in dirty=*) size=${word#dirty=} ;; esac
	done
	echo "$size"
}

# The same name has the same UUID in every host and every run, unless the caller gives one.
uuid_of() {
	local sum
	sum=$(printf %s "$1" | md5sum)
	echo "${sum:0:8}-${sum:8:4}-4${sum:13:3}-8${sum:17:3}-${sum:20:12}"
}

# A Linux kernel's arguments save time in an emulated processor.
print_definition() {
	local cache
	cache=$(cat "$lab/.lab/cache")
	cat <<-XML
		<domain type='qemu'>
		  <name>$name</name>
		  <uuid>${uuid:-$(uuid_of "$name")}</uuid>
		  <memory unit='MiB'>$mem</memory>
		  <vcpu>1</vcpu>
		  <os>
		    <type arch='x86_64' machine='pc'>hvm</type>
	XML
	[ -e "$cache/small/guest" ] || die "no guest in $cache: run lab prepare"
	case $variant in
	none) ;;
	linux)
		cat <<-XML
			    <kernel>$cache/linux/vmlinuz</kernel>
			    <initrd>$cache/linux/initramfs</initrd>
			    <cmdline>console=ttyS0 quiet panic=0 nokaslr mitigations=off nopti tsc=reliable no_timer_check cryptomgr.notests${append:+ $append}</cmdline>
		XML
		;;
	*)
		cat <<-XML
			    <kernel>$cache/small/guest</kernel>
			    <cmdline>lab=$variant${full:+ full=$full}${append:+ $append}</cmdline>
		XML
		;;
	esac
	cat <<-XML
		  </os>
		  <features><acpi/></features>
		  <on_poweroff>destroy</on_poweroff>
		  <on_reboot>restart</on_reboot>
		  <on_crash>$on_crash</on_crash>
		  <devices>
		    <emulator>/usr/bin/qemu-system-x86_64</emulator>
	XML
	if [ -n "$disk" ]; then
		cat <<-XML
			    <disk type='file' device='disk'>
			      <driver name='qemu' type='$(disk_format "$disk")' cache='none'/>
			      <source file='$disk'/>
			      <target dev='vda' bus='virtio'/>
			    </disk>
		XML
	fi
	cat <<-XML
		    <controller type='usb' model='none'/>
		    <serial type='file'>
		      <source path='$lab/shared/console-$name.log' append='on'/>
		      <target port='0'/>
		    </serial>
		    <memballoon model='none'/>
		    <panic model='isa'/>
		  </devices>
		</domain>
	XML
}

disk_format() {
	case $1 in
	*.qcow2) echo qcow2 ;;
	*) echo raw ;;
	esac
}

console_of() { echo "$lab/shared/console-$1.log"; }

verb_console() {
	[ $# = 2 ] || die "usage: lab console DIR NAME"
	use_lab "$1"
	cat "$(console_of "$2")"
}

# The last complete tick line, without its first word.
last_tick() {
	tail -c 8192 "$1" 2>/dev/null | tr -d '\r' |
		grep -aoE '^tick [0-9a-f]+ [0-9]+ [0-9]+\.[0-9]{2}$' | tail -n 1 | grep -a . | cut -d' ' -f2-
}

verb_ticks() {
	[ $# = 2 ] || [ $# = 4 ] || die "usage: lab ticks DIR NAME [--wait SECONDS]"
	use_lab "$1"
	if ! wait_until "${4:-0}" last_tick "$(console_of "$2")"; then
		show_log "$(console_of "$2")"
		die "$2 has not ticked"
	fi
	last_tick "$(console_of "$2")"
}

# Each new line with this machine's time before it, until it is ended: a guest's own clock stands still
# while it is moved, so only the gap between two of these lines tells how long it was away.
verb_follow() {
	[ $# = 2 ] || die "usage: lab follow DIR NAME"
	use_lab "$1"
	local line
	tail --pid=$$ -n 0 -F "$(console_of "$2")" 2>/dev/null | while read -r line; do
		echo "$EPOCHREALTIME ${line%$'\r'}"
	done
}
