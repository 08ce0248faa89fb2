# SPDX-License-Identifier: GPL-2.0-or-later
# The table of bench/run out of what "measure once" printed, and whether the targets are met.

{ wall[$1] = $2; cpu[$1] = $3; peak[$1] = $4; tasks[$1] = $5; lag[$1] = $6; free[$1] = $7 }

function row(text, key) {
	if (!(key in wall))
		return
	printf "%-34s %9.2f %9.2f %9.2f %9d %9.2f %9.1f\n", text, wall[key], cpu[key], peak[key] / 1024, tasks[key],
		cpu[key] / cpu["monitor.ours"], cpu[key] / cpu["empty"]
}

# libvirt looks only every 200 ms whether a process that it has told to end is gone.
function after(key, third) {
	printf "  returned after the end of the process: vm-agent %.1f ms, VirtualDomain %.1f ms", lag[key ".ours"], lag[key ".theirs"]
	printf third ? ", virsh %.1f ms\n" : "\n", lag[key "." third]
	printf "  returned after libvirt saw that end:   vm-agent %.1f ms, VirtualDomain %.1f ms", free[key ".ours"], free[key ".theirs"]
	printf third ? ", virsh %.1f ms\n" : "\n", free[key "." third]
}

function group(title) { printf "\n%s\n", title }

function target(text, value, limit, unit) {
	printf "  %-62s %9.3g%s  %s\n", text, value, unit, value <= limit ? "met" : "MISSED"
	if (value > limit)
		missed++
}

END {
	printf "%-34s %9s %9s %9s %9s %9s %9s\n", "", "wall ms", "CPU ms", "peak MiB", "tasks", "monitors", "empties"
	group("nothing at all")
	row("  empty dynamic C program", "empty")
	row("  /bin/sh -c :", "sh")
	split("monitor probe status meta-data validate-all", actions, " ")
	title["monitor"] = "monitor, it runs"
	title["probe"] = "monitor (probe), it does not run"
	title["status"] = "status, by hand"
	title["meta-data"] = "meta-data"
	title["validate-all"] = "validate-all"
	for (i = 1; i in actions; i++) {
		a = actions[i]
		group(title[a])
		row("  vm-agent", a ".ours")
		row("  vm-agent, by name alone", a "-name.ours")
		row("  vm-agent, by config alone", a "-config.ours")
		row("  ocf:heartbeat:VirtualDomain", a ".theirs")
		row("  C program linked with libvirt", a ".client")
		row("  virsh domstate", a ".virsh")
	}
	group("start (a guest without a kernel)")
	row("  vm-agent", "start.ours")
	row("  ocf:heartbeat:VirtualDomain", "start.theirs")
	row("  virsh create", "start.virsh")
	printf "  beyond virsh: vm-agent %.1f ms, VirtualDomain %.1f ms\n", wall["start.ours"] - wall["start.virsh"],
		wall["start.theirs"] - wall["start.virsh"]
	group("stop by force")
	row("  vm-agent", "stop.ours")
	row("  ocf:heartbeat:VirtualDomain", "stop.theirs")
	row("  virsh destroy", "stop.virsh")
	printf "  beyond virsh: vm-agent %.1f ms, VirtualDomain %.1f ms\n", wall["stop.ours"] - wall["stop.virsh"],
		wall["stop.theirs"] - wall["stop.virsh"]
	after("stop", "virsh")
	group("stop by asking (a guest that shuts down)")
	row("  vm-agent", "asked.ours")
	row("  ocf:heartbeat:VirtualDomain", "asked.theirs")
	after("asked")
	print "\ntargets"
	target("monitor: CPU, of VirtualDomain's (at most 1/60 = 0.0167)", cpu["monitor.ours"] / cpu["monitor.theirs"], 1 / 60, "")
	target("monitor: CPU, of the C program's (at most 1/15 = 0.0667)", cpu["monitor.ours"] / cpu["monitor.client"], 1 / 15, "")
	target("monitor by name: CPU, of an empty program's (at most 1.15)", cpu["monitor-name.ours"] / cpu["empty"], 1.15, "")
	target("monitor by config: CPU, of an empty program's (at most 1.25)", cpu["monitor-config.ours"] / cpu["empty"], 1.25, "")
	target("meta-data: CPU, of VirtualDomain's (at most 1/10 = 0.1)", cpu["meta-data.ours"] / cpu["meta-data.theirs"], 0.1, "")
	target("monitor: peak, MiB (at most 2.5)", peak["monitor.ours"] / 1024, 2.5, "")
	target("stop: after libvirt saw the end of the guest, ms (at most 50)", free["asked.ours"], 50, "")
	exit missed > 0
}
