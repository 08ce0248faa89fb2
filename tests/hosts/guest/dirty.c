// SPDX-License-Identifier: GPL-2.0-or-later
//
// dirty MIB [RATE]: writes one word in every page of MIB MiB of memory, over and over, at RATE MiB/s
// at most (0 or nothing: as fast as it can). A guest that runs it gives a live migration pages to
// send faster than a slow network takes them away.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES_PER_MIB = 256 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
	double rate = argc > 2 ? strtod(argv[2], NULL) : 0;
	volatile char *memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double begin = now();
	double written = 0; // MiB
	uint64_t mark = 0;

	if (mib == 0 || memory == MAP_FAILED) {
		perror("dirty: memory");
		return 1;
	}
	printf("dirty %zu MiB\n", mib);
	fflush(stdout);
	for (;;) {
		for (size_t i = 0; i < mib; i++) {
			for (size_t page = 0; page < PAGES_PER_MIB; page++)
				*(volatile uint64_t *)(memory + (i << 20) + page * PAGE) = ++mark;
			written++;
			while (rate > 0 && written / rate > now() - begin)
				usleep(2000);
		}
	}
}
