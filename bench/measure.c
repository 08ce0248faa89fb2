/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure: runs programs many times and prints what they cost.
 *
 *   measure once ROUNDS <PLAN       each line of the plan, in an order by chance, ROUNDS times over
 *   measure scale PERIOD SECONDS PID <PLAN
 *                                   each line once in PERIOD seconds, evenly spread, for SECONDS; and the
 *                                   processor time of process PID meanwhile
 *   measure stay PAUSE SECONDS PID <PLAN
 *                                   each line again PAUSE seconds after it has ended, for SECONDS; what they hold in
 *                                   memory at half of the time; and the processor time of process PID meanwhile
 *
 * A line of the plan: LABEL TAB EXIT TAB PIDFILE TAB BEFORE TAB WORDS
 *   EXIT     the exit code that is expected; another one ends everything
 *   PIDFILE  libvirt's, of a domain whose end the program shall notice, or "-"
 *   BEFORE   a command line for /bin/sh that is run before, and not measured, or "-"
 *   WORDS    NAME=VALUE ... PROGRAM ARGUMENT ..., at single blanks
 *
 * Output of "once", a line each: LABEL WALL CPU PEAK TASKS LAG FREE in ms, ms, KiB, number, ms, ms; LAG is from
 * the end of PIDFILE's process to the end of the program, FREE from the moment when libvirt removed PIDFILE: it has
 * seen the end, and the domain's name, locks and devices are free.
 *
 * It must stay small, and statically linked: a child inherits its parent's peak of memory, and pays for the
 * copy of its page tables. So it starts programs by vfork, and keeps only numbers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINES 1024
#define WORDS 96
#define ROUNDS 1000

struct subject {
	char *label, *pidfile, *before;
	int expected;
	char *env[WORDS];
	char *argv[WORDS];
};

struct cost {
	double wall, cpu, lag, free;
	long peak, tasks;
};

static struct subject subjects[LINES];
static int count;
/* SIGCHLD: waited for, never handled. */
static sigset_t ended;

static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "measure: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static double milliseconds(struct timeval t)
{
	return t.tv_sec * 1e3 + t.tv_usec / 1e3;
}

/* The text of a small file. */
static void read_text(const char *path, char *text, size_t size)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? 0 : read(file, text, size - 1);

	if (length <= 0)
		die("%s cannot be read", path);
	close(file);
	text[length] = 0;
}

static double processor_time(const struct rusage *used)
{
	return milliseconds(used->ru_utime) + milliseconds(used->ru_stime);
}

/* Until a child ends, at most so many ms. */
static void nap(double left)
{
	struct timespec time = { left / 1e3, ((long)(left * 1e6)) % 1000000000L };

	if (left > 0)
		sigtimedwait(&ended, NULL, &time);
}

/* The number that was given last in this PID namespace: the difference is how many processes and threads began. */
static long last_pid(void)
{
	char text[128], *blank;

	read_text("/proc/loadavg", text, sizeof(text));
	blank = strrchr(text, ' ');
	return blank ? atol(blank) : 0;
}

static void read_plan(void)
{
	static char plan[1 << 20];
	size_t length = fread(plan, 1, sizeof(plan) - 1, stdin);
	char *line, *lines = plan;

	plan[length] = 0;
	while ((line = strsep(&lines, "\n"))) {
		struct subject *it = &subjects[count];
		int env = 0, words = 0;
		char *word;

		if (!*line)
			continue;
		if (count++ == LINES)
			die("more than %d lines", LINES);
		it->label = strsep(&line, "\t");
		it->expected = atoi(line ? strsep(&line, "\t") : "");
		it->pidfile = strsep(&line, "\t");
		it->before = strsep(&line, "\t");
		if (!line)
			die("%s: fewer than five fields", it->label);
		while ((word = strsep(&line, " "))) {
			if (!words && strchr(word, '='))
				it->env[env++] = word;
			else
				it->argv[words++] = word;
			if (env == WORDS || words == WORDS)
				die("%s: too many words", it->label);
		}
	}
}

static pid_t start(struct subject *it)
{
	pid_t pid = vfork();

	if (pid < 0)
		die("vfork: %s", strerror(errno));
	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		sigprocmask(SIG_UNBLOCK, &ended, NULL);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		close(null);
		execve(it->argv[0], it->argv, it->env);
		_exit(126);
	}
	return pid;
}

static void check(struct subject *it, int status)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) != it->expected)
		die("%s: status 0x%x, not exit code %d", it->label, status, it->expected);
}

static int open_process(const char *pidfile)
{
	char text[32];
	int pidfd;

	if (!strcmp(pidfile, "-"))
		return -1;
	read_text(pidfile, text, sizeof(text));
	pidfd = syscall(SYS_pidfd_open, atoi(text), 0);
	if (pidfd < 0)
		die("no process of %s: %s", pidfile, strerror(errno));
	return pidfd;
}

