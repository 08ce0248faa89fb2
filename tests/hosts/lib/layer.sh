# SPDX-License-Identifier: GPL-2.0-or-later
#
# The layer between the machine's root, or Debian 13's, and a host's own files: what all hosts of a lab that have this root
# have in common. It is made through an overlay of its own, so that "rm" in it hides what the root has.

# The hosts start empty: no guests, networks, cluster or keys of the machine.
hidden="var/lib/libvirt var/log/libvirt etc/libvirt/qemu etc/libvirt/nwfilter etc/libvirt/secrets
	etc/libvirt/storage var/lib/pacemaker var/lib/corosync etc/corosync etc/pacemaker root/.ssh"

# Nor have they the agent that may be installed on the machine, of whatever version: what a host is to have of it, its test
# installs. (These are the places of "make install", for both usual prefixes.)
uninstalled="usr/lib/ocf/resource.d/vm-agent usr/local/lib/ocf/resource.d/vm-agent usr/libexec/vm-agent
	usr/local/libexec/vm-agent usr/sbin/vm-agent usr/local/sbin/vm-agent usr/share/cluster/vm.sh
	usr/share/cluster/vm.sh.rgmanager usr/local/share/cluster/vm.sh usr/lib/systemd/system/resource-agents-deps.target.d/vm-agent.conf
	usr/lib/systemd/system/rgmanager.service.d/vm-agent.conf"

make_common_layers() {
	local layers=$lab/.lab/layers below='' release
	if [ -s "$lab/.lab/below" ]; then
		cp -a "$(cat "$lab/.lab/below")/." "$layers/below" # a layer must not lie below another one
		below=$layers/below:
	fi
	make_keys
	for release in $(for number in $(seq "$(cat "$lab/.lab/count")"); do release_of "$number"; done | sort -u); do
		make_common_layer
	done
	: >"$lab/.lab/layered" # "up" waits for this file
}

make_common_layer() {
	local common=$layers/$release root=$layers/$release.root lower path
	case $release in
	machine) lower=$below/ ;;
	trixie) lower=$below$(cat "$lab/.lab/cache")/trixie/root ;;
	esac
	mkdir "$common" "$common.work" "$root"
	mount -t overlay -o "lowerdir=$lower,upperdir=$common,workdir=$common.work" common "$root"

	for path in $hidden; do
		if [ -d "$root/$path" ]; then
			find "$root/$path" -mindepth 1 ! -type d -delete
		fi
	done
	for path in $uninstalled; do
		rm -rf "${root:?}/$path"
	done
	write_names
	write_libvirt_config
	if lab_with ssh; then
		write_ssh_config
	fi
	if lab_with migration; then
		[ "$release" = trixie ] || install_newer_qemu
		install_certificates
	fi
	if lab_with cluster; then
		write_cluster_config "$(cat "$lab/.lab/count")"
	fi

	umount "$root"
	rm -r "$common.work"
	echo "$common:$lower" >"$lab/.lab/lower.$release"
}

# One key for root on all hosts, a host key for each, and the key of their cluster: the same in both roots.
make_keys() {
	local n
	mkdir "$lab/.lab/keys"
	if lab_with ssh; then
		ssh-keygen -q -t ed25519 -N '' -C lab -f "$lab/.lab/keys/id_ed25519"
		for ((n = 1; n <= $(cat "$lab/.lab/count"); n++)); do
			ssh-keygen -q -t ed25519 -N '' -C "node$n" -f "$lab/.lab/keys/key_node$n"
		done
	fi
	head -c 4096 /dev/urandom >"$lab/.lab/keys/authkey"
}

# Names for six hosts, however many there are. A host's own name is its address on the bridge, never
# 127.0.0.1: libvirt tells that name to the source of a migration.
write_names() {
	local n
	{
		echo "127.0.0.1 localhost"
		echo "::1 localhost"
		for n in 1 2 3 4 5 6; do
			echo "10.77.0.$n node$n"
			echo "fd00::$n node${n}v6"
			echo "10.77.1.$n node$n-mig"
			echo "fd00:1::$n node${n}v6-mig"
		done
	} >"$root/etc/hosts"
	sed -i 's/^hosts:.*/hosts: files/' "$root/etc/nsswitch.conf"
	: >"$root/etc/resolv.conf"
}

write_libvirt_config() {
	mkdir -p "$root/etc/libvirt"
	# The host UUID is the machine-id: hosts with the same UUID refuse to migrate to each other.
	tee "$root/etc/libvirt"/{libvirtd,virtqemud,virtnetworkd,virtstoraged,virtinterfaced,virtsecretd,virtproxyd}.conf >/dev/null <<-'CONF'
		auth_unix_ro = "none"
		auth_unix_rw = "none"
		unix_sock_group = "root"
		host_uuid_source = "machine-id"
		log_level = 3
		log_outputs = "3:stderr"
	CONF
	printf 'listen_tcp = 1\nauth_tcp = "none"\n' >>"$root/etc/libvirt/libvirtd.conf"
	# It has no --listen.
	! lab_with migration || printf 'listen_tls = 1\nlisten_tcp = 1\nauth_tcp = "none"\n' >>"$root/etc/libvirt/virtproxyd.conf"
	cat >"$root/etc/libvirt/qemu.conf" <<-'CONF'
		user = "root"
		group = "root"
		security_driver = "none"
		dynamic_ownership = 0
		cgroup_controllers = []
		namespaces = []
	CONF
	# Guests' consoles are logs that tests read as a whole: no rotation.
	cat >"$root/etc/libvirt/virtlogd.conf" <<-'CONF'
		max_size = 0
		log_level = 3
		log_outputs = "3:stderr"
	CONF
}

