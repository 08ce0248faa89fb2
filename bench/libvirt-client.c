/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The least that a program linked with libvirt can do to learn a domain's state: libvirt-client URI NAME.
 * Exit code: 0 active, 7 not active or unknown to libvirt, 1 libvirt did not answer. */

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stddef.h>

static void be_silent(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

int main(int argc, char **argv)
{
	int state, reason;

	if (argc != 3)
		return 2;
	virSetErrorFunc(NULL, be_silent);
	virConnectPtr connection = virConnectOpenReadOnly(argv[1]);
	if (!connection)
		return 1;
	virDomainPtr domain = virDomainLookupByName(connection, argv[2]);
	if (!domain)
		return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN ? 7 : 1;
	if (virDomainGetState(domain, &state, &reason, 0) < 0)
		return 1;
	virDomainFree(domain);
	virConnectClose(connection);
	return state == VIR_DOMAIN_SHUTOFF ? 7 : 0;
}
