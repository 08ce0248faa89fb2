# SPDX-License-Identifier: GPL-2.0-or-later
#
# A lab and its hosts: up, down, crash, boot.

verb_up() {
	[ $# -ge 2 ] || die "usage: lab up DIR N [--with WHAT,WHAT]"
	local dir=$1 count=$2 with=libvirt begin
	shift 2
	while [ $# -gt 0 ]; do
		case $1 in
		--with)
			with=${2-}
			shift 2
			;;
		*) die "up: unknown option $1" ;;
		esac
	done
	[[ $count == [1-6] ]] || die "up: 1 to 6 hosts, not $count"
	# Any test's hosts have another release, where whoever runs it wants that.
	[[ $with == *mixed* || $with == *trixie* ]] || with+=${VM_AGENT_LAB_RELEASE:+,$VM_AGENT_LAB_RELEASE}
	begin=$(now_ms)
	mkdir -p -- "$dir"
	lab=$(realpath -- "$dir")
	check_wishes "$with"
	trap give_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	make_folders "$count" "$with"
	start_keeper
	if lab_with fencing; then
		start_fence_device
	fi
	boot_all "$count"
	if lab_with cluster; then
		await_cluster "$count"
	fi
	trap - EXIT INT TERM HUP
	say "$count hosts up in $(($(now_ms) - begin)) ms"
}

# What "up" refuses before it makes anything, and so before it would remove anything.
check_wishes() {
	local what path
	for path in "$lab/.lab" "$lab/shared" "$lab"/h[1-6]; do
		[ ! -e "$path" ] || die "up: there is $path already"
	done
	[ -e "$default_cache/small/guest" ] || die "up: no guest in $default_cache: run lab prepare"
	for what in ${1//,/ }; do
		case $what in
		ssh | libvirt | cluster | fencing) ;;
		trixie | mixed)
			[ -e "$default_cache/.trixie.stamp" ] || die "up: no root of Debian 13 in $default_cache: run lab prepare --trixie"
			;;
		migration)
			[ -e "$default_cache/tools/cert.pem" ] ||
				die "up: no newer QEMU in $default_cache: run lab prepare --migration"
			;;
		*) die "up: --with $what: not ssh, libvirt, migration, cluster, fencing, trixie or mixed" ;;
		esac
	done
}

