// SPDX-License-Identifier: GPL-2.0-or-later
//! Pacemaker, asked by its own programs.

use super::primitive::{pair, primitives};
use super::{LARGEST, Resource, Software, Wanted, tool};
use crate::model::definition::read_large;
use crate::model::params::boolean;
use crate::sys::child::find_program;
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;

/// How cibadmin ends when no cluster runs here: in Pacemaker 2, and as the system's own number before.
const NOT_CONNECTED: [i32; 2] = [102, 107];

/// What cibadmin is asked for.
const WHOLE: [&str; 2] = ["--query", "--local"];
/// The same, for the configuration alone.
const QUERY: [&str; 4] = ["--query", "--local", "--scope", "configuration"];

/// The configuration, whole.
pub(super) fn live_cib(until: Deadline) -> Result<Vec<u8>, String> {
    queried(&QUERY, until)
}

/// The configuration and the status.
pub(super) fn whole_cib(until: Deadline) -> Result<Vec<u8>, String> {
    queried(&WHOLE, until)
}

fn queried(words: &[&str], until: Deadline) -> Result<Vec<u8>, String> {
    let cibadmin = find_program("cibadmin").ok_or("cibadmin is not installed")?;
    match tool(&cibadmin, words, until)? {
        Ok(answer) => Ok(answer),
        Err(code) if NOT_CONNECTED.contains(&code) => Err("cibadmin gets no connection to Pacemaker".into()),
        Err(code) => Err(format!("cibadmin ended with {code}")),
    }
}

/// Asks the Pacemaker that runs here: nothing, if none does; else the resource, if there is one.
pub(super) fn resource(
    asked: &Wanted<'_>,
    software: Software,
    until: Deadline,
) -> Result<Option<Option<Resource>>, String> {
    // Others use corosync too.
    if !software.pacemaker && find_program("cibadmin").is_none() {
        return Ok(None);
    }
    let runs =
        if software.pacemaker { "Pacemaker runs here, but" } else { "corosync runs here, but Pacemaker does not:" };
    let found = queried(&QUERY, until).and_then(|answer| in_configuration(&answer, asked));
    found.map(Some).map_err(|why| format!("{runs} {why}"))
}

/// What an attribute of a node holds; nothing, where the node has none of that name.
///
/// # Errors
/// Pacemaker does not say.
pub(super) fn node_attribute(node: &str, name: &str, until: Deadline) -> Result<Option<String>, String> {
    let program = find_program("crm_attribute").ok_or("crm_attribute is not installed")?;
    match tool(&program, &["--type", "nodes", "--node", node, "--name", name, "--query", "--quiet"], until)? {
        Ok(answer) => Ok(Some(ascii_line(String::from_utf8_lossy(&answer).trim(), 200)).filter(|it| !it.is_empty())),
        Err(NO_ATTRIBUTE) => Ok(None),
        Err(code) => Err(format!("crm_attribute ended with {code}")),
    }
}

/// Sets the target-role of a resource to Stopped.
///
/// # Errors
/// Pacemaker was not told, or did not take it.
pub(super) fn keep_stopped(resource: &str, until: Deadline) -> Result<(), String> {
    let program = find_program("crm_resource").ok_or("crm_resource is not installed")?;
    // A clone's instances share its configuration.
    let resource = format!("--resource={}", resource.split(':').next().unwrap_or(resource));
    let words = [&resource, "--meta", "--set-parameter=target-role", "--parameter-value=Stopped"];
    tool(&program, &words, until)?.map(drop).map_err(|code| format!("crm_resource ended with {code}"))
}

/// How crm_attribute ends where there is no such attribute.
const NO_ATTRIBUTE: i32 = 105;

/// The virtual machines of the configuration.
pub(super) fn machines(until: Deadline) -> Result<Vec<Resource>, String> {
    of_configuration(&live_cib(until)?, |_| true)
}

fn in_configuration(answer: &[u8], asked: &Wanted<'_>) -> Result<Option<Resource>, String> {
    let found = of_configuration(answer, |parameter| asked.is_of(parameter))?;
    // Of two resources of one virtual machine the one that is managed counts.
    Ok(found.into_iter().min_by_key(|resource| !resource.managed))
}

/// The resources that are virtual machines, as far as their parameters are `wanted`.
fn of_configuration(
    answer: &[u8],
    wanted: impl for<'p> Fn(&dyn Fn(&str) -> Option<&'p str>) -> bool,
) -> Result<Vec<Resource>, String> {
    let text = std::str::from_utf8(answer).map_err(|_| "its configuration is not UTF-8")?;
    let configuration = read_large(text, LARGEST.1)
        .map_err(|error| format!("its configuration cannot be read: {}", ascii_line(&error.to_string(), 200)))?;
    let resources = configuration.first("resources").ok_or("its configuration has no resources")?;
    let yes = |value: &str| boolean(value) == Some(true);
    let maintenance = configuration.first("crm_config").is_some_and(|config| {
        config.all("cluster_property_set").any(|set| pair(set, "maintenance-mode").is_some_and(yes))
    });
    let found = primitives(resources).into_iter().filter_map(|primitive| {
        let says = |kind: &'static str, name: &str| primitive.value(kind, name).filter(|value| !value.is_empty());
        let is_it = matches!(primitive.attribute("type"), Some("vm" | "VirtualDomain" | "Xen"))
            && wanted(&|name| says("instance_attributes", name));
        let unmanaged = says("meta_attributes", "is-managed").is_some_and(|value| !yes(value))
            || says("meta_attributes", "maintenance").is_some_and(yes);
        is_it.then(|| Resource {
            name: primitive.id().to_owned(),
            managed: !maintenance && !unmanaged,
            params: owned(&primitive.params()),
        })
    });
    Ok(found.collect())
}

