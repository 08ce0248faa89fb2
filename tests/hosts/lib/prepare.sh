# SPDX-License-Identifier: GPL-2.0-or-later
#
# lab prepare: what takes long or needs the package archive, made once and kept in a cache.
#
#   small/guest                       a guest that is no Linux
#   linux/vmlinuz, linux/initramfs    one that is: Debian's cloud kernel and the lab's own user space
#   qemu/                             (--migration) a newer QEMU, unpacked
#   tools/                            (--migration) a shim for libvirtd, a CA and one certificate
#
# A finished part is recognised by its stamp, which holds a hash of what it was made from: an edited
# guest/small.c makes a new guest, and a full cache costs some milliseconds.

# Modules that a Linux guest loads; their dependencies are found here, not in the guest.
guest_modules="virtio_pci virtio_blk virtio_console button evdev"

prepare() {
	local migration='' cache
	if [ "${1-}" = --migration ]; then
		migration=1
		shift
	fi
	hold_cache "${1:-$default_cache}" '' 600
	part "$cache" kernel "$here/lib/prepare.sh"
	part "$cache" small "$here/lib/prepare.sh" "$here/guest/small.c"
	part "$cache" linux "$here/lib/prepare.sh" "$here/guest/init" "$here/guest/agent.c" "$cache/.kernel.stamp"
	if [ -n "$migration" ]; then
		part "$cache" qemu "$here/lib/prepare.sh"
		part "$cache" tools "$here/lib/prepare.sh" "$here/statfs-nfs.c"
	fi
}

# hold_cache CACHE GROUP SECONDS: waits for a group of its parts, since two test runs may prepare at once; sets `cache` to its
# whole path. Each group has a lock and a name for its work, so that it clears away its own alone, of one that was killed.
hold_cache() {
	local held
	mkdir -p "$1"
	cache=$(realpath -- "$1")
	exec {held}>"$cache/.${2:+$2.}lock"
	flock -w "$3" "$held" || die "another prepare holds $cache"
	work_name=.${2:+$2.}work
	rm -rf --one-file-system "$cache/$work_name".*
}

# part CACHE NAME SOURCE...: runs make_NAME in an empty folder and puts the result in place at once,
# unless the one in place was made from the same sources.
part() {
	local cache=$1 name=$2 source stamp work begin
	shift 2
	# Source by source: the order of whole paths would be another one in another checkout.
	stamp=$(for source in "$@"; do find "$source" -type f -print0 | sort -z; done | xargs -0 cat | sha256sum)
	if [ "$(cat "$cache/.$name.stamp" 2>/dev/null)" = "$stamp" ]; then
		return
	fi
	begin=$(now_ms)
	work=$(mktemp -d "$cache/$work_name.XXXXXX")
	chmod 755 "$work"
	# In the background, because "if" would turn off "set -e" inside.
	(cd "$work" && "make_$name" "$cache") >"$cache/$name.log" 2>&1 &
	if ! wait $!; then
		rm -rf "$work"
		show_log "$cache/$name.log"
		die "prepare: $name failed"
	fi
	rm -rf "${cache:?}/$name"
	mv "$work" "$cache/$name"
	echo "$stamp" >"$cache/.$name.stamp"
	say "prepared $name in $(($(now_ms) - begin)) ms"
}

# The kernel's package is unpacked, not installed: this machine's own boot stays as it is.
make_kernel() {
	local package
	package=$(apt-cache depends linux-image-cloud-amd64 |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p')
	apt-get -o APT::Sandbox::User=root download "$package"
	dpkg-deb -x "$package"_*.deb .
	rm "$package"_*.deb
	# Debian 12 has the modules in /lib, Debian 13 in /usr/lib, and so have their programs: each finds them.
	if [ -d usr/lib/modules ]; then
		ln -s usr/lib lib
	else
		mkdir -p usr
		ln -s ../lib usr/lib
	fi
	depmod -b . "${package#linux-image-}"
}

# No library, no file behind it, and where a kernel has its place: QEMU puts it there.
make_small() {
	gcc -m32 -Os -Wall -Wextra -ffreestanding -mgeneral-regs-only -fno-pic -fno-stack-protector -fcf-protection=none \
		-fno-asynchronous-unwind-tables -nostdlib -static -no-pie -s -o guest "$here/guest/small.c" \
		-Wl,-n,-Ttext=0x100000,--build-id=none,--no-warn-rwx-segments
}

# An uncompressed initramfs: the guest's processor is emulated, and unpacking would cost it more than
# reading a few MiB costs this machine.
make_linux() {
	local kernel=$1/kernel version module file
	version=$(basename "$kernel"/lib/modules/*)
	cp "$kernel/boot/vmlinuz-$version" vmlinuz
	mkdir -p root/bin root/dev root/proc root/sys root/modules
	cp /bin/busybox root/bin/
	for module in $(/bin/busybox --list); do
		[ "$module" = busybox ] || ln -s busybox "root/bin/$module"
	done
	cp "$here/guest/init" root/init
	chmod 755 root/init
	gcc -O2 -Wall -static -s -o root/bin/agent "$here/guest/agent.c"
	for module in $guest_modules; do
		modprobe -d "$kernel" -S "$version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >files
	while read -r file; do
		cp "$file" root/modules/
		basename "$file" >>root/modules/order
	done <files
	(cd root && find . | cpio -o -H newc --quiet) >initramfs
	rm -r root files
}

# lists_of deb|deb-src SUITE: what another suite has, of the archive from which the machine gets its Debian packages; sets
# `options`, apt's for it. The machine's own package lists stay as they are. Leaves lists, packages and source.list here.
lists_of() {
	local archive
	archive=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
		awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
	[ -n "$archive" ] || die "no source of bookworm main among the machine's package sources"
	mkdir lists packages
	echo "$1 [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $2 main" >source.list
	options=(-o "Dir::Etc::sourcelist=$PWD/source.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$PWD/lists"
		-o "Dir::Cache=$PWD/packages" -o APT::Sandbox::User=root)
	apt-get "${options[@]}" update
}

# Debian 12's QEMU 7.2 corrupts guests in live migration when it emulates the processor; the one in the
# backports suite does not.
make_qemu() {
	local options package
	lists_of deb bookworm-backports
	apt-get "${options[@]}" download qemu-system-x86 qemu-system-common qemu-system-data seabios
	for package in *.deb; do
		dpkg-deb -x "$package" .
	done
	rm -r lists packages source.list ./*.deb usr/share/doc usr/share/man
}

# One certificate for all hosts, both sides of a connection and all names and addresses that a test may
# use. It proves nothing but that TLS works.
make_tools() {
	local n names=DNS:localhost
	gcc -O2 -Wall -shared -fPIC -o statfs-nfs.so "$here/statfs-nfs.c" -ldl
	for n in 1 2 3 4 5 6; do
		names+=,DNS:node$n,DNS:node$n-mig,DNS:node${n}v6,DNS:node${n}v6-mig
		names+=,IP:10.77.0.$n,IP:10.77.1.$n,IP:fd00::$n,IP:fd00:1::$n
	done
	openssl req -x509 -newkey rsa:2048 -nodes -days 7300 -subj "/CN=lab CA" -keyout ca-key.pem -out ca.pem \
		-addext keyUsage=critical,keyCertSign
	openssl req -new -newkey rsa:2048 -nodes -subj "/CN=lab host" -keyout key.pem -out request.pem
	openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 7300 -out cert.pem \
		-extfile <(printf 'basicConstraints=CA:false\nkeyUsage=digitalSignature,keyEncipherment\nsubjectAltName=%s\n' "$names")
	rm ca-key.pem request.pem
}
