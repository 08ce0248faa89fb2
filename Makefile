# SPDX-License-Identifier: GPL-2.0-or-later
#
# make          the three programs, in target/release
# make deps     installs the packages that all of these need, on a Debian-like system
# make test     lint and every test (hosts, guests and clusters are real); says what is missing, and installs it on Debian 12
# make test-cluster  every case and a longer soak under Pacemaker, beside VirtualDomain (docs/CLUSTER.md); more than an hour
# make test-xen every case in dom0s of Xen, which are emulated (tests/xen); half an hour
# make test-trixie   hosts with Debian 13's libvirt, QEMU and Pacemaker, and libvirt's modular daemons (tests/hosts), of which
#               make test plays a short part; minutes
# make test-reboot   a whole emulated machine with systemd is rebooted while a guest runs; ten minutes
# make unit     the tests of the insides: no root, no network, no daemon, seconds
# make demo     a real virtual machine, started, watched and stopped, in a host of its own
# make lint     formatting, clippy, documentation, licences (where there is cargo-deny), scripts, the manual pages
# make dist     the source with all crates in it, to be built without a network: target/dist
# make deb      Debian packages of the last commit: target/deb
# make rpm      RPM packages of the last commit, built of what make dist makes, without a network: target/rpm
# make test-packages   builds both, and tries Debian's with a virtual machine in clean roots of Debian 12 and 13
# make bench    measures (bench/run, bench/moves, bench/xen), and says whether the targets are met
# make fuzz     one minute for each fuzz target; needs cargo-fuzz
# make install, make uninstall     DESTDIR= PREFIX=/usr UNITDIR=/usr/lib/systemd/system DROPIN=
#               DROPIN=yes: also under the predecessors' names where they are installed (README, Install)

PREFIX  = /usr
DESTDIR =
UNITDIR = $(PREFIX)/lib/systemd/system
DROPIN  =

CARGO  = cargo
TARGET = $(or $(CARGO_TARGET_DIR),target)
built  = $(TARGET)/release

# libc.a is printed with its path where there is one.
static_libc := $(filter /%,$(shell $${CC:-cc} -print-file-name=libc.a 2>/dev/null))
# The cluster's hosts need root; tests are built by whoever runs make.
triple = $(shell rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
as_root = $(if $(filter-out 0,$(shell id -u)),CARGO_TARGET_$(triple)_RUNNER='sudo --preserve-env')

all: build
.PHONY: all build deps test test-cluster test-xen test-trixie test-packages test-reboot unit check lint demo dist deb try-deb rpm bench fuzz \
	install installed uninstall need-build need-demo need-test need-deb need-rpm

# Where crates lie on this machine is in no program, so that the same source gives the same bytes anywhere.
nameless = --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src=crates \
	$(if $(wildcard vendor),--remap-path-prefix=$(CURDIR)/vendor=crates)

# The agent is statically linked where that is possible, to be started without the dynamic loader, and not
# position-independent: 2700 relocations cost each start ten pages. What is lost is that the code lies elsewhere at each
# start; it is Rust without `unsafe`, and stack, heap and mappings do. What a monitor runs lies together (bench/hot). The
# worker needs libvirt's shared library, so it cannot be static.
build: export RUSTFLAGS := $(RUSTFLAGS) $(nameless)
build: need-build
	$(CARGO) build --release --locked --bin vm-agent-libvirt --bin vm-agent-by-hand
ifneq ($(static_libc),)
	$(CARGO) rustc --release --locked --bin vm-agent -- -C target-feature=+crt-static -C relocation-model=static \
		-C link-arg=-Wl,-T,packaging/monitor.ld
else
	$(CARGO) build --release --locked --bin vm-agent
	@echo "make: there is no static C library, so vm-agent is linked dynamically" >&2
endif

need-build:
	@packaging/need build
need-demo:
	@packaging/need build demo
need-test:
	@packaging/need build demo test xen deb
need-deb:
	@packaging/need build deb
need-rpm:
	@packaging/need build rpm

deps:
	@packaging/need --install build demo test xen deb rpm

test: need-test
# What Debian 13's hosts and Xen's are made of is made beside the programs: it takes three minutes where nothing is kept.
	{ $(if $(as_root),sudo) tests/hosts/lab prepare --trixie && $(if $(as_root),sudo) tests/xen/lab prepare; } & \
		$(MAKE) build lint try-deb && wait $$! && $(MAKE) check

test-cluster: need-test
	$(as_root) tests/tell-failed $(CARGO) test --locked --test cluster -- --long

test-xen: need-test
	$(as_root) tests/tell-failed $(CARGO) test --locked --test xen -- --long

# Each of these makes its hosts of that release. Left out is what is made of the monolithic daemon's sockets.
on_trixie = trixie:: faults::daemon:: main_job::agent:: main_job::data:: main_job::resources:: main_job::saved_sparse:: \
	main_job::saving:: main_job::start:: main_job::stop:: main_job::validate:: migration::rehearsal:: pacemaker::
not_trixie = $(addprefix --skip ,a_stale_socket the_hypervisors_own_daemon)
test-trixie: need-test
	$(if $(as_root),sudo) tests/hosts/lab prepare --trixie
	VM_AGENT_LAB_RELEASE=trixie RUST_TEST_THREADS=$${RUST_TEST_THREADS:-6} $(as_root) \
		tests/tell-failed $(CARGO) test --locked --no-fail-fast --test real -- --include-ignored $(not_trixie) $(on_trixie)

test-reboot: need-test
	$(MAKE) build
	$(if $(as_root),sudo) tests/reboot/run

unit: need-build
	$(CARGO) test --locked --lib unit::

check:
# The tests on real hosts wait more than they compute.
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-10} $(as_root) \
		tests/tell-failed $(CARGO) test --locked --no-fail-fast