# The end of an "up" that failed or was interrupted.
give_up() {
	trap '' INT TERM HUP # a terminal and a test runner often send them twice
	say "up: giving up"
	if [ ${#boot_jobs[@]} -gt 0 ]; then
		kill "${boot_jobs[@]}" 2>/dev/null || true
	fi
	end_lab "$lab"
}

# What the keeper and the hosts read: made first, so that "down" knows a lab that died half way.
make_folders() {
	local n path
	mkdir "$lab/.lab"
	cat /proc/sys/kernel/random/uuid >"$lab/.lab/id"
	mkdir "$lab/shared" "$lab/.lab/fence"
	mkfifo "$lab/.lab/fence/door"
	echo "$1" >"$lab/.lab/count"
	echo "$2" >"$lab/.lab/with"
	echo "$default_cache" >"$lab/.lab/cache"
	# What the hosts are to find on their machine beside what it really has.
	echo "${LAB_BELOW-}" | sed '/^$/d' >"$lab/.lab/below"
	for ((n = 1; n <= $1; n++)); do
		mkdir -p "$lab/h$n/log"
		chmod 1777 "$lab/h$n/log" # the cluster's daemons run as a user of their own
	done
	# At the same path in all hosts: the shared folder, the cache, this repository (its build outputs
	# change while hosts are up, which an overlay does not follow), and what the caller names.
	{
		echo "$lab/shared"
		realpath -e -- "$default_cache" "$here/../.."
		tr ':' '\n' <<<"${LAB_BIND-}"
	} | sed '/^$/d' | while read -r path; do
		realpath -e -- "$path" || die "cannot bind $path"
	done >"$lab/.lab/binds"
}

# detach LOG CMD...: CMD with a plain environment and no inherited file, its output in LOG.
detach() {
	local log=$1
	shift
	(
		close_files
		exec env -i PATH="$PATH" HOME=/root LC_ALL=C "$@" </dev/null >>"$log" 2>&1
	)
}

start_keeper() {
	detach "$lab/.lab/keeper.log" setsid -f unshare --mount --net --pid --fork "$here/keeper" "$lab"
	if ! wait_until 20 test -e "$lab/.lab/layered"; then
		show_log "$lab/.lab/keeper.log"
		die "the lab's keeper did not start"
	fi
}

start_fence_device() {
	detach "$lab/.lab/fence.log" setsid -f "$here/fence-device" "$lab"
	if ! wait_until 10 is_process "$lab/.lab/fence.pid"; then
		show_log "$lab/.lab/fence.log"
		die "the fence device did not start"
	fi
}

boot_jobs=()

boot_all() {
	local n job
	for ((n = 1; n <= $1; n++)); do
		boot_host "h$n" &
		boot_jobs+=($!)
	done
	for job in "${boot_jobs[@]}"; do
		wait "$job" || die "a host did not start"
	done
}

# boot_host HOST: PID 1, cables, services.
boot_host() {
	local begin
	begin=$(now_ms)
	name_host "$1"
	is_not_process "$lab/$host/pid" || die "$host runs already"
	is_process "$lab/.lab/keeper" || die "the lab's keeper is gone"
	detach "$lab/$host/log/host.log" nsenter -t "$process" -m -n -p \
		setsid -f unshare --mount --net --uts --ipc --pid --fork --kill-child "$here/host" "$lab" "$host"
	if ! wait_until 20 is_process "$lab/$host/pid"; then
		show_log "$lab/$host/log/host.log"
		die "$host did not start"
	fi
	host_pid=$process
	plug
	start_services
	say "$host up in $(($(now_ms) - begin)) ms"
}

verb_boot() {
	[ $# = 2 ] || die "usage: lab boot DIR HOST"
	use_lab "$1"
	boot_host "$2"
}

# A crash: the kernel ends all processes of the host with its PID 1, guests included.
verb_kill() {
	[ $# = 2 ] || die "usage: lab kill DIR HOST"
	use_lab "$1"
	name_host "$2"
	end_process "$lab/$host/pid"
}

verb_down() {
	[ $# = 1 ] || die "usage: lab down DIR"
	local dir
	dir=$(realpath -m -- "$1")
	if [ -e "$dir/.lab" ]; then
		end_lab "$dir"
	fi
}

# A cluster is formed when each member sees all of them online and a coordinator elected.
await_cluster() {
	local n begin
	begin=$(now_ms)
	for ((n = 1; n <= $1; n++)); do
		use_host "h$n"
		if ! wait_until 60 sees_members "$1"; then
			in_host timeout 5 crm_mon -1 >&2 || true
			show_log "$lab/h$n/log/corosync.log"
			show_log "$lab/h$n/log/pacemaker.log"
			die "the cluster did not form: node$n does not see $1 members"
		fi
	done
	say "cluster formed, $(($(now_ms) - begin)) ms after the hosts were up"
}

sees_members() {
	local status
	status=$(in_host timeout 5 crm_mon -1 --output-as=xml) || return 1
	[[ $status == *'<current_dc present="true"'*'with_quorum="true"'* ]] &&
		[ "$(grep -c '<node name=.* online="true".* pending="false"' <<<"$status")" = "$1" ]
}

# end_lab LAB: also for a lab that died half way. The id goes first (see keeper).
end_lab() {
	local dir=$1 parent lab='' # no lab any more, for wait_until
	rm -f "$dir/.lab/id"
	end_process "$dir/.lab/fence.pid" # first: it boots hosts
	if is_process "$dir/.lab/keeper"; then
		parent=$(sed -n 's/^PPid:\t//p' "/proc/$process/status" 2>/dev/null) || true
		end_process "$dir/.lab/keeper"
		if [ -n "$parent" ]; then # "unshare", which waits for the keeper
			wait_until 5 has_ended "$parent" || true
		fi
	fi
	wait_until 10 remove_files "$dir" || {
		remove_files "$dir" || true
		die "cannot remove the files of the lab in $dir"
	}
}

remove_files() {
	rm -rf "$1"/.lab "$1"/shared "$1"/h[1-6]
}