/// Parameters, to be kept.
pub(super) fn owned(params: &[(&str, &str)]) -> Vec<(String, String)> {
    params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn asked(name: &str) -> Wanted<'static> {
        Wanted { name: Some(name.into()), config: None, name_in: &|_| None }
    }

    fn resources(resources: &str, config: &str) -> String {
        format!(
            "<configuration><crm_config><cluster_property_set id='o'>{config}</cluster_property_set></crm_config>\
             <resources>{resources}</resources></configuration>"
        )
    }

    fn with(parameters: &str, meta: &str, config: &str) -> String {
        let primitive = format!(
            "<group id='g'><primitive id='r1' class='ocf' provider='vm-agent' type='vm'>\
             <instance_attributes id='i'>{parameters}</instance_attributes><meta_attributes id='m'>{meta}\
             </meta_attributes></primitive></group>"
        );
        resources(&primitive, config)
    }

    fn resource(configuration: &str, asked: &Wanted<'_>) -> Option<Resource> {
        in_configuration(configuration.as_bytes(), asked).unwrap()
    }

    /// The resource that manages it.
    fn found(configuration: &str, asked: &Wanted<'_>) -> Option<String> {
        resource(configuration, asked).filter(|resource| resource.managed).map(|resource| resource.name)
    }

    const FOO: &str = "<nvpair id='a' name='name' value='foo'/>";
    const FILE: &str = "<nvpair id='a' name='config' value='/vms/foo.xml'/>";

    #[test]
    fn a_resource_of_that_name_manages_it() {
        let foo = with(FOO, "", "");
        assert_eq!(found(&foo, &asked("foo")).as_deref(), Some("r1"));
        assert_eq!(found(&foo, &asked("foo-1")), None);
        assert_eq!(found(&with(&format!("{FOO}{FILE}"), "", ""), &asked("bar")), None);
    }

    #[test]
    fn the_file_of_its_definition_counts_where_a_name_is_missing() {
        let by_file = with(FILE, "", "");
        assert!(found(&by_file, &asked("foo")).is_some());
        assert!(found(&by_file, &asked("bar")).is_none());
        // What is in the file counts more than what it is called.
        let name_in = |file: &Path| (file == Path::new("/vms/foo.xml")).then(|| "bar".to_owned());
        assert!(found(&by_file, &Wanted { name_in: &name_in, ..asked("bar") }).is_some());
        assert!(found(&by_file, &Wanted { name_in: &name_in, ..asked("foo") }).is_none());
        let unread = Wanted { name: None, config: Some(Path::new("/vms/foo.xml")), name_in: &|_| None };
        assert!(found(&by_file, &unread).is_some());
        assert!(found(&with(&format!("{FOO}{FILE}"), "", ""), &unread).is_some());
        assert!(found(&with(FOO, "", ""), &unread).is_none());
    }

    #[test]
    fn in_maintenance_a_person_may_act() {
        assert_eq!(found(&with(FOO, "<nvpair id='b' name='is-managed' value='false'/>", ""), &asked("foo")), None);
        assert_eq!(found(&with(FOO, "<nvpair id='b' name='maintenance' value='true'/>", ""), &asked("foo")), None);
        let everywhere = "<nvpair id='c' name='maintenance-mode' value='true'/>";
        assert_eq!(found(&with(FOO, "", everywhere), &asked("foo")), None);
        // It is known nevertheless, with what it is configured with.
        let left = resource(&with(&format!("{FOO}{FILE}"), "", everywhere), &asked("foo")).unwrap();
        let params = [("name", "foo"), ("config", "/vms/foo.xml")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!((left.name.as_str(), left.params.as_slice()), ("r1", params.as_slice()));
    }

    #[test]
    fn a_primitive_has_what_it_does_not_say_from_its_template() {
        let template = format!(
            "<template id='t' class='ocf' provider='vm-agent' type='vm'><instance_attributes id='i'>{FOO}\
             </instance_attributes><meta_attributes id='m'><nvpair id='n' name='is-managed' value='false'/>\
             </meta_attributes></template>"
        );
        let with =
            |inside: &str| resources(&format!("{template}<primitive id='r' template='t'>{inside}</primitive>"), "");
        let managed = "<meta_attributes id='o'><nvpair id='p' name='is-managed' value='true'/></meta_attributes>";
        assert_eq!(found(&with(""), &asked("foo")), None);
        assert_eq!(found(&with(managed), &asked("foo")).as_deref(), Some("r"));
        let own = "<instance_attributes id='q'><nvpair id='s' name='name' value='bar'/></instance_attributes>";
        assert_eq!(found(&with(&format!("{managed}{own}")), &asked("foo")), None);
        assert_eq!(found(&with(&format!("{managed}{own}")), &asked("bar")).as_deref(), Some("r"));
        let other = resources("<template id='t' type='vm'/><primitive id='r' type='Dummy'/>", "");
        assert_eq!(found(&other, &asked("foo")), None);
    }

    #[test]
    fn a_large_configuration_is_read_and_one_that_cannot_be_is_told() {
        let padding =
            format!("<primitive id='d' type='Dummy'>{}</primitive>", "<op id='some-operation'/>".repeat(200_000));
        let large = with(FOO, "", "").replace("<resources>", &format!("<resources>{padding}"));
        assert!(large.len() > crate::model::definition::MAX_BYTES);
        assert_eq!(found(&large, &asked("foo")).as_deref(), Some("r1"));
        for text in [large.trim_end_matches('>'), "", "<configuration/>"] {
            assert!(in_configuration(text.as_bytes(), &asked("foo")).is_err());
        }
        assert!(in_configuration(b"\xff", &asked("foo")).is_err());
    }
}
