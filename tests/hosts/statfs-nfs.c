// SPDX-License-Identifier: GPL-2.0-or-later
//
// Preloaded into the hosts' libvirtd: everything below $LAB_SHARED looks as if it were on NFS. That
// folder is shared storage for the hosts, but libvirt believes in shared storage only when it knows
// the type of the file system, and else refuses a live migration as "unsafe".

#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

static int is_shared(const char *path)
{
	const char *shared = getenv("LAB_SHARED");
	size_t length = shared ? strlen(shared) : 0;

	return length && strncmp(path, shared, length) == 0 &&
	       (path[length] == '/' || path[length] == '\0');
}

int statfs(const char *path, struct statfs *buf)
{
	int (*real)(const char *, struct statfs *) = dlsym(RTLD_NEXT, "statfs");
	int rc = real(path, buf);

	if (rc == 0 && is_shared(path))
		buf->f_type = NFS_SUPER_MAGIC;
	return rc;
}

int statfs64(const char *path, struct statfs64 *buf)
{
	int (*real)(const char *, struct statfs64 *) = dlsym(RTLD_NEXT, "statfs64");
	int rc = real(path, buf);

	if (rc == 0 && is_shared(path))
		buf->f_type = NFS_SUPER_MAGIC;
	return rc;
}
