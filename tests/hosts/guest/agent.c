// SPDX-License-Identifier: GPL-2.0-or-later
//
// agent: the guest's end of the channel org.qemu.guest_agent.0. It answers what libvirt needs for a ping (guest-sync,
// guest-ping), and "lab-ignore N", which a test sends to have it be silent to the next N commands. It tells of each
// command on standard output.

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PORTS = 8, LINE = 4096 };

// The device of the port that has this name, as there is no udev that would make a link.
static int open_port(const char *wanted)
{
	char path[64], name[64];
	int device, port;

	for (device = 0; device < PORTS; device++) {
		for (port = 0; port < PORTS; port++) {
			FILE *file;

			snprintf(path, sizeof(path), "/sys/class/virtio-ports/vport%dp%d/name", device, port);
			file = fopen(path, "r");
			if (!file)
				continue;
			if (fscanf(file, "%63s", name) == 1 && !strcmp(name, wanted)) {
				fclose(file);
				snprintf(path, sizeof(path), "/dev/vport%dp%d", device, port);
				return open(path, O_RDWR);
			}
			fclose(file);
		}
	}
	return -1;
}

// The number behind a key of a command, which libvirt writes without blanks.
static long long number(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	return at ? atoll(at + strlen(key)) : 0;
}

static void answer(int port, const char *line)
{
	static long long ignored;
	char text[128];

	printf("agent %s\n", line);
	fflush(stdout);
	if (ignored > 0) {
		ignored--;
		return;
	}
	if (strstr(line, "\"guest-sync\""))
		snprintf(text, sizeof(text), "{\"return\":%lld}\n", number(line, "\"id\":"));
	else if (strstr(line, "\"guest-ping\"") || strstr(line, "\"lab-ignore\""))
		snprintf(text, sizeof(text), "{\"return\":{}}\n");
	else
		snprintf(text, sizeof(text), "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"not here\"}}\n");
	if (write(port, text, strlen(text)) < 0)
		perror("agent: write");
	if (strstr(line, "\"lab-ignore\""))
		ignored = number(line, "\"count\":");
}

int main(void)
{
	char line[LINE];
	size_t length = 0;
	int port = open_port("org.qemu.guest_agent.0");

	if (port < 0) {
		perror("agent: no port");
		return 1;
	}
	printf("agent listens\n");
	fflush(stdout);
	for (;;) {
		char byte;

		// Nothing, as long as nobody is at the other end.
		if (read(port, &byte, 1) != 1) {
			usleep(100000);
			continue;
		}
		// libvirt may begin with this byte, by which a parser starts anew.
		if ((unsigned char)byte == 0xff || length == LINE - 1) {
			length = 0;
		} else if (byte == '\n') {
			line[length] = 0;
			if (length > 0)
				answer(port, line);
			length = 0;
		} else {
			line[length++] = byte;
		}
	}
}