# Own host keys, one key for root on all hosts, and no question ever: every name and address is known.
# A test of the "first connection" case empties /root/.ssh/known_hosts in its host.
write_ssh_config() {
	local n names
	mkdir -p "$root/root/.ssh"
	chmod 700 "$root/root/.ssh"
	cp "$lab/.lab/keys"/id_ed25519* "$root/root/.ssh/"
	cp "$root/root/.ssh/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
	rm -f "$root"/etc/ssh/ssh_host_*
	cp "$lab/.lab/keys"/key_node* "$root/etc/ssh/"
	for ((n = 1; n <= $(cat "$lab/.lab/count"); n++)); do
		names=node$n,node$n-mig,node${n}v6,node${n}v6-mig,10.77.0.$n,10.77.1.$n,fd00::$n,fd00:1::$n
		echo "$names $(cut -d' ' -f1,2 "$root/etc/ssh/key_node$n.pub")"
	done >"$root/root/.ssh/known_hosts"
	cat >"$root/etc/ssh/sshd_config" <<-'CONF'
		PermitRootLogin prohibit-password
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		UsePAM no
		StrictModes no
		PrintMotd no
		UseDNS no
		MaxStartups 100
		Subsystem sftp /usr/lib/openssh/sftp-server
	CONF
}

# The old modules must not be seen: they make the newer QEMU abort while libvirt probes it.
install_newer_qemu() {
	local cache
	cache=$(cat "$lab/.lab/cache")
	rm -rf "$root"/usr/lib/x86_64-linux-gnu/qemu "$root"/usr/share/qemu "$root"/usr/share/seabios
	cp -a "$cache/qemu/." "$root/"
}

# For qemu+tls:// and for QEMU's own TLS in a migration.
install_certificates() {
	local tools side
	tools=$(cat "$lab/.lab/cache")/tools
	mkdir -p "$root/etc/pki/CA" "$root/etc/pki/libvirt/private" "$root/etc/pki/qemu"
	cp "$tools/ca.pem" "$root/etc/pki/CA/cacert.pem"
	cp "$tools/ca.pem" "$root/etc/pki/qemu/ca-cert.pem"
	for side in server client; do
		cp "$tools/cert.pem" "$root/etc/pki/libvirt/${side}cert.pem"
		cp "$tools/key.pem" "$root/etc/pki/libvirt/private/${side}key.pem"
		cp "$tools/cert.pem" "$root/etc/pki/qemu/$side-cert.pem"
		cp "$tools/key.pem" "$root/etc/pki/qemu/$side-key.pem"
	done
}

# Two nodes go on alone when the other is lost, more need a quorum.
write_cluster_config() {
	local count=$1 n quorum='' policy=stop fencing=false
	if [ "$count" -le 2 ]; then
		quorum="two_node: $((count == 2))
			wait_for_all: 0"
		policy=ignore
	fi
	if lab_with fencing; then
		fencing=true
		install -m 755 "$here/fence_lab" "$root/usr/sbin/fence_lab"
	fi
	{
		echo "totem {
			version: 2
			cluster_name: lab
			transport: knet
			crypto_cipher: none
			crypto_hash: none
			token: 1000
		}
		quorum {
			provider: corosync_votequorum
			$quorum
		}
		logging {
			to_logfile: yes
			logfile: /run/lab/log/corosync.log
			to_syslog: no
			to_stderr: no
			timestamp: hires
		}
		nodelist {"
		for ((n = 1; n <= count; n++)); do
			echo "node {
				ring0_addr: 10.77.0.$n
				name: node$n
				nodeid: $n
			}"
		done
		echo "}"
	} >"$root/etc/corosync/corosync.conf"
	install -d "$root/etc/pacemaker" "$root/etc/corosync"
	# The users' numbers are the root's own.
	cp "$lab/.lab/keys/authkey" "$root/etc/pacemaker/authkey"
	chgrp --reference="$root/var/lib/pacemaker/cib" "$root/etc/pacemaker/authkey"
	chmod 640 "$root/etc/pacemaker/authkey"
	write_cib "$policy" "$fencing" "$count" >"$root/var/lib/pacemaker/cib/cib.xml"
	chown --reference="$root/var/lib/pacemaker/cib" "$root/var/lib/pacemaker/cib/cib.xml"
	chmod 600 "$root/var/lib/pacemaker/cib/cib.xml"
}

# The first election waits for dc-deadtime, 20 s by default; only a configuration that is there from
# the start can change that.
write_cib() {
	local policy=$1 fencing=$2 n nodes=''
	cat <<-XML
		<cib crm_feature_set="3.0.0" validate-with="pacemaker-3.0" admin_epoch="0" epoch="1" num_updates="0">
		  <configuration>
		    <crm_config>
		      <cluster_property_set id="lab">
		        <nvpair id="lab-dc-deadtime" name="dc-deadtime" value="2s"/>
		        <nvpair id="lab-stonith" name="stonith-enabled" value="$fencing"/>
		        <nvpair id="lab-quorum" name="no-quorum-policy" value="$policy"/>
		      </cluster_property_set>
		    </crm_config>
		    <nodes/>
		    <resources>
	XML
	if [ "$fencing" = true ]; then
		for ((n = 1; n <= $3; n++)); do
			nodes+=" node$n"
		done
		cat <<-XML
			      <primitive id="fence" class="stonith" type="fence_lab">
			        <instance_attributes id="fence-params">
			          <nvpair id="fence-list" name="pcmk_host_list" value="${nodes# }"/>
			          <nvpair id="fence-check" name="pcmk_host_check" value="static-list"/>
			        </instance_attributes>
			      </primitive>
		XML
	fi
	cat <<-XML
		    </resources>
		    <constraints/>
		  </configuration>
		  <status/>
		</cib>
	XML
}
