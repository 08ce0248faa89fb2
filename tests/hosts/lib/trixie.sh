# SPDX-License-Identifier: GPL-2.0-or-later
#
# lab prepare --trixie: the root of hosts that have Debian 13, made once and kept in the cache beside the other parts.
#
#   modular/       libvirt's modular daemons: Debian builds no libvirt with them, so they are built of the release's own source
#   trixie/root    all else from the release's own packages: libvirt's library and drivers, QEMU, and a cluster's software
#
# The first lines of prepare.sh say how a finished part is recognised.

# What a host needs: what the lab starts in it, and what the agent may use.
trixie_packages="mount,iproute2,procps,openssh-server,openssh-client,netcat-openbsd,busybox-static,cpio
	libvirt-daemon,libvirt-daemon-log,libvirt-daemon-driver-qemu,libvirt-daemon-driver-network,libvirt-daemon-driver-interface
	libvirt-daemon-driver-secret,libvirt-daemon-driver-storage,libvirt-clients,qemu-system-x86,qemu-utils,swtpm,swtpm-tools
	corosync,pacemaker,pacemaker-cli-utils"
# What the daemons' own files need to be compiled and linked.
modular_packages="gcc,libc6-dev,pkgconf,meson,ninja-build,python3,gettext,xz-utils,xsltproc,libxml2-utils
	libvirt-dev,libudev-dev,libpciaccess-dev,libglib2.0-dev,libgnutls28-dev,libxml2-dev,libtirpc-dev,libjson-c-dev"

prepare_trixie() {
	local cache
	[ "$(id -u)" = 0 ] || die "prepare: a root of Debian packages is made by root only"
	hold_cache "${1:-$default_cache}" trixie 1800
	part "$cache" modular "$here/lib/trixie.sh" "$here/lib/build-modular"
	part "$cache" trixie "$here/lib/trixie.sh" "$cache/.modular.stamp"
}

# trixie_root FOLDER PACKAGES: a root with these packages. What is mounted in it meanwhile nobody else sees.
trixie_root() {
	unshare --mount mmdebstrap --quiet --mode=root --variant=essential --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt=force-unsafe-io --include="$(tr -s '\n\t' ',' <<<"${2//$'\n'/,}")" trixie "$1"
}

# apt checks what it fetches.
fetch_libvirt_source() {
	local options source
	lists_of deb-src trixie
	read -r -a source < <(apt-get "${options[@]}" --print-uris source libvirt | tr -d "'" | grep '\.orig\.tar\.xz ')
	/usr/lib/apt/apt-helper "${options[@]}" download-file "${source[0]}" libvirt.tar.xz "${source[3]}"
	rm -r lists packages source.list
}

make_modular() {
	fetch_libvirt_source
	trixie_root build "$modular_packages"
	mkdir build/libvirt
	tar -xJf libvirt.tar.xz -C build/libvirt --strip-components=1
	install -m 755 "$here/lib/build-modular" build/libvirt/
	unshare --mount --pid --fork --kill-child sh -c 'mount -t proc proc build/proc && mount --bind /dev build/dev &&
		exec chroot build env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 /libvirt/build-modular'
	mv build/libvirt/virt*d .
	rm -r --one-file-system build libvirt.tar.xz
}

# The hosts' daemons are started by the lab; a host with modular daemons has no other; every guest is a PC.
make_trixie() {
	trixie_root root "$trixie_packages"
	rm -f root/usr/sbin/libvirtd root/usr/bin/qemu-system-i386
	install -m 755 "$1"/modular/virt*d root/usr/sbin/
}
