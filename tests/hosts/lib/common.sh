# SPDX-License-Identifier: GPL-2.0-or-later
#
# What every verb needs: messages, bounded waiting, and processes that are known by more than a number.

default_cache=${VM_AGENT_LAB_CACHE:-/var/cache/vm-agent-lab}

say() { printf 'lab: %s\n' "$*" >&2; }

die() {
	say "$*"
	exit 125
}

# The end of a log, for a failure's message.
show_log() {
	if [ -s "$1" ]; then
		say "the last lines of $1:"
		tail -n "${2-15}" "$1" >&2
	fi
}

# A short pause without a new process: nobody ever writes to this pipe.
nap() {
	[ -n "${nap_fd-}" ] || exec {nap_fd}<> <(:)
	read -r -t 0.02 -u "$nap_fd" || true
}

# Milliseconds, for times that are printed.
now_ms() {
	local t=${EPOCHREALTIME/./}
	echo $((t / 1000))
}

# wait_until SECONDS CMD...: 0 as soon as CMD succeeds, 1 when the time is over or when the lab has been
# ended meanwhile. The commands are looks, so their output is thrown away.
wait_until() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt $end ] || return 1
		[ -z "${lab-}" ] || [ -e "$lab/.lab/id" ] || return 1
		nap
	done
}

# started PID: prints when that process was started, in clock ticks since the boot of the machine.
# PID and start time together name one process for ever; a PID alone is used again.
started() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	read -r -a stat <<<"${stat##*) }" # the name before it may hold anything
	[ "${stat[0]}" != Z ] || return 1
	echo "${stat[19]}"
}

has_ended() { ! started "$1"; }

# is_process FILE: FILE holds "PID START" and that very process lives; sets $process.
is_process() {
	local start
	{ read -r process start <"$1"; } 2>/dev/null || return 1
	[ "$(started "$process")" = "$start" ]
}

is_not_process() { ! is_process "$1"; }

# end_process FILE: SIGKILL to the process that FILE names, if it lives, and the wait for its end.
end_process() {
	if is_process "$1"; then
		kill -KILL "$process" 2>/dev/null || true
		wait_until 20 is_not_process "$1" || die "process $process does not end"
	fi
	rm -f "$1"
}

# use_lab DIR: sets $lab and the places below it; fails when there is no lab.
use_lab() {
	lab=$1
	[[ $lab == /* ]] || lab=$(realpath -m -- "$1")
	[ -e "$lab/.lab/id" ] || die "no lab at $1"
}

# lab_with WHAT: "up" was told to make it. "migration" brings ssh and libvirt along,
# "fencing" a cluster.
lab_with() {
	local with
	read -r with <"$lab/.lab/with"
	case $1 in
	ssh | libvirt) with=${with/migration/migration,ssh,libvirt} ;;
	cluster) with=${with/fencing/fencing,cluster} ;;
	esac
	[[ ,$with, == *,"$1",* ]]
}

# release_of NUMBER: what the host of this number has as its root: the "machine"'s own, or "trixie".
release_of() {
	if lab_with trixie || { lab_with mixed && [ "$1" = "$(cat "$lab/.lab/count")" ]; }; then
		echo trixie
	else
		echo machine
	fi
}

# name_host HOST: takes h1 or node1; sets $host (h1) and $number (1).
name_host() {
	number=${1#h}
	number=${number#node}
	host=h$number
	[ -d "$lab/$host" ] || die "no host $1 in $lab"
}

# use_host HOST: sets $host_pid too, its PID 1 as seen from here; fails when the host is down.
use_host() {
	name_host "$1"
	is_process "$lab/$host/pid" || die "host $1 is down"
	host_pid=$process
}

# in_host CMD...: runs CMD in the host in use with a plain environment, for the lab's own needs.
in_host() {
	nsenter -t "$host_pid" -m -u -i -n -p env -i PATH="$PATH" HOME=/root LC_ALL=C "$@"
}

# Closes what was inherited, so that a process that stays never holds a caller's pipe open.
close_files() {
	local fd
	for fd in "/proc/$BASHPID/fd/"*; do
		fd=${fd##*/}
		if [ "$fd" -gt 2 ] && [ "$fd" -ne 255 ]; then
			eval "exec $fd>&-"
		fi
	done
}
