# SPDX-License-Identifier: GPL-2.0-or-later
#
# The hosts' networks: two bridges in the keeper's network namespace, and in each host an eth0 (all
# traffic) and a mig0 (migrations, when asked for).

# in_switch CMD...: runs CMD where the bridges are.
in_switch() {
	is_process "$lab/.lab/keeper" || die "the lab's keeper is gone"
	nsenter -t "$process" -n "$@"
}

# plug HOST: new cables for a host that has just booted (those of a crashed host go with it, some
# time after its end, so an old one may still be there). A host keeps its hardware addresses over
# boots, or the others would send to the old ones until their neighbour tables time out.
plug() {
	in_switch ip link del "$host" 2>/dev/null || true
	in_switch ip link del "$host-mig" 2>/dev/null || true
	in_switch ip -batch - <<-IP
		link add $host type veth peer name eth0 address 02:00:00:00:00:0$number netns $host_pid
		link add $host-mig type veth peer name mig0 address 02:00:00:00:01:0$number netns $host_pid
		link set $host up
		link set $host-mig up
	IP
	nsenter -t "$host_pid" -n ip -batch - <<-IP
		link set lo up
		addr add 10.77.0.$number/24 dev eth0
		addr add fd00::$number/64 dev eth0 nodad
		link set eth0 up
		addr add 10.77.1.$number/24 dev mig0
		addr add fd00:1::$number/64 dev mig0 nodad
		link set mig0 up
	IP
	if [ ! -e "$lab/$host/partitioned" ]; then
		join_bridges
	fi
}

join_bridges() {
	in_switch ip -batch - <<-IP
		link set $host master lab
		link set $host-mig master mig
	IP
}

# A partition takes the host's ports out of the bridges: packets vanish silently and the carrier stays,
# as when a switch fails. It lasts over a boot.
verb_partition() {
	[ $# = 2 ] || die "usage: lab partition DIR HOST"
	use_lab "$1"
	name_host "$2"
	: >"$lab/$host/partitioned"
	if is_process "$lab/$host/pid"; then
		in_switch ip -batch - <<-IP
			link set $host nomaster
			link set $host-mig nomaster
		IP
	fi
}

verb_heal() {
	[ $# = 2 ] || die "usage: lab heal DIR HOST"
	use_lab "$1"
	name_host "$2"
	rm -f "$lab/$host/partitioned"
	# A host that has no cables, since it is booting or they go with a crash just now, looks for the mark once it has them.
	if is_process "$lab/$host/pid"; then
		join_bridges 2>/dev/null || true
	fi
}

# A slow network: what the host sends leaves at RATE at most (tc's words: 10mbit), until "off".
verb_shape() {
	[ $# = 3 ] || [ $# = 5 ] || die "usage: lab shape DIR HOST RATE|off [--net lab|mig]"
	use_lab "$1"
	use_host "$2"
	local rate=$3 device=eth0
	case ${5-lab} in
	lab) ;;
	mig) device=mig0 ;;
	*) die "shape: no network $5" ;;
	esac
	if [ "$rate" = off ]; then
		nsenter -t "$host_pid" -n tc qdisc del dev "$device" root
	else
		nsenter -t "$host_pid" -n tc qdisc replace dev "$device" root tbf rate "$rate" burst 64kb latency 200ms
	fi
}