static struct cost measure(struct subject *it)
{
	struct cost cost = { 0 };
	struct rusage used;
	double began, gone = 0, freed = 0;
	long task;
	int status, watched, removal = -1;
	pid_t pid;

	if (strcmp(it->before, "-") && system(it->before))
		die("%s: '%s' failed", it->label, it->before);
	watched = open_process(it->pidfile);
	if (watched >= 0) {
		removal = inotify_init1(IN_CLOEXEC);
		if (inotify_add_watch(removal, it->pidfile, IN_ATTRIB | IN_DELETE_SELF) < 0)
			die("%s cannot be watched: %s", it->pidfile, strerror(errno));
	}
	task = last_pid();
	began = now();
	pid = start(it);
	if (watched >= 0) {
		struct pollfd ends[3] = {
			{ .fd = watched, .events = POLLIN },
			{ .fd = removal, .events = POLLIN },
			{ .fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN },
		};
		double *when[2] = { &gone, &freed };
		int i;

		while (!ends[2].revents && poll(ends, 3, -1) > 0) {
			for (i = 0; i < 2; i++) {
				if (!ends[i].revents)
					continue;
				*when[i] = now();
				ends[i].fd = -1;
				ends[i].revents = 0;
			}
		}
		close(ends[2].fd);
		close(removal);
		close(watched);
	}
	if (wait4(pid, &status, 0, &used) != pid)
		die("wait4: %s", strerror(errno));
	cost.wall = now() - began;
	check(it, status);
	if (gone)
		cost.lag = began + cost.wall - gone;
	if (freed)
		cost.free = began + cost.wall - freed;
	cost.cpu = processor_time(&used);
	cost.peak = used.ru_maxrss;
	cost.tasks = last_pid() - task;
	return cost;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(double *values, int n, double q)
{
	qsort(values, n, sizeof(*values), by_size);
	return values[(int)((n - 1) * q + 0.5)];
}

/* An order by chance, the same in each run of this program. */
static void shuffle(int *order, int n)
{
	int i;

	for (i = n - 1; i > 0; i--) {
		int other = rand() % (i + 1), moved = order[i];

		order[i] = order[other];
		order[other] = moved;
	}
}

/*
 * In turn, not one after the other: a machine that others use too is not equally fast all the time. And in another
 * order each round: what ran before leaves caches warm or cold, and a daemon awake or asleep.
 */
static void once(int rounds)
{
	static struct cost costs[64][ROUNDS];
	int order[64], i, round;

	if (rounds < 1 || rounds > ROUNDS || count > 64)
		die("at most %d rounds of 64 lines", ROUNDS);
	for (i = 0; i < count; i++) {
		measure(&subjects[i]);
		order[i] = i;
	}
	for (round = 0; round < rounds; round++) {
		shuffle(order, count);
		for (i = 0; i < count; i++)
			costs[order[i]][round] = measure(&subjects[order[i]]);
	}
	for (i = 0; i < count; i++) {
		double values[6][ROUNDS];

		for (round = 0; round < rounds; round++) {
			struct cost *c = &costs[i][round];
			double all[6] = { c->wall, c->cpu, c->peak, c->tasks, c->lag, c->free };
			int field;

			for (field = 0; field < 6; field++)
				values[field][round] = all[field];
		}
		printf("%s\t%.3f\t%.3f\t%.0f\t%.0f\t%.3f\t%.3f\n", subjects[i].label, quantile(values[0], rounds, 0.5),
		       quantile(values[1], rounds, 0.5), quantile(values[2], rounds, 0.5), quantile(values[3], rounds, 0.5),
		       quantile(values[4], rounds, 0.5), quantile(values[5], rounds, 0.5));
	}
}

/* The processor time of a process and its threads, in ms. */
static double used_by(int pid)
{
	char path[64], text[1024], *field;
	int n;
	double ticks = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	read_text(path, text, sizeof(text));
	field = strrchr(text, ')');
	for (n = 2; (field = strchr(field + 1, ' ')); n++)
		if (n + 1 == 14 || n + 1 == 15)
			ticks += atof(field);
	return ticks * 1e3 / sysconf(_SC_CLK_TCK);
}

/* Like a cluster manager: each when its time has come, whether or not the others have ended. */
static void scale(double period, double seconds, int daemon)
{
	static double latency[100000], due[LINES];
	static struct { pid_t pid; int subject; double began; } running[4096];
	double first = now(), cpu = 0, daemon_before = used_by(daemon), peak = 0;
	int runs = 0, alive = 0, most = 0, i;

	sigprocmask(SIG_BLOCK, &ended, NULL);
	for (i = 0; i < count; i++)
		due[i] = first + period * 1e3 * i / count;
	for (;;) {
		double next = 1e300, end = first + seconds * 1e3;
		struct rusage used;
		int status;
		pid_t pid;

		for (i = 0; i < count; i++) {
			if (due[i] < end && now() >= due[i]) {
				if (alive == 4096 || runs + alive == 100000)
					die("too many at once");
				/* From the moment that it was due: a start that comes late counts too. */
				running[alive].began = due[i];
				running[alive].subject = i;
				running[alive++].pid = start(&subjects[i]);
				most = alive > most ? alive : most;
				due[i] += period * 1e3;
			}
			if (due[i] < end && due[i] < next)
				next = due[i];
		}
		while ((pid = wait4(-1, &status, WNOHANG, &used)) > 0) {
			double ended = now();

			for (i = 0; i < alive && running[i].pid != pid; i++)
				;
			if (i == alive)
				continue;
			check(&subjects[running[i].subject], status);
			latency[runs++] = ended - running[i].began;
			cpu += processor_time(&used);
			peak = used.ru_maxrss > peak ? used.ru_maxrss : peak;
			running[i] = running[--alive];
		}
		if (!alive && next > 1e299)
			break;
		nap((next > 1e299 ? end + 60e3 : next) - now());
	}
	double took = now() - first;
	printf("%d\t%.1f\t%.2f\t%.2f\t%.3f\t%.3f\t%.3f\t%.0f\t%d\n", runs, took / 1e3, cpu * 100 / took,
	       (used_by(daemon) - daemon_before) * 100 / took, quantile(latency, runs, 0.5), quantile(latency, runs, 0.99),
	       cpu / runs, peak, most);
}

/* What a process holds in memory, in KiB: all that it has resident, and its share of it. */
static void memory_of(pid_t pid, double *resident, double *share)
{
	char path[64], text[4096], *line;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	read_text(path, text, sizeof(text));
	if ((line = strstr(text, "\nRss:")))
		*resident += atof(line + 5);
	if ((line = strstr(text, "\nPss:")))
		*share += atof(line + 5);
}

/* Like a cluster manager with monitors that wait for what may happen: each again, some time after its answer. */
static void stay(double pause, double seconds, int daemon)
{
	static double due[LINES];
	static pid_t running[LINES];
	double first = now(), end = first + seconds * 1e3, half = first + seconds * 500, cpu = 0;
	double daemon_before = used_by(daemon), resident = 0, share = 0;
	int answers = 0, weighed = 0, i;

	sigprocmask(SIG_BLOCK, &ended, NULL);
	/* Their first answers come at once: spread, they stay spread. */
	for (i = 0; i < count; i++)
		due[i] = first + seconds * 250 * i / count;
	while (now() < end) {
		double next = weighed ? end : half;
		struct rusage used;
		int status;
		pid_t pid;

		for (i = 0; i < count; i++) {
			if (!running[i] && now() >= due[i])
				running[i] = start(&subjects[i]);
			if (!running[i] && due[i] < next)
				next = due[i];
		}
		while ((pid = wait4(-1, &status, WNOHANG, &used)) > 0) {
			for (i = 0; i < count && running[i] != pid; i++)
				;
			if (i == count)
				continue;
			check(&subjects[i], status);
			cpu += processor_time(&used);
			answers++;
			running[i] = 0;
			due[i] = now() + pause * 1e3;
			if (due[i] < next)
				next = due[i];
		}
		if (!weighed && now() >= half) {
			for (i = 0; i < count; i++)
				if (running[i]) {
					memory_of(running[i], &resident, &share);
					weighed++;
				}
			if (!weighed)
				die("none stays");
		}
		nap(next - now());
	}
	double took = now() - first, daemon_used = used_by(daemon) - daemon_before;
	for (i = 0; i < count; i++) {
		struct rusage used;

		if (!running[i])
			continue;
		kill(running[i], SIGKILL);
		if (wait4(running[i], NULL, 0, &used) == running[i])
			cpu += processor_time(&used);
	}
	printf("%d\t%.1f\t%.2f\t%.2f\t%d\t%.0f\t%.0f\n", answers, took / 1e3, cpu * 100 / took, daemon_used * 100 / took,
	       weighed, resident / weighed, share / weighed);
}

int main(int argc, char **argv)
{
	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	read_plan();
	if (argc == 3 && !strcmp(argv[1], "once"))
		once(atoi(argv[2]));
	else if (argc == 5 && !strcmp(argv[1], "scale"))
		scale(atof(argv[2]), atof(argv[3]), atoi(argv[4]));
	else if (argc == 5 && !strcmp(argv[1], "stay"))
		stay(atof(argv[2]), atof(argv[3]), atoi(argv[4]));
	else
		die("usage: measure once ROUNDS | scale PERIOD SECONDS PID | stay PAUSE SECONDS PID, the plan on stdin");
	return 0;
}
