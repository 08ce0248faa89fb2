# SPDX-License-Identifier: GPL-2.0-or-later
#
# The services of a host: started in the foreground below the host's PID 1, known by a PID file in the
# host's /run/service (lost with a crash, as it must be), their output in DIR/hN/log/NAME.log.

# service_command NAME: the command line, one word a line. "libvirtd" is the daemon that has QEMU's machines: of the modular
# ones virtqemud, which asks those of networks, storage, interfaces and secrets, and beside which virtproxyd has libvirtd's
# sockets and its place in the network.
service_command() {
	case $1 in
	libvirtd)
		if lab_with migration; then
			printf '%s\n' /usr/bin/env "LD_PRELOAD=$(cat "$lab/.lab/cache")/tools/statfs-nfs.so" "LAB_SHARED=$lab/shared"
		fi
		if is_modular; then
			echo /usr/sbin/virtqemud
		else
			echo /usr/sbin/libvirtd
			! lab_with migration || echo --listen
		fi
		;;
	virtproxyd | virtnetworkd | virtstoraged | virtinterfaced | virtsecretd)
		is_modular || die "$host has no $1, since its libvirtd is the monolithic one"
		echo "/usr/sbin/$1"
		;;
	virtlogd) printf '%s\n' /usr/sbin/virtlogd ;;
	sshd) printf '%s\n' /usr/sbin/sshd -D -e -h "/etc/ssh/key_node$number" ;;
	corosync) printf '%s\n' /usr/sbin/corosync -f ;;
	pacemakerd) printf '%s\n' /usr/bin/env PCMK_logfile=/run/lab/log/pacemaker.log /usr/sbin/pacemakerd ;;
	*) die "no service $1" ;;
	esac
}

# Debian 12 has the monolithic daemon; what the newer release's hosts run are the modular ones.
is_modular() { [ "$(release_of "$number")" = trixie ]; }

# service_answers NAME: it does its work, which is more than that it runs.
service_answers() {
	local root=/proc/$host_pid/root
	case $1 in
	libvirtd)
		# Without its socket to ask it is in vain, and dear.
		[ -S "$root/run/libvirt/libvirt-sock" ] || [ -S "$root/run/libvirt/virtqemud-sock" ] || return 1
		in_host timeout 5 virsh -q -r -c qemu:///system uri &&
			in_host timeout 5 virsh -q -c qemu:///system uri
		;;
	virtproxyd) [ -S "$root/run/libvirt/libvirt-sock" ] && [ -S "$root/run/libvirt/libvirt-sock-ro" ] ;;
	virtlogd | virtnetworkd | virtstoraged | virtinterfaced | virtsecretd) [ -S "$root/run/libvirt/$1-sock" ] ;;
	sshd) in_host bash -c ': </dev/tcp/127.0.0.1/22' ;;
	corosync) in_host timeout 5 corosync-cfgtool -s ;;
	pacemakerd) in_host timeout 5 cibadmin -Q ;;
	esac
}

# service_pid NAME: sets $service, the process's number in the host; fails when it does not run.
service_pid() {
	local root=/proc/$host_pid/root
	{ read -r service <"$root/run/service/$1"; } 2>/dev/null && started_in_host "$service"
}

# Like "started", in the host's own /proc.
started_in_host() {
	local stat
	{ read -r stat <"/proc/$host_pid/root/proc/$1/stat"; } 2>/dev/null || return 1
	stat=${stat##*) }
	[ "${stat:0:1}" != Z ]
}

service_is_gone() { ! service_pid "$1"; }

start_service() {
	local name=$1 command
	if service_pid "$name"; then
		return
	fi
	mapfile -t command < <(service_command "$name")
	in_host setsid -f bash -c '
		name=$1
		shift
		echo $$ >"/run/service/$name"
		exec "$@" </dev/null >>"/run/lab/log/$name.log" 2>&1
	' start "$name" "${command[@]}"
	if ! wait_until 30 service_answers "$name"; then
		show_log "$lab/$host/log/$name.log"
		die "$name on $host does not answer after 30 s"
	fi
}

# stop_service NAME: SIGTERM, as an init system does; SIGKILL when it does not end, and that is told.
# Pacemaker stops its resources first, which takes as long as they take.
stop_service() {
	local limit=20
	service_pid "$1" || return 0
	[ "$1" != pacemakerd ] || limit=180
	# It may end before the second; one that is frozen needs it to end.
	in_host bash -c 'kill -TERM "$1"; kill -CONT "$1"' stop "$service" 2>/dev/null || true
	if ! wait_until "$limit" service_is_gone "$1"; then
		say "$1 on $host did not end by SIGTERM within $limit s"
		signal_service "$1" KILL
	fi
}

# signal_service NAME SIGNAL: to the one process, not to what it started (guests outlive libvirtd).
signal_service() {
	service_pid "$1" || die "$1 on $host does not run"
	in_host bash -c 'kill "-$2" "$1"' signal "$service" "$2"
	if [ "$2" = KILL ]; then
		wait_until 10 service_is_gone "$1" || die "$1 on $host does not end"
	fi
}

# The services that "--with" names, in the order in which they need each other.
start_services() {
	local name
	if lab_with ssh; then
		mkdir -p "/proc/$host_pid/root/run/sshd"
		start_service sshd
	fi
	if lab_with libvirt; then
		start_service virtlogd
		start_service libvirtd
		if is_modular; then
			for name in virtnetworkd virtstoraged virtinterfaced virtsecretd virtproxyd; do
				start_service "$name"
			done
		fi
	fi
	if lab_with cluster; then
		start_service corosync
		start_service pacemakerd
	fi
}

verb_service() {
	[ $# = 4 ] || die "usage: lab service DIR HOST start|stop|kill|freeze|thaw|pid NAME"
	local what=$3 name=$4
	use_lab "$1"
	use_host "$2"
	service_command "$name" >/dev/null
	case $what in
	start) start_service "$name" ;;
	stop) stop_service "$name" ;;
	kill) signal_service "$name" KILL ;;
	freeze) signal_service "$name" STOP ;;
	thaw) signal_service "$name" CONT ;;
	pid)
		service_pid "$name" || exit 1
		echo "$service"
		;;
	*) die "no such verb for a service: $what" ;;
	esac
}
