// SPDX-License-Identifier: GPL-2.0-or-later
//! Utilization attributes of a resource in Pacemaker's configuration: read with one call, and written with one where they
//! differ. Whoever else set attributes of that resource keeps them.

use super::tool;
use crate::model::definition::{Element, read};
use crate::sys::child::find_program;
use crate::sys::text::ascii_line;
use crate::sys::time::Deadline;
use std::path::Path;

/// What an attribute is to be; nothing: it is not to be there.
pub(crate) type UtilizationPair<'a> = (&'a str, Option<u64>);

/// Makes the attributes of `resource` what is wanted; gives what was changed, in words.
///
/// # Errors
/// The cluster did not say, or did not take it.
pub(crate) fn set_utilization(
    resource: &str,
    wanted: &[UtilizationPair<'_>],
    until: Deadline,
) -> Result<Option<String>, String> {
    let cibadmin = find_program("cibadmin").ok_or("cibadmin is not installed")?;
    // A clone's instances share its configuration.
    let resource = resource.split(':').next().unwrap_or(resource);
    let path = format!("//primitive[@id='{}']", is_id(resource)?);
    let text = answer(&cibadmin, &["--query", "--local", "--xpath", &path], until)?;
    let plan = plan(&String::from_utf8_lossy(&text), resource, wanted)?;
    if let Some(xml) = &plan.modify {
        answer(&cibadmin, &["--modify", "--scope", "resources", "--xml-text", xml], until)?;
    }
    for id in &plan.delete {
        let xml = format!("<nvpair id=\"{id}\"/>");
        answer(&cibadmin, &["--delete", "--scope", "resources", "--xml-text", &xml], until)?;
    }
    Ok((!plan.told.is_empty()).then(|| plan.told.join(", ")))
}

fn answer(cibadmin: &Path, args: &[&str], until: Deadline) -> Result<Vec<u8>, String> {
    tool(cibadmin, args, until)?.map_err(|code| format!("cibadmin ended with {code}"))
}

/// What to change.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// What is merged into the resources.
    modify: Option<String>,
    /// The IDs of what is removed.
    delete: Vec<String>,
    told: Vec<String>,
}

/// What differs from what is wanted in the primitive that the configuration shows.
fn plan(text: &str, resource: &str, wanted: &[UtilizationPair<'_>]) -> Result<Plan, String> {
    let primitive = read(text).map_err(|error| {
        format!("the resource's configuration cannot be read: {}", ascii_line(&error.to_string(), 200))
    })?;
    if !primitive.is("primitive") || primitive.attribute("id") != Some(resource) {
        return Err(format!("the cluster shows no resource '{}'", ascii_line(resource, 64)));
    }
    // A set that other resources share is not ours to write into, nor is one for certain times or nodes.
    let is_own = |set: &&Element<'_>| set.attribute("id-ref").is_none() && set.first("rule").is_none();
    let set = primitive.all("utilization").find(is_own);
    let set_id =
        set.and_then(|set| set.attribute("id")).map_or_else(|| format!("{resource}-utilization"), str::to_owned);
    let (mut plan, mut pairs) = (Plan::default(), String::new());
    for (name, value) in wanted {
        let pair = set.and_then(|set| set.all("nvpair").find(|pair| pair.attribute("name") == Some(name)));
        let now = pair.and_then(|pair| pair.attribute("value"));
        let id = pair.and_then(|pair| pair.attribute("id"));
        match (value.map(|value| value.to_string()), id) {
            (Some(value), _) if now == Some(value.as_str()) => {}
            (Some(value), id) => {
                let id = id.map_or_else(|| format!("{set_id}-{name}"), str::to_owned);
                pairs += &format!("<nvpair id=\"{}\" name=\"{name}\" value=\"{value}\"/>", is_id(&id)?);
                plan.told.push(format!("{name}={value}"));
            }
            (None, Some(id)) => {
                plan.delete.push(is_id(id)?.to_owned());
                plan.told.push(format!("no {name}"));
            }
            (None, None) => {}
        }
    }
    if !pairs.is_empty() {
        let (resource, set) = (is_id(resource)?, is_id(&set_id)?);
        plan.modify =
            Some(format!("<primitive id=\"{resource}\"><utilization id=\"{set}\">{pairs}</utilization></primitive>"));
    }
    Ok(plan)
}

/// A name that may stand in a path and in XML as it is; what Pacemaker takes for an ID is such a one.
fn is_id(id: &str) -> Result<&str, String> {
    let plain = !id.is_empty() && !id.chars().any(|c| c.is_control() || c.is_whitespace() || "<>&\"'".contains(c));
    plain.then_some(id).ok_or_else(|| format!("'{}' is no ID", ascii_line(id, 64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [UtilizationPair<'_>; 3] = [("cpu", Some(2)), ("host_memory", Some(512)), ("hv_memory", None)];

    fn planned(inside: &str) -> Plan {
        plan(&format!("<primitive id='web' type='vm'>{inside}</primitive>"), "web", &WANTED).unwrap()
    }

    #[test]
    fn only_what_differs_is_written_and_in_its_own_place() {
        let all = planned("");
        let expected = "<primitive id=\"web\"><utilization id=\"web-utilization\">\
            <nvpair id=\"web-utilization-cpu\" name=\"cpu\" value=\"2\"/>\
            <nvpair id=\"web-utilization-host_memory\" name=\"host_memory\" value=\"512\"/></utilization></primitive>";
        assert_eq!(all.modify.as_deref(), Some(expected));
        assert_eq!(all.told, ["cpu=2", "host_memory=512"]);
        let set = |pairs: &str| format!("<utilization id='u'>{pairs}</utilization>");
        let right = "<nvpair id='c' name='cpu' value='2'/><nvpair id='m' name='host_memory' value='512'/>";
        assert_eq!(planned(&set(right)), Plan::default());
        // What somebody else keeps there is left alone.
        let one = planned(&set(&right
            .replace("'512'", "'80'")
            .replace("<nvpair id='c'", "<nvpair id='x' name='gpu' value='1'/>$&")
            .replace("$&", "<nvpair id='c'")));
        let expected = "<primitive id=\"web\"><utilization id=\"u\"><nvpair id=\"m\" name=\"host_memory\" value=\"512\"/>\
            </utilization></primitive>";
        assert_eq!((one.modify.as_deref(), one.delete.len()), (Some(expected), 0));
        let gone = planned(&set(&format!("{right}<nvpair id='h' name='hv_memory' value='512'/>")));
        assert_eq!(
            (gone.modify, gone.delete, gone.told),
            (None, vec!["h".to_owned()], vec!["no hv_memory".to_owned()])
        );
    }

    #[test]
    fn a_set_that_is_shared_or_bound_to_a_rule_is_not_written_into() {
        for set in ["<utilization id-ref='all'/>", "<utilization id='r'><rule id='n'/></utilization>"] {
            assert!(planned(set).modify.unwrap().contains("<utilization id=\"web-utilization\">"), "{set}");
        }
    }

    #[test]
    fn what_is_not_the_resource_is_no_answer() {
        for text in ["", "<primitive id='other'/>", "<xpath-query/>", "<primitive id='web'>"] {
            assert!(plan(text, "web", &WANTED).is_err(), "{text}");
        }
        assert!(is_id("a'b").is_err() && is_id("").is_err());
    }
}