# Licences, sources and advisories (deny.toml). The list of advisories comes from the network; without it the rest is checked.
deny = $(CARGO) deny --version >/dev/null 2>&1 \
		|| { echo "make: there is no cargo-deny, so licences, sources and advisories are not checked" >&2; exit 0; }; \
	if $(CARGO) deny fetch db >/dev/null 2>&1; then $(CARGO) deny --locked check -A parse-error; else \
		echo "make: the list of advisories cannot be fetched, so advisories are not checked" >&2; \
		$(CARGO) deny --locked check -A parse-error bans licenses sources; fi
scripts = .ci/run packaging/need packaging/dist packaging/rpm/build packaging/try-debs tests/tell-failed tests/demo \
	tests/hosts/lab tests/hosts/host tests/hosts/keeper tests/hosts/lib/build-modular \
	tests/hosts/fence-device tests/hosts/fence_lab \
	tests/reboot/run tests/reboot/story tests/xen/lab $(wildcard $(addprefix tests/xen/,boot/* dom0/* guest/*)) bench/run bench/moves bench/failover bench/hot bench/xen
lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps
	@$(deny)
	shellcheck -x $(scripts)
	for page in $(manuals); do groff -man -ww -Tutf8 -z packaging/$${page##*/} || exit; done

demo: need-demo
	$(MAKE) build
	tests/demo

dist:
	@packaging/dist $(TARGET)/dist
deb: need-deb
	@packaging/dist --deb $(TARGET)/deb
rpm: need-rpm
	@packaging/rpm/build $(TARGET)/rpm
# The root that they are tried in needs root.
try-deb: deb
	$(if $(as_root),sudo) packaging/try-debs $(TARGET)/deb
test-packages: deb rpm
	$(if $(as_root),sudo) packaging/try-debs --machine $(TARGET)/deb bookworm
	$(if $(as_root),sudo) packaging/try-debs --machine $(TARGET)/deb trixie

bench: build
	bench/run; result=$$?; bench/moves && bench/xen && exit $$result

fuzz:
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo "make: cargo-fuzz is needed: cargo install cargo-fuzz" >&2; exit 1; }
	for target in $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs))); do \
		RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none $$target -- -max_total_time=60 -max_len=4096 || exit; \
	done

# The page for the whole, and one for each group of commands.
manuals = $(addprefix share/man/man8/,vm-agent.8 vm-agent-look.8 vm-agent-act.8 vm-agent-check.8)

# What shells complete the command line by, beside each its place.
completions = share/bash-completion/completions/vm-agent share/zsh/site-functions/_vm-agent \
	share/fish/vendor_completions.d/vm-agent.fish

# Examples of units, which nobody's systemd reads there.
examples = share/doc/vm-agent/examples/vm-agent-metrics.service share/doc/vm-agent/examples/vm-agent-metrics.timer

# What is installed. The links are relative, so that they hold below DESTDIR as well.
root      = $(DESTDIR)$(PREFIX)
programs  = $(built)/vm-agent $(built)/vm-agent-by-hand $(built)/vm-agent-libvirt
installed = sbin/vm-agent libexec/vm-agent/vm-agent-by-hand libexec/vm-agent/vm-agent-libvirt $(manuals) $(completions) \
	$(examples) \
	lib/ocf/resource.d/vm-agent/vm lib/ocf/resource.d/vm-agent/VirtualDomain lib/ocf/resource.d/vm-agent/Xen
