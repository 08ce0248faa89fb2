# SPDX-License-Identifier: GPL-2.0-or-later
#
# A lab and its hosts: up, down, crash, boot, and what is done in them.
#
#   DIR/.lab/id, cache, count, programs.tar    DIR/hN/disk.qcow2, pid, port, monitor, ssh_config, console.log

verb_up() {
	[ $# = 1 ] || [ $# = 2 ] || die "usage: lab up DIR [N]"
	local count=${2-1} begin n job jobs=()
	[[ $count == [12] ]] || die "up: 1 or 2 hosts, not $count"
	begin=$(now_ms)
	[ -e "$default_cache/booted/disk.qcow2" ] || die "up: no hosts in $default_cache: run lab prepare"
	mkdir -p -- "$1"
	lab=$(realpath -- "$1")
	[ ! -e "$lab/.lab" ] || die "up: there is $lab/.lab already"
	trap give_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	make_folder "$default_cache" "$count"
	pack_programs "$lab/.lab/programs.tar"
	for ((n = 1; n <= count; n++)); do
		mkdir "$lab/h$n"
		boot_host "h$n" &
		jobs+=($!)
	done
	for job in "${jobs[@]}"; do
		wait "$job" || die "a host did not start"
	done
	trap - EXIT INT TERM HUP
	say "$count hosts up in $(($(now_ms) - begin)) ms"
}

# make_folder CACHE COUNT: what the verbs read.
make_folder() {
	mkdir -p "$lab/.lab"
	cat /proc/sys/kernel/random/uuid >"$lab/.lab/id"
	realpath -- "$1" >"$lab/.lab/cache"
	echo "$2" >"$lab/.lab/count"
}

# The end of an "up" that failed or was interrupted.
give_up() {
	trap '' INT TERM HUP # a terminal and a test runner often send them twice
	say "up: giving up"
	end_lab "$lab"
}

verb_down() {
	[ $# = 1 ] || die "usage: lab down DIR"
	local dir
	dir=$(realpath -m -- "$1")
	[ ! -e "$dir/.lab" ] || end_lab "$dir"
}

# end_lab LAB: also for a lab that died half way. The id goes first: a host that is being started ends.
end_lab() {
	local dir=$1 lab='' host
	rm -f "$dir/.lab/id"
	for host in "$dir"/h[12]; do
		[ ! -e "$host" ] || end_host "$host"
	done
	rm -rf "$dir"/.lab "$dir"/h[12]
}

# end_host FOLDER: as a power cut does.
end_host() {
	[ ! -S "$1/ssh" ] || ssh -F "$1/ssh_config" -O exit dom0 2>/dev/null || true
	end_process "$1/pid"
}

verb_kill() {
	[ $# = 2 ] || die "usage: lab kill DIR HOST"
	use_lab "$1"
	name_host "$2"
	end_host "$lab/$host"
}

verb_boot() {
	[ $# = 2 ] || die "usage: lab boot DIR HOST"
	use_lab "$1"
	name_host "$2"
	is_not_process "$lab/$host/pid" || die "$host runs already"
	boot_host "$2"
}

# boot_host HOST: from the power button to a libvirtd that answers, under its own name. The first time it goes on from where
# "prepare" has stopped a host that had just booted; what is built for it is on its second disk.
boot_host() {
	local begin cache from=()
	begin=$(now_ms)
	name_host "$1"
	read -r cache <"$lab/.lab/cache"
	if [ ! -e "$lab/$host/disk.qcow2" ]; then
		cp "$cache/booted/disk.qcow2" "$lab/$host/disk.qcow2"
		from=(-loadvm booted)
	fi
	power_on "${from[@]}"
	in_dom0 /lab/name "$number" "$(date +%s)" "$(cat "$lab/.lab/count")" || die "$host has no name"
	say "$host up in $(($(now_ms) - begin)) ms"
}

# power_on WORD...: returns when libvirt answers.
power_on() {
	local try
	for ((try = 0; ; try++)); do
		port=$((20000 + RANDOM % 12000))
		! start_machine "$@" || break
		[ $try -lt 10 ] || {
			show_log "$lab/$host/qemu.log"
			die "$host does not start"
		}
	done
	write_ssh_config
	wait_until 120 in_dom0 virsh -q -c xen:///system list || {
		show_log "$lab/$host/console.log"
		die "$host does not answer"
	}
}

# Starts the QEMU; fails when it ends at once, as it does when something else has the port.
start_machine() {
	local cable=hubport,hubid=1 words
	if [ "$(cat "$lab/.lab/count")" = 2 ]; then
		cable=dgram,local.type=unix,local.path=$lab/$host/cable,remote.type=unix,remote.path=$lab/h$((3 - number))/cable
	fi
	words=(-accel "tcg,thread=multi,tb-size=256" -machine pc -cpu "qemu64,+svm,+npt" -smp 1 -m 1024
		-nodefaults -no-reboot -display none -serial "file:$lab/$host/console.log"
		-monitor "unix:$lab/$host/monitor,server=on,wait=off"
		-kernel "$cache/xen/xen" -append "console=com1 com1=115200,8n1 dom0_mem=640M,max:640M"
		-initrd "$cache/xen/vmlinux console=hvc0 quiet,$cache/xen/boot.gz"
		-drive "file=$lab/$host/disk.qcow2,format=qcow2,if=virtio"
		-drive "file=$lab/.lab/programs.tar,format=raw,if=virtio,readonly=on"
		-netdev "user,id=ssh,restrict=on,hostfwd=tcp:127.0.0.1:$port-:22" -device virtio-net-pci,netdev=ssh
		-netdev "$cable,id=cable" -device "virtio-net-pci,netdev=cable,mac=52:54:00:77:00:0$number")
	rm -f "$lab/$host"/{cable,monitor,pid,ssh}
	(
		close_files
		exec env -i PATH="$PATH" LC_ALL=C setsid -f qemu-system-x86_64 "${words[@]}" "$@" -pidfile "$lab/$host/number" \
			</dev/null >"$lab/$host/qemu.log" 2>&1
	)
	wait_until 10 test -s "$lab/$host/number" || return 1
	process=$(cat "$lab/$host/number")
	rm "$lab/$host/number"
	echo "$process $(started "$process")" >"$lab/$host/pid"
}

# pack_programs FILE: an archive of what is built, with its links, small; an empty one where nothing is built.
pack_programs() {
	local target root name
	target=$(realpath -m -- "${CARGO_TARGET_DIR:-$here/../../target}")
	if [ -z "${LAB_BIN-}" ]; then
		LAB_BIN=$target/debug
		[ ! "$target/release/vm-agent" -nt "$LAB_BIN/vm-agent" ] || LAB_BIN=$target/release
	fi
	root=$(mktemp -d "$lab/.lab/root.XXXXXX")
	if [ -x "$LAB_BIN/vm-agent" ]; then
		mkdir -p "$root"/usr/{sbin,libexec/vm-agent,share/cluster,lib/ocf/resource.d/vm-agent}
		strip -o "$root/usr/sbin/vm-agent" "$LAB_BIN/vm-agent"
		for name in vm-agent-by-hand vm-agent-libvirt; do
			strip -o "$root/usr/libexec/vm-agent/$name" "$LAB_BIN/$name"
		done
		for name in share/cluster/vm.sh lib/ocf/resource.d/vm-agent/{vm,VirtualDomain,Xen}; do
			ln -s /usr/sbin/vm-agent "$root/usr/$name"
		done
	fi
	tar -C "$root" --owner=root --group=root --no-overwrite-dir -cf "$1" .
	truncate -s 64M "$1" # as large in each lab: a saved state knows the size of its disks
	rm -r "$root"
}

write_ssh_config() {
	cp "$cache/dom0/key" "$lab/$host/key"
	chmod 600 "$lab/$host/key"
	cat >"$lab/$host/ssh_config" <<-CONFIG
		Host dom0
		HostName 127.0.0.1
		Port $port
		User root
		IdentityFile $lab/$host/key
		IdentitiesOnly yes
		UserKnownHostsFile $cache/dom0/known_hosts
		GlobalKnownHostsFile /dev/null
		BatchMode yes
		LogLevel ERROR
		ConnectTimeout 5
		ServerAliveInterval 5
		ServerAliveCountMax 12
		ControlMaster auto
		ControlPath $lab/$host/ssh
		ControlPersist yes
	CONFIG
}

# quoted WORD...: sets $line, by which a shell there gets exactly these words.
quoted() { printf -v line '%q ' "$@"; }

# in_dom0 CMD...: runs CMD in the host that is named, with a plain environment, for the lab's own needs.
in_dom0() {
	local line
	quoted env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@"
	ssh -F "$lab/$host/ssh_config" dom0 -- "$line"
}

# use_dom0 DIR HOST: sets $lab, $host and $number; the host is up.
use_dom0() {
	use_lab "$1"
	name_host "$2"
	is_process "$lab/$host/pid" || die "host $2 is down"
}

# The environment is the one that the caller gave, byte for byte: bash has changed its own copy, the kernel's is as it came.
verb_exec() {
	[ $# -ge 3 ] || die "usage: lab exec DIR HOST -- CMD ..."
	local dir=$1 at=$2 environment line
	shift 2
	[ "$1" != -- ] || shift
	use_dom0 "$dir" "$at"
	mapfile -d '' -t environment </proc/$$/environ
	quoted env -i "${environment[@]}" "$@"
	exec ssh -F "$lab/$host/ssh_config" dom0 -- "exec $line"
}

verb_put() {
	[ $# = 4 ] || die "usage: lab put DIR HOST FILE PATH"
	use_dom0 "$1" "$2"
	put "$3" "$4"
}

# put FILE PATH
put() {
	local mode=644
	[ ! -x "$1" ] || mode=755
	in_dom0 sh -c 'mkdir -p "${1%/*}" && rm -f "$1" && cat >"$1" && chmod "$2" "$1"' sh "$2" $mode <"$1"
}

# A newer build into a host that is up. Compressed, because an emulated processor deciphers 2 MB a second.
verb_install() {
	[ $# = 2 ] || die "usage: lab install DIR HOST"
	use_dom0 "$1" "$2"
	pack_programs "$lab/.lab/newer.tar"
	gzip -1 <"$lab/.lab/newer.tar" | in_dom0 tar -C / -xzf - --unlink-first
	rm "$lab/.lab/newer.tar"
}

verb_service() {
	[ $# = 4 ] || die "usage: lab service DIR HOST start|stop|kill|freeze|thaw NAME"
	use_dom0 "$1" "$2"
	in_dom0 /lab/service "$3" "$4"
}

verb_partition() { cable "$1" "$2" off; }
verb_heal() { cable "$1" "$2" on; }

# cable DIR HOST on|off: what the host sends and gets over the cable is lost; the other host's interface stays up.
cable() {
	use_dom0 "$1" "$2"
	monitor "set_link cable $3"
}

# monitor COMMAND: a line for QEMU's monitor; its answer is thrown away.
monitor() {
	python3 - "$lab/$host/monitor" "$1" <<-'PYTHON'
		import socket, sys
		monitor = socket.socket(socket.AF_UNIX)
		monitor.settimeout(60)
		monitor.connect(sys.argv[1])
		def prompt():
		    said = b""
		    while not said.endswith(b"(qemu) "):
		        part = monitor.recv(4096)
		        if not part: sys.exit("the monitor closed")
		        said += part
		    return said
		prompt()
		monitor.sendall(sys.argv[2].encode() + b"\n")
		prompt()
	PYTHON
}

verb_run() {
	[ $# -ge 1 ] || die "usage: lab run PROGRAM [ARGUMENT ...]"
	local program=$1 dir result=0
	shift
	dir=$(mktemp -d /var/tmp/vm-agent-xen.XXXXXX)
	"$here/lab" up "$dir"
	"$here/lab" put "$dir" h1 "$program" /root/program
	"$here/lab" exec "$dir" h1 -- sh -c 'chmod +x /root/program && exec /root/program "$@"' sh "$@" || result=$?
	"$here/lab" down "$dir"
	rmdir "$dir"
	return $result
}
