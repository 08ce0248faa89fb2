// SPDX-License-Identifier: GPL-2.0-or-later
//! Connection URIs: their parts, and whether a local socket can be asked.

use std::path::{Path, PathBuf};

use vm_agent::model::uri::Uri;

fn sockets(uri: &str) -> Option<Vec<PathBuf>> {
    Uri::parse(uri).unwrap().local_sockets(false, Path::new("/run"))
}

fn name(uri: &str) -> String {
    Uri::parse(uri).unwrap().open_name()
}

#[test]
fn a_uri_has_its_parts() {
    let uri = Uri::parse("qemu+ssh://root@node2:2222/system?no_tty=1&keyfile=%2Fk#f").unwrap();
    assert_eq!((uri.driver.as_str(), uri.transport.as_deref()), ("qemu", Some("ssh")));
    assert_eq!((uri.user.as_deref(), uri.host.as_deref(), uri.port), (Some("root"), Some("node2"), Some(2222)));
    assert_eq!((uri.path.as_str(), uri.fragment.as_deref()), ("/system", Some("f")));
    assert_eq!(uri.query, [("no_tty", "1"), ("keyfile", "%2Fk")].map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!(uri.parameter("KeyFile").unwrap(), b"/k");
    assert_eq!(uri.parameter("key"), None);
}

#[test]
fn an_ipv6_host_stands_in_brackets() {
    for (text, host, port) in [
        ("qemu+tls://[2001:db8::1]/system", "2001:db8::1", None),
        ("qemu+tls://u@[fe80::1%25eth0]:16514/system", "fe80::1%25eth0", Some(16514)),
        ("qemu+tcp://[::1]:/system", "::1", None),
    ] {
        let uri = Uri::parse(text).unwrap();
        assert_eq!((uri.host.as_deref(), uri.port), (Some(host), port));
        assert_eq!(Uri::parse(&uri.to_string()).unwrap(), uri);
    }
}

#[test]
fn what_is_no_uri_is_an_error_with_a_sentence() {
    for text in [
        "",
        "qemu",
        ":///system",
        "+ssh://host/system",
        "qemu+://host/system",
        "qemu+s sh://host/system",
        "qemu:system",
        "qemu://[::1/system",
        "qemu://[::1]x/system",
        "qemu://a[b]/system",
        "qemu://[[]/system",
        "qemu://host:port/system",
        "qemu://host:99999/system",
        "qemu://host:+1/system",
        "qemu:///system\n",
        "q/emu:///system",
        "ünix:///",
    ] {
        let error = Uri::parse(text).unwrap_err();
        assert!(error.to_string().starts_with("the URI "), "{text}");
    }
}

#[test]
fn the_systems_daemons_are_asked_over_their_own_sockets() {
    for (uri, direct) in [
        ("qemu:///system", "virtqemud"),
        ("qemu+unix:///system", "virtqemud"),
        ("qemu+UNIX:///system", "virtqemud"),
        ("qemu:/system", "virtqemud"),
        ("xen:///", "virtxend"),
        ("xen:///system", "virtxend"),
        ("lxc:///", "virtlxcd"),
        ("lxc:///system", "virtlxcd"),
        ("qemu:///system?mode=auto", "virtqemud"),
        ("test+unix:///default", "virttestd"),
    ] {
        let expected = [format!("/run/libvirt/{direct}-sock"), "/run/libvirt/libvirt-sock".to_owned()];
        assert_eq!(sockets(uri), Some(expected.map(PathBuf::from).to_vec()), "{uri}");
    }
}

#[test]
fn the_mode_chooses_between_the_daemons() {
    assert_eq!(sockets("qemu:///system?mode=legacy"), Some(vec!["/run/libvirt/libvirt-sock".into()]));
    assert_eq!(sockets("qemu:///system?mode=direct"), Some(vec!["/run/libvirt/virtqemud-sock".into()]));
    assert_eq!(sockets("qemu:///system?mode=other"), None);
}

#[test]
fn a_socket_that_the_uri_names_stands_alone() {
    for (uri, socket) in [
        ("test+unix:///default?socket=/tmp/a/libvirt-sock", "/tmp/a/libvirt-sock"),
        ("qemu:///system?socket=/tmp/with%20blank%25", "/tmp/with blank%"),
        ("qemu:///system?Socket=/a&socket=/b", "/b"),
        ("qemu:///session?socket=/run/user/0/libvirt/libvirt-sock", "/run/user/0/libvirt/libvirt-sock"),
        ("qemu:///system?mode=direct&socket=/odd%zz%4", "/odd%zz%4"),
    ] {
        for read_only in [true, false] {
            let found = Uri::parse(uri).unwrap().local_sockets(read_only, Path::new("/run"));
            assert_eq!(found, Some(vec![PathBuf::from(socket)]), "{uri}");
        }
    }
    for uri in ["qemu:///system?socket=relative", "qemu:///system?socket=", "qemu:///system?socket=/a%00b"] {
        assert_eq!(sockets(uri), None, "{uri}");
    }
}

#[test]
fn what_is_not_clearly_a_local_socket_is_left_to_libvirts_library() {
    for uri in [
        "qemu:///session",
        "qemu:///embed?root=/tmp/x",
        "qemu:///%65mbed?socket=/x",
        "qemu://localhost/system",
        "qemu+ssh://node2/system",
        "qemu+ssh:///system",
        "qemu+tls:///system",
        "qemu+tcp:///system",
        "qemu+libssh2://node2/system",
        "qemu+ext:///system?command=/bin/x",
        "qemu+unix://node2/system",
        "qemu+unix://root@/system",
        "qemu+unix://:1/system",
        "qemu://",
        "QEMU:///system",
        "test:///default",
        "test:///default?socket=/tmp/x",
        "esx:///",
        "openvz:///system",
        "hyperv+unknown:///",
        "qemu:///system?auth=sasl",
    ] {
        assert_eq!(sockets(uri), None, "{uri}");
    }
    assert!(sockets("qemu:///system?auth=none").is_some());
}

#[test]
fn a_socket_that_is_none_of_the_systems_leads_to_a_daemon_of_its_own() {
    let systems = |uri: &str| Uri::parse(uri).unwrap().is_of_the_system(Path::new("/run"));
    for socket in ["", "?socket=/run/libvirt/libvirt-sock", "?socket=/run/libvirt/virtqemud-sock-ro"] {
        assert!(systems(&format!("qemu:///system{socket}")), "{socket}");
    }
    for socket in ["/run/alt/libvirt-sock", "/run/libvirt/virtlxcd-sock", "/run/user/0/libvirt/libvirt-sock"] {
        assert!(!systems(&format!("qemu:///system?socket={socket}")), "{socket}");
    }
}

#[test]
fn the_daemon_is_asked_to_open_the_uri_without_what_concerns_the_client() {
    for (uri, expected) in [
        ("qemu:///system", "qemu:///system"),
        ("qemu+unix:///system", "qemu:///system"),
        ("test+unix:///default?socket=/x", "test:///default"),
        ("qemu:///system?mode=direct&No_TTY=1&foo=b%20r&socket=/x&bare#frag", "qemu:///system?foo=b%20r&bare=#frag"),
        ("qemu:///system?a=1;b=2;socket=/x", "qemu:///system?a=1&b=2"),
        ("qemu+unix:///system?name=xen%3A///", "xen:///"),
        ("test+unix:///etc/my%20node.xml?socket=/x", "test:///etc/my%20node.xml"),
    ] {
        assert_eq!(name(uri), expected, "{uri}");
    }
}