# The units whose order at a shutdown is ours to tell (packaging/systemd/vm-agent.conf).
ordered   = resource-agents-deps.target rgmanager.service

# A call in that moment finds the old program or the new one, and never half of it.
put = install -m 755 '$(built)/$(notdir $(1))' '$(root)/$(1).new' && mv -f '$(root)/$(1).new' '$(root)/$(1)'
# Where vm.sh leads if it is ours.
vm_sh = ../../sbin/vm-agent

install:
	@for file in $(programs); do [ -x $$file ] || { echo "make: there is no $$file; run make first" >&2; exit 1; }; done
	install -d '$(root)/sbin' '$(root)/libexec/vm-agent' '$(root)/lib/ocf/resource.d/vm-agent' \
		'$(root)/share/cluster' '$(root)/share/man/man8'
	$(call put,libexec/vm-agent/vm-agent-by-hand)
	$(call put,libexec/vm-agent/vm-agent-libvirt)
	$(call put,sbin/vm-agent)
	for file in $(manuals); do install -m 644 packaging/$${file##*/} '$(root)'/$$file || exit; done
	for file in $(completions); do install -D -m 644 packaging/completions/$${file##*/} '$(root)'/$$file || exit; done
	for file in $(examples); do install -D -m 644 packaging/examples/$${file##*/} '$(root)'/$$file || exit; done
	ln -sfn ../../../../sbin/vm-agent '$(root)/lib/ocf/resource.d/vm-agent/vm'
ifeq ($(DROPIN),yes)
	for name in VirtualDomain Xen; do \
		ln -sfn ../../../../sbin/vm-agent '$(root)/lib/ocf/resource.d/vm-agent/'$$name || exit; done
	@cd '$(root)/share/cluster' && if [ -f vm.sh ] && [ ! -L vm.sh ]; then \
		echo "make: the vm.sh that was there is kept as vm.sh.rgmanager, not executable"; \
		mv vm.sh vm.sh.rgmanager && chmod a-x vm.sh.rgmanager; fi
endif
	@cd '$(root)/share/cluster' && if [ -L vm.sh ] && [ "$$(readlink vm.sh)" != $(vm_sh) ]; then \
		echo "make: the vm.sh that is there is left as it is, a link to $$(readlink vm.sh)"; \
		elif [ -e vm.sh ] && [ ! -L vm.sh ]; then \
		echo "make: the vm.sh that is there is left as it is; make install DROPIN=yes takes its place"; \
		else ln -sfn $(vm_sh) vm.sh; fi
	for unit in $(ordered); do \
		install -D -m 644 packaging/systemd/vm-agent.conf '$(DESTDIR)$(UNITDIR)'/$$unit.d/vm-agent.conf || exit; done
	@if [ -z '$(DESTDIR)' ] && [ -d /run/systemd/system ]; then \
		echo "make: run 'systemctl daemon-reload', for the order of a shutdown to count"; fi

# The list of what is installed, for packagers.
installed:
	@for file in $(filter-out $(if $(filter yes,$(DROPIN)),,%/VirtualDomain %/Xen),$(installed)) share/cluster/vm.sh; do \
		echo '$(PREFIX)'/$$file; done
	@for unit in $(ordered); do echo '$(UNITDIR)'/$$unit.d/vm-agent.conf; done

# Exactly these; the folders of its own as well, once they are empty. rgmanager gets its vm.sh back.
uninstall:
	for file in $(installed); do rm -f '$(root)'/$$file; done
	for unit in $(ordered); do rm -f '$(DESTDIR)$(UNITDIR)'/$$unit.d/vm-agent.conf; done
	@cd '$(root)/share/cluster' 2>/dev/null || exit 0; \
		if [ "$$(readlink vm.sh)" = $(vm_sh) ]; then rm vm.sh || exit; fi; if [ ! -f vm.sh.rgmanager ]; then exit; fi; \
		if [ -e vm.sh ] || [ -L vm.sh ]; then echo "make: the vm.sh that is there is another one: vm.sh.rgmanager is kept"; \
		else chmod a+x vm.sh.rgmanager && mv vm.sh.rgmanager vm.sh; fi
	for folder in libexec/vm-agent lib/ocf/resource.d/vm-agent share/doc/vm-agent/examples share/doc/vm-agent; do \
		if [ -d '$(root)'/$$folder ]; then rmdir --ignore-fail-on-non-empty '$(root)'/$$folder; fi; done
	for unit in $(ordered); do folder='$(DESTDIR)$(UNITDIR)'/$$unit.d; \
		if [ -d "$$folder" ]; then rmdir --ignore-fail-on-non-empty "$$folder"; fi; done
