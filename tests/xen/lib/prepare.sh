# SPDX-License-Identifier: GPL-2.0-or-later
#
# lab prepare: a Xen host's parts, made once from Debian's packages and kept in the cache of tests/hosts.
#
#   xen/     the hypervisor, the kernel (an ELF, for dom0 and for guests), its modules, the initramfs that finds the root
#   domu/    a guest's user space, and the disks of HVM guests
#   dom0/    the root's image and the keys by which it is entered
#   booted/  a disk with the state of a host that has just booted
#
# The first lines of tests/hosts/lib/prepare.sh say how a finished part is recognised.

# What the initramfs loads, and what dom0 loads (dom0/services).
boot_modules="virtio_pci virtio_blk ext4"
dom0_modules="xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs xen-blkback xen-netback bridge loop tun virtio_net"

prepare() {
	local cache
	[ "$(id -u)" = 0 ] || die "prepare: a root of Debian packages is made by root only"
	hold_cache "${1:-$default_cache}" xen 900
	part "$cache" xen "$here/lib/prepare.sh" "$here/boot"
	part "$cache" domu "$here/lib/prepare.sh" "$here/guest" "$here/hvm"
	part "$cache" dom0 "$here/lib/prepare.sh" "$here/dom0" "$cache/.xen.stamp" "$cache/.domu.stamp"
	part "$cache" booted "$cache/.dom0.stamp" "$here/lib/hosts.sh" /usr/bin/qemu-system-x86_64
}

# Unpacked, not installed: this machine's own boot stays as it is.
unpack() {
	apt-get -o APT::Sandbox::User=root download "$1"
	dpkg-deb -x "$1"_*.deb "$2"
	rm "$1"_*.deb
}

# depends PACKAGE EXPRESSION: the dependency that has such a name, the number of a version in it.
depends() {
	apt-cache depends --important "$1" | sed -nE "s/^ *Depends: ($2)\$/\1/p" | grep .
}

