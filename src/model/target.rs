// SPDX-License-Identifier: GPL-2.0-or-later
//! Where to: a node's name and the parameters become the target's URIs. Pure.

use crate::model::params::Migration;
use crate::model::params::mapping::{bare, usable};
use crate::model::uri::{Uri, percent_decoded};
use serde::{Deserialize, Serialize};

/// The target of a migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    /// The node's name in the cluster, for people.
    pub node: String,
    /// The libvirt connection URI of the target.
    pub uri: String,
    /// Where the hypervisor sends the guest's memory, when it is not left to the target.
    pub data_uri: Option<String>,
}

/// The target that `node` means for a source at `source_uri`. `plain_data` sends the memory to the same host that is
/// connected to, as vm.sh does, also where nothing asks for a network of its own.
///
/// # Errors
/// A sentence: the node cannot be a host, or the source's hypervisor cannot migrate.
pub(crate) fn find(node: &str, params: &Migration, source_uri: &str, plain_data: bool) -> Result<Target, String> {
    let mapped = params.mapping.host(node);
    let host = match mapped {
        Some(host) => host.to_owned(),
        None => bare(node).ok_or_else(|| no_host(node))?.to_owned(),
    };
    // The suffix says where its network is; a URI of the caller's own knows that better.
    let suffix = params.suffix.as_ref().filter(|_| mapped.is_none());
    let network = suffix.map_or_else(|| host.clone(), |suffix| suffixed(node, suffix));
    let (host, network) = (in_uri(&host)?, in_uri(&network)?);
    let named = if params.uri.is_some() { &host } else { &network };
    let filled = |template: &str| template.replace("%n", named).replace("%s", named);
    let driver = source_uri.split([':', '+']).next().unwrap_or_default();
    let uri = match &params.uri {
        Some(template) => filled(template),
        None => {
            if !matches!(driver, "qemu" | "xen" | "xl") {
                return Err(format!("domains of {source_uri} cannot be migrated"));
            }
            let transport = params.transport.as_deref().unwrap_or("ssh");
            if driver == "xl" && transport != "ssh" {
                return Err(format!("xl reaches another host by ssh only, not by {transport}"));
            }
            let user = params.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
            let path = if source_uri.ends_with("/session") { "session" } else { "system" };
            format!("{driver}+{transport}://{user}{named}/{path}")
        }
    };
    let uri = if driver == "xl" { of_xl(&uri)? } else { uri };
    let own_network = mapped.is_some() || suffix.is_some();
    let data_uri = match params.data_uri.as_ref().or(params.options.data_uri.as_ref()) {
        Some(template) => Some(filled(template)),
        // The daemons carry the memory themselves.
        None if params.tunnelled => None,
        None if driver == "qemu" && own_network => {
            let port = params.port.map(|port| format!(":{port}")).unwrap_or_default();
            Some(format!("tcp://{network}{port}"))
        }
        None if driver == "qemu" && plain_data && params.uri.is_none() => Some(format!("tcp://{network}")),
        // Xen asks its peer, and finds a port by itself.
        None if driver == "xen" && suffix.is_some() => Some(format!("tcp://{network}")),
        None => None,
    };
    harmless(&Uri::parse(&uri).map_err(|error| format!("{error} ({})", crate::sys::text::ascii_line(&uri, 60)))?)?;
    // This one ssh never sees, and libvirt takes some that are no URIs.
    data_uri.as_deref().and_then(|uri| Uri::parse(uri).ok()).map_or(Ok(()), |uri| harmless(&uri))?;
    Ok(Target { node: node.to_owned(), uri: without_prompt(uri), data_uri })
}

/// Where xl is reached on the host that a URI names.
fn of_xl(uri: &str) -> Result<String, String> {
    let named = Uri::parse(uri).map_err(|error| error.to_string())?;
    let (driver, transport, path) = ("xl".to_owned(), Some("ssh".to_owned()), String::new());
    let xl = Uri { driver, transport, path, query: Vec::new(), fragment: None, ..named };
    if xl.host.is_none() { Err("the URI names no host".into()) } else { Ok(xl.to_string()) }
}

