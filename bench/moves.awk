# SPDX-License-Identifier: GPL-2.0-or-later
# The table of bench/moves, and whether the targets are met. A line of input: KIND AWAY TOTAL, in ms.
#
# Moves of either kind are of two sorts, whose mixture is chance: QEMU finishes at the first pass over the memory, or waits
# for its next look at the bandwidth, 100 to 200 ms later. The median lies now in the one sort and now in the other, so what
# is compared is the lower quartile, which is steady; that one kind is not more often of the slow sort is asked of all
# samples together, by their ranks.

{
	n[$1]++
	value[$1, "away", n[$1]] = $2
	value[$1, "in all", n[$1]] = $3
}

# sorted(KIND, WHAT): the samples in order, in "order".
function sorted(kind, what, i, j, x) {
	for (i = 1; i <= n[kind]; i++) {
		x = value[kind, what, i]
		for (j = i - 1; j > 0 && order[j] > x; j--)
			order[j + 1] = order[j]
		order[j + 1] = x
	}
}

function quantile(kind, what, part, place, below) {
	sorted(kind, what)
	place = 1 + part * (n[kind] - 1)
	below = int(place)
	return order[below] + (below < n[kind] ? (order[below + 1] - order[below]) * (place - below) : 0)
}

# By how many standard deviations vm-agent's samples are larger than virsh's (Mann and Whitney's test).
function ranks(what, i, j, larger, a, b) {
	a = n["vm-agent"]
	b = n["virsh"]
	for (i = 1; i <= a; i++)
		for (j = 1; j <= b; j++)
			larger += value["vm-agent", what, i] > value["virsh", what, j]
	return (larger - a * b / 2) / sqrt(a * b * (a + b + 1) / 12)
}

function target(text, value, limit, unit) {
	printf "  %-62s %9.3g%s  %s\n", text, value, unit, value <= limit ? "met" : "MISSED"
	if (value > limit)
		missed++
}

END {
	if (!n["vm-agent"] || !n["virsh"])
		exit 1
	printf "%-34s %14s %14s %8s %8s\n", "", "vm-agent ms", "virsh ms", "ratio", "ranks"
	split("away,in all", whats, ",")
	for (w = 1; w in whats; w++) {
		what = whats[w]
		z[what] = ranks(what)
		for (part = 0.25; part < 0.6; part += 0.25) {
			ours[what, part] = quantile("vm-agent", what, part)
			virshs[what, part] = quantile("virsh", what, part)
			printf "%-34s %14.0f %14.0f %8.3f", what (part < 0.3 ? ", lower quartile" : ", median"), ours[what, part],
				virshs[what, part], ours[what, part] / virshs[what, part]
			printf part < 0.3 ? " %+8.1f\n" : "\n", z[what]
		}
	}
	print "\ntargets"
	target("away: longer than with virsh, ms (at most one tick, 20)", ours["away", 0.25] - virshs["away", 0.25], 20, "")
	target("in all: of virsh's (at most 1.05)", ours["in all", 0.25] / virshs["in all", 0.25], 1.05, "")
	target("away: ranks, standard deviations above virsh's (at most 3)", z["away"], 3, "")
	target("in all: ranks, standard deviations above virsh's (at most 3)", z["in all"], 3, "")
	exit missed > 0
}