# needed_modules ROOT MODULES: the files of modules and of what they need, in the order of loading.
needed_modules() {
	local module
	for module in $2; do
		modprobe -d "$1" -S "$version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

make_xen() {
	local version file
	unpack "$(depends xen-system-amd64 'xen-hypervisor-[0-9].*-amd64')" hypervisor
	unpack "$(depends linux-image-amd64 'linux-image-[0-9].*-amd64')" kernel
	[ ! -d kernel/usr/lib/modules ] || ln -s usr/lib kernel/lib # Debian 13 has them there
	version=$(basename kernel/lib/modules/*)
	depmod -b kernel "$version"
	gunzip -c hypervisor/boot/xen-*-amd64.gz >xen
	# The kernel inside vmlinuz, as Xen takes it: to unpack it would cost the emulated processor seconds at each boot.
	python3 -c '
import lzma, sys
data = sys.stdin.buffer.read()
at = data.index(b"\xfd7zXZ\0")
sys.stdout.buffer.write(lzma.LZMADecompressor().decompress(data[at:]))' <"kernel/boot/vmlinuz-$version" >vmlinux

	mkdir -p boot/{bin,dev,proc,modules,root} modules/lib/modules/"$version"
	cp /bin/busybox boot/bin/
	install -m 755 "$here/boot/init" boot/init
	needed_modules "$PWD/kernel" "$boot_modules" | while read -r file; do
		cp "$file" boot/modules/
		basename "$file" >>boot/modules/order
	done
	(cd boot && find . | cpio -o -H newc --quiet | gzip -1) >boot.gz

	needed_modules "$PWD/kernel" "$dom0_modules" | while read -r file; do
		install -D -m 644 "$file" "modules/lib/modules/${file#*/lib/modules/}"
	done
	cp kernel/lib/modules/"$version"/modules.builtin* modules/lib/modules/"$version"/
	depmod -b modules "$version"
	rm -r hypervisor kernel boot
}

make_domu() {
	mkdir -p root/{bin,sbin,dev,proc,sys}
	cp /bin/busybox root/bin/
	for applet in $(/bin/busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "root/bin/$applet"
	done
	install -m 755 "$here/guest/init" root/init
	# The kernel calls these when dom0 asks it to shut down.
	install -m 755 "$here/guest/poweroff" root/sbin/poweroff
	install -m 755 "$here/guest/poweroff" root/sbin/reboot
	(cd root && find . | cpio -o -H newc --quiet | gzip -1) >guest.gz
	rm -r root
	make_disk 0 hvm.img
	make_disk 1 deaf.img
}

# make_disk DEAF FILE: the disk of an HVM guest, which has nothing but a boot sector.
make_disk() {
	as --32 --defsym "DEAF=$1" -o boot.o "$here/hvm/boot.s"
	ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o "$2" boot.o
	truncate -s 1M "$2"
	rm boot.o
}

# The machine's own Debian sources, by what apt has read of them.
debian_sources() {
	local release
	release=$(. /etc/os-release && echo "$VERSION_CODENAME")
	apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
		awk -v release="$release" '($2 == release || $2 ~ "^" release "-(updates|security)$") && $3 == "main" {
			print "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]", $1, $2, $3 }' | sort -u | grep .
}

make_dom0() {
	local cache=$1 utils
	utils=$(depends xen-system-amd64 'xen-utils-[0-9][0-9.]*')
	debian_sources >sources
	mmdebstrap --quiet --variant=essential --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
		--include="$utils,xenstore-utils,qemu-system-xen,libvirt-daemon,libvirt-daemon-driver-xen,libvirt-clients" \
		--include=openssh-server,openssh-client,netcat-openbsd,iproute2,kmod,mount,procps \
		"$(. /etc/os-release && echo "$VERSION_CODENAME")" root sources
	ssh-keygen -q -t ed25519 -N '' -C lab -f key
	ssh-keygen -q -t ed25519 -N '' -C lab -f host_key
	furnish root "$cache"
	mke2fs -q -t ext4 -O ^has_journal -d root -L dom0 root.img 1024M
	rm -r root sources
}

# What a host needs beside its packages.
furnish() {
	local root=$1 cache=$2 cpus=$1/usr/share/libvirt/cpu_map driver
	rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root/sbin/init"
	mkdir -p "$root/lab" "$root/var/log/xen/console" "$root/var/log/libvirt" "$root/root/.ssh"
	cp -r "$cache/xen/modules/lib/modules" "$root/usr/lib/"
	cp "$cache/xen/vmlinux" "$cache"/domu/* /bin/busybox "$root/lab/"
	install -m 755 "$here"/dom0/* "$root/lab/"
	ln -s /lab/busybox "$root/usr/sbin/init"
	printf '::sysinit:/lab/services\n::shutdown:/bin/true\n' >"$root/etc/inittab"
	printf 'autoballoon="off"\n' >"$root/etc/xen/xl.conf"

	# libvirtd ends when one driver does not start, and these would need what is not there.
	for driver in qemu nodedev interface nwfilter storage secret network; do
		rm -f "$root"/usr/lib/*/libvirt/connection-driver/libvirt_driver_"$driver".so
	done
	# QEMU's processor has not the two features by which libvirt would recognise it.
	sed -i "/name='sep'/d; /name='vme'/d" "$cpus/x86_qemu64.xml" "$cpus/x86_kvm64.xml"
	cat >"$root/etc/libvirt/libvirtd.conf" <<-'CONF'
		unix_sock_group = "root"
		auth_unix_ro = "none"
		auth_unix_rw = "none"
		log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
	CONF

	cp host_key "$root/etc/ssh/ssh_host_ed25519_key"
	cp host_key.pub "$root/etc/ssh/ssh_host_ed25519_key.pub"
	rm -f "$root"/etc/ssh/ssh_host_{rsa,ecdsa}_key*
	cat >"$root/etc/ssh/sshd_config" <<-'CONF'
		HostKey /etc/ssh/ssh_host_ed25519_key
		PermitRootLogin prohibit-password
		StrictModes no
		UsePAM no
		UseDNS no
		MaxSessions 100
		MaxStartups 100
		Subsystem sftp internal-sftp
	CONF
	# Hosts enter each other as root, as xl and libvirt do for a migration.
	cp key "$root/root/.ssh/id_ed25519"
	cp key.pub "$root/root/.ssh/authorized_keys"
	sed 's/^/* /; s/ lab$//' host_key.pub >"$root/root/.ssh/known_hosts"
	cp "$root/root/.ssh/known_hosts" known_hosts
	chmod 600 "$root/etc/ssh/ssh_host_ed25519_key" "$root/root/.ssh/id_ed25519"
	printf '127.0.0.1 localhost\n10.77.0.1 node1\n10.77.0.2 node2\n10.77.0.9 nowhere\n' >"$root/etc/hosts"
}

# A host that has booted, stopped in that moment: hosts go on from there in two seconds. The state is of this QEMU's version.
make_booted() {
	local lab=$PWD/lab cache=$1 host=h1 number=1
	make_folder "$cache" 1
	mkdir "$lab/h1"
	truncate -s 64M "$lab/.lab/programs.tar"
	qemu-img create -q -f qcow2 -F raw -b "$cache/dom0/root.img" "$lab/h1/disk.qcow2"
	trap "end_host '$lab/h1'" EXIT # its variables are gone by then
	power_on
	ssh -F "$lab/h1/ssh_config" -O exit dom0
	in_dom0 sync
	ssh -F "$lab/h1/ssh_config" -O exit dom0
	monitor "savevm booted"
	is_process "$lab/h1/pid" && kill "$process"
	wait_until 20 is_not_process "$lab/h1/pid"
	qemu-img snapshot -l "$lab/h1/disk.qcow2" | grep -w booted
	trap - EXIT
	mv "$lab/h1/disk.qcow2" .
	rm -r lab
}