/// A host as it stands in a URI, where the '%' before a zone is encoded.
fn in_uri(host: &str) -> Result<String, String> {
    if !usable(host) {
        return Err(no_host(host));
    }
    Ok(if host.contains(':') { format!("[{}]", host.replace('%', "%25")) } else { host.to_owned() })
}

fn no_host(host: &str) -> String {
    format!("'{}' cannot be a host's name", crate::sys::text::ascii_line(host, 40))
}

/// Nothing in a URI may be taken for an option, by ssh or another program, once it is decoded.
fn harmless(uri: &Uri) -> Result<(), String> {
    for part in [&uri.user, &uri.host].into_iter().flatten() {
        let decoded = percent_decoded(part);
        if decoded.starts_with(b"-") || decoded.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
            return Err(no_host(&String::from_utf8_lossy(&decoded)));
        }
    }
    Ok(())
}

/// The suffix goes behind the host's own name, before its domain: `a.example` and `-mig` make `a-mig.example`.
fn suffixed(node: &str, suffix: &str) -> String {
    match node.split_once('.') {
        Some((host, domain)) => format!("{host}{suffix}.{domain}"),
        None => format!("{node}{suffix}"),
    }
}

/// ssh must never ask anybody anything.
fn without_prompt(uri: String) -> String {
    let ssh = uri.split("://").next().is_some_and(|scheme| scheme.ends_with("+ssh"));
    if !ssh || uri.contains("no_tty=") {
        uri
    } else if uri.contains('?') {
        uri + "&no_tty=1"
    } else {
        uri + "?no_tty=1"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::params::mapping::Mapping;
    use crate::model::params::options::Options;

    fn to(node: &str, params: Migration) -> Target {
        find(node, &params, "qemu:///system", false).unwrap()
    }

    fn mapped(text: &str) -> Migration {
        Migration { mapping: Mapping::parse(text).unwrap(), ..Migration::default() }
    }

    #[test]
    fn without_parameters_it_is_ssh_without_prompts() {
        let target = to("node2", Migration::default());
        assert_eq!((target.uri.as_str(), target.data_uri), ("qemu+ssh://node2/system?no_tty=1", None));
        assert_eq!(find("n", &Migration::default(), "xen:///system", true).unwrap().uri, "xen+ssh://n/system?no_tty=1");
    }

    #[test]
    fn xl_is_reached_by_ssh_whatever_the_uri_says_besides() {
        let at = |params: Migration| find("n2", &params, "xl:///", true).map(|target| (target.uri, target.data_uri));
        assert_eq!(at(Migration::default()), Ok(("xl+ssh://n2?no_tty=1".into(), None)));
        let template = |uri: &str| Migration { uri: Some(uri.into()), ..Migration::default() };
        assert_eq!(at(template("xenmigr://%s/")), Ok(("xl+ssh://n2?no_tty=1".into(), None)));
        assert_eq!(at(template("xen+ssh://vm@%n:2222/system")), Ok(("xl+ssh://vm@n2:2222?no_tty=1".into(), None)));
        assert!(at(template("xen:///system")).is_err());
        assert!(at(Migration { transport: Some("tls".into()), ..Migration::default() }).is_err());
        assert!(find("-oProxyCommand=x", &Migration::default(), "xl:///", true).is_err());
    }

    #[test]
    fn a_mapping_counts_for_exact_names_only() {
        let text = " xnode2:a , node2 : b.c,node3:[fd00::3],node4:fd00::4,node5:[fe80::1%eth0]";
        assert_eq!(to("node2", mapped(text)).uri, "qemu+ssh://b.c/system?no_tty=1");
        assert_eq!(to("node2", mapped(text)).data_uri.unwrap(), "tcp://b.c");
        assert_eq!(to("node3", mapped(text)).data_uri.unwrap(), "tcp://[fd00::3]");
        assert_eq!(to("node4", mapped(text)).data_uri.unwrap(), "tcp://[fd00::4]");
        assert_eq!(to("node5", mapped(text)).data_uri.unwrap(), "tcp://[fe80::1%25eth0]");
        assert_eq!(to("node9", mapped(text)).uri, "qemu+ssh://node9/system?no_tty=1");
        assert_eq!(to("n", mapped("node1,n:fd00::1")).uri, "qemu+ssh://[fd00::1]/system?no_tty=1");
        assert_eq!(to("node9", mapped(text)).data_uri, None);
    }

    #[test]
    fn what_a_network_of_its_own_is_for() {
        let suffix = || Migration { suffix: Some("-mig".into()), port: Some(49999), ..Migration::default() };
        let options = |text| Options::parse(text).unwrap();
        let uris = |params: Migration| {
            let target = to("n2", params);
            (target.uri, target.data_uri)
        };
        let found = |uri: &str, data: &str| (uri.to_owned(), Some(data.to_owned()));
        // A port alone sends nothing anywhere.
        let port = Migration { port: Some(16509), ..Migration::default() };
        assert_eq!(uris(port), ("qemu+ssh://n2/system?no_tty=1".into(), None));
        // The connection's URI wins, and the memory takes the network.
        let remote = || Migration { uri: Some("qemu+tcp://%n/system".into()), ..suffix() };
        assert_eq!(uris(remote()), found("qemu+tcp://n2/system", "tcp://n2-mig:49999"));
        let written = Migration { data_uri: Some("tcp://%n:1".into()), ..remote() };
        assert_eq!(uris(written), found("qemu+tcp://n2/system", "tcp://n2:1"));
        // What the options say counts less than migrateuri, and more than the suffix.
        let said = || Migration { options: options("--unsafe --migrateuri tcp://%n:2"), ..suffix() };
        assert_eq!(uris(said()), found("qemu+ssh://n2-mig/system?no_tty=1", "tcp://n2-mig:2"));
        let both = Migration { data_uri: Some("tcp://%s:1".into()), ..said() };
        assert_eq!(uris(both).1.as_deref(), Some("tcp://n2-mig:1"));
        let xen = find("n2", &suffix(), "xen:///system", false).unwrap();
        assert_eq!(xen.data_uri.as_deref(), Some("tcp://n2-mig"));
    }

    #[test]
    fn a_suffix_goes_before_the_domain() {
        let params = Migration { suffix: Some("-mig".into()), port: Some(49999), ..Migration::default() };
        let target = to("node2.example", params);
        assert_eq!(target.uri, "qemu+ssh://node2-mig.example/system?no_tty=1");
        assert_eq!(target.data_uri.unwrap(), "tcp://node2-mig.example:49999");
    }

    #[test]
    fn only_the_place_holders_are_replaced() {
        let params = Migration {
            uri: Some("qemu+ssh://%s/system?keyfile=/a%20b".into()),
            data_uri: Some("tcp://%n:1".into()),
            ..Migration::default()
        };
        let target = to("n2", params);
        assert_eq!(target.uri, "qemu+ssh://n2/system?keyfile=/a%20b&no_tty=1");
        assert_eq!(target.data_uri.unwrap(), "tcp://n2:1");
    }

    #[test]
    fn an_option_for_ssh_is_no_host() {
        let hidden = |text: &str| Migration { uri: Some(text.into()), ..Migration::default() };
        let data = Migration { data_uri: Some("tcp://%2Dn:1".into()), ..Migration::default() };
        let suffix = Migration { suffix: Some("%2Dx".into()), ..Migration::default() };
        for (node, params) in [
            ("-oProxyCommand=reboot", Migration::default()),
            ("%2DoProxyCommand=reboot", Migration::default()),
            ("n%00", Migration::default()),
            ("n", hidden("qemu+ssh://%2DoProxyCommand=reboot/system")),
            ("n", hidden("qemu+ssh://%2Dluser@%s/system")),
            ("n", hidden("qemu+ssh://-luser@%s/system")),
            ("n", hidden("qemu+ssh://a%0A%s/system")),
            ("n", data),
            ("n", suffix),
        ] {
            assert!(find(node, &params, "qemu:///system", false).is_err(), "{node} {params:?}");
        }
    }
}
