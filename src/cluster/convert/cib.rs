// SPDX-License-Identifier: GPL-2.0-or-later
//! The resources of `ocf:heartbeat:VirtualDomain` and `ocf:heartbeat:Xen` in a CIB, which become this agent's in place:
//! agent, name and operations are changed while Pacemaker leaves the machine alone. A resource that asks for what this agent
//! refuses stays as it is.

mod operations;

use super::rules::{end_of_maintenance, maintenance};
use super::times::pacemaker_ms;
use super::words::{Ids, ShellText, escaped, keeps};
use super::{NotConverted, Wish, unnamed};
use crate::cluster::primitive::{Primitive, default_of, pair, primitives};
use crate::model::definition::Element;
use crate::model::params::{Params, boolean, find};
use crate::sys::text::shown;
use operations::{OperationsWish, operations};
use std::ffi::OsStr;
use std::path::Path;

/// The agents whose resources are converted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Predecessor {
    VirtualDomain,
    Xen,
}

/// A resource of one of them.
struct DomainResource<'a, 't> {
    of: Predecessor,
    primitive: Primitive<'a, 't>,
}

/// What becomes of one element, and what is told of it.
struct InPlace {
    told: Vec<String>,
    commands: Vec<Vec<String>>,
}

/// A parameter as it is configured.
struct Configured<'a> {
    name: &'a str,
    value: &'a str,
}

pub(super) fn convert(root: &Element<'_>, wish: &Wish<'_>) -> Result<String, NotConverted> {
    let configuration = if root.is("cib") { root.first("configuration") } else { Some(root) };
    let resources = configuration.and_then(|it| it.first("resources"));
    let resources = resources.ok_or_else(|| NotConverted::Unreadable("it has no <resources>".into()))?;
    let found = found_in(resources);
    let known: Vec<&str> = found.iter().map(DomainResource::id).collect();
    let any = |name: &str| found.iter().any(|it| it.is_called(name));
    unnamed(wish, "resource of ocf:heartbeat:VirtualDomain or Xen", &known, any)?;
    let mut taken = Vec::new();
    ids_below(root, &mut taken);
    let mut ids = Ids::taken(taken.into_iter());

    let mut text = ShellText::default();
    text.told(&format!("From {} (Pacemaker). vm-agent has changed nothing: read this, then run it.", wish.from));
    let wanted =
        |it: &DomainResource<'_, '_>| wish.names.is_empty() || wish.names.iter().any(|name| it.is_called(name));
    let timeout = configuration.and_then(|it| default_of(it, "op_defaults", "timeout")).and_then(pacemaker_ms);
    let all: Vec<_> = found.iter().map(|it| (it, wanted(it), change(it, wish, timeout, &mut ids))).collect();
    let (mut changes, mut templates) = (Vec::new(), Vec::new());
    for (it, _, change) in all.iter().filter(|(_, wanted, _)| *wanted) {
        let others = all.iter().filter(|(other, ..)| {
            it.primitive.template.is_some_and(|own| other.primitive.template.is_some_and(|its| std::ptr::eq(its, own)))
        });
        let hindered = others.clone().find(|(_, wanted, change)| !*wanted || change.is_err());
        match (change, hindered) {
            (Err(why), _) => text.point(&format!("{} is not converted: {why}", shown(it.id().as_ref()))),
            (Ok(_), Some((other, ..))) => text.point(&format!(
                "{} is not converted: its template is also that of {}, which is not",
                shown(it.id().as_ref()),
                shown(other.id().as_ref())
            )),
            (Ok(change), None) => {
                changes.push((it.id(), change));
                if let Some(template) = it.primitive.template
                    && !templates.iter().any(|(_, known): &(Predecessor, &Element<'_>)| std::ptr::eq(*known, template))
                {
                    templates.push((it.of, template));
                }
            }
        }
    }
    if changes.is_empty() {
        text.told("There is no resource of ocf:heartbeat:VirtualDomain or ocf:heartbeat:Xen to convert in it.");
        return Ok(text.text());
    }
    text.point("A monitor_wait tells of an end the moment it comes; README has it in its full example.");
    if in_maintenance(configuration) {
        text.point("The cluster is in maintenance already: leave it so, if that was for another reason.");
    }
    maintenance(wish.to, &mut text);
    for (of, template) in templates {
        text.gap();
        text.told(&format!("template {}", shown(template.attribute("id").unwrap_or_default().as_ref())));
        let mut change = InPlace { told: Vec::new(), commands: Vec::new() };
        let wanted = OperationsWish { of, moves: allows_moves(template), adds: true, default_ms: timeout };
        let inside = operations(&wanted, template, &mut ids, &mut change.told);
        change.modify(template, "", &inside, true);
        change.write(&mut text);
    }
    for (id, change) in &changes {
        text.gap();
        text.told(&shown(id.as_ref()));
        change.write(&mut text);
    }
    text.gap();
    text.told("Then:");
    for (id, _) in &changes {
        text.later(
            &["crm_resource", "--refresh", "-r", id],
            "the new agent's look takes the place of the old one's answers",
        );
    }
    text.later(&["crm_simulate", "-L"], "each must be shown where it runs, as ocf:vm-agent:vm, unmanaged");
    end_of_maintenance(wish.to, &mut text);
    Ok(text.text())
}

/// The predecessors' resources.
fn found_in<'a, 't>(resources: &'a Element<'t>) -> Vec<DomainResource<'a, 't>> {
    let theirs = primitives(resources).into_iter().filter_map(|primitive| {
        let of = match ["class", "provider", "type"].map(|part| primitive.attribute(part)) {
            [Some("ocf"), Some("heartbeat"), Some("VirtualDomain")] => Predecessor::VirtualDomain,
            [Some("ocf"), Some("heartbeat"), Some("Xen")] => Predecessor::Xen,
            _ => return None,
        };
        Some(DomainResource { of, primitive })
    });
    theirs.collect()
}

fn ids_below(element: &Element<'_>, ids: &mut Vec<String>) {
    ids.extend(element.attribute("id").map(str::to_owned));
    element.children.iter().for_each(|child| ids_below(child, ids));
}

fn in_maintenance(configuration: Option<&Element<'_>>) -> bool {
    let sets = configuration.and_then(|it| it.first("crm_config")).into_iter().flat_map(|it| &it.children);
    let mut pairs = sets.flat_map(|set| set.all("nvpair"));
    pairs.any(|pair| {
        pair.attribute("name") == Some("maintenance-mode") && pair.attribute("value").and_then(boolean) == Some(true)
    })
}

/// Whether a template allows live moves.
fn allows_moves(template: &Element<'_>) -> bool {
    let value = template.all("meta_attributes").find_map(|set| pair(set, "allow-migrate"));
    value.and_then(boolean) == Some(true)
}

impl Predecessor {
    /// Its name for the parameter with the definition's file.
    const fn file(self) -> &'static str {
        match self {
            Self::VirtualDomain => "config",
            Self::Xen => "xmfile",
        }
    }
}

impl<'a, 't> DomainResource<'a, 't> {
    fn id(&self) -> &'a str {
        self.primitive.id()
    }

    fn is_called(&self, name: &str) -> bool {
        let params = self.params();
        let value = |of: &str| params.iter().find(|it| it.name == of).map(|it| it.value);
        let file = value(self.of.file()).and_then(|it| Path::new(it).file_stem()?.to_str());
        self.id() == name || value("name") == Some(name) || file == Some(name)
    }

    fn params(&self) -> Vec<Configured<'a>> {
        self.primitive.params().into_iter().map(|(name, value)| Configured { name, value }).collect()
    }
}

/// What becomes of a resource.
///
/// # Errors
/// Why it stays as it is.
fn change(
    it: &DomainResource<'_, '_>,
    wish: &Wish<'_>,
    default_ms: Option<u64>,
    ids: &mut Ids,
) -> Result<InPlace, String> {
    if it.primitive.cloned {
        return Err("it is a clone, and a machine runs once".into());
    }
    let params = it.params();
    let mut change = InPlace { told: Vec::new(), commands: Vec::new() };
    refused(&params, &mut change.told)?;
    let value = |of: &str| params.iter().find(|it| it.name == of).map(|it| it.value).filter(|value| !value.is_empty());
    let mut added: Vec<(&str, String)> = Vec::new();
    let file = value(it.of.file());
    let in_file = file.and_then(|file| (wish.name_in)(Path::new(file))).filter(|name| keeps(name));
    if it.of == Predecessor::Xen {
        let file = file.ok_or("it has no xmfile: the agent's own example, /etc/xen/vm/MyDomU, is no machine's")?;
        match (value("name"), &in_file) {
            (Some(name), Some(own)) if name != own => {
                return Err(format!(
                    "its name is '{}', and that in {} '{}': xl was told the first at each start, and vm-agent takes what the \
                     file says; make them one.",
                    shown(name.as_ref()),
                    shown(file.as_ref()),
                    shown(own.as_ref())
                ));
            }
            (Some(_) | None, Some(_) | None) => {}
        }
    }
    if value("name").is_none() {
        match in_file {
            Some(name) => {
                change.told.push(format!(
                    "chosen: name={}, as its definition here has it, so that it is found also where that cannot be read",
                    shown(name.as_ref())
                ));
                added.push(("name", name));
            }
            None => change.told.push(
                "its definition cannot be read here: give it a name, so that it is found also where that cannot be read".into(),
            ),
        }
    }
    let own = it.primitive.own;
    let moves = it.primitive.value("meta_attributes", "allow-migrate").and_then(boolean) == Some(true);
    let utilization = it.primitive.elements().flat_map(|it| it.all("utilization"));
    let keeps_hv = utilization.flat_map(|set| set.all("nvpair")).any(|it| it.attribute("name") == Some("hv_memory"));
    if keeps_hv && value("autoset_utilization_hv_memory").is_none() {
        change.told.push(
            "chosen: autoset_utilization_hv_memory=yes, since the resource has hv_memory; as ocf:vm-agent:vm only \
             host_memory is kept by itself"
                .into(),
        );
        added.push(("autoset_utilization_hv_memory", "yes".into()));
    }
    for (is_set, told) in [
        (
            it.of == Predecessor::VirtualDomain && value("hypervisor").is_none(),
            "hypervisor is not set: vm-agent takes xen:///system in a Xen dom0, else \
                                        qemu:///system; VirtualDomain what 'virsh uri' says",
        ),
        (
            value("monitor_scripts").is_some(),
            "monitor_scripts are run by monitors of depth 10 alone, and after a start",
        ),
        (!moves, "it is not moved live, since allow-migrate is not set"),
    ] {
        if is_set {
            change.told.push(told.into());
        }
    }
    if it.of == Predecessor::Xen && value("shutdown_timeout").is_none() {
        change.told.push(
            "shutdown_timeout is not set: the guest has all of a stop's time but 20 s; ocf:heartbeat:Xen gave it two thirds".into(),
        );
    }
    let wanted = OperationsWish { of: it.of, moves, adds: it.primitive.template.is_none(), default_ms };
    let inside = operations(&wanted, own, ids, &mut change.told);
    change.modify(own, &attributes(it, &added, ids), &inside, own.attribute("type").is_some());
    Ok(change)
}

/// What of the parameters this agent does not take as VirtualDomain did, told.
///
/// # Errors
/// A start would refuse one: the machine would be another one without it.
fn refused(params: &[Configured<'_>], told: &mut Vec<String>) -> Result<(), String> {
    let pairs = params.iter().map(|it| (it.name.as_bytes(), OsStr::new(it.value)));
    for problem in Params::read(pairs).problems {
        if problem.hinders_start() {
            return Err(format!("{problem}."));
        }
        told.push(format!("{problem}; {}", problem.consequence()));
    }
    for unknown in params.iter().filter(|it| find(it.name.as_bytes()).is_none()) {
        let name = shown(unknown.name.as_ref());
        told.push(format!("'{name}' is no parameter of vm-agent: it stays, and means nothing"));
    }
    Ok(())
}

/// New parameters, in a set that the resource has, or a new one.
fn attributes(it: &DomainResource<'_, '_>, added: &[(&str, String)], ids: &mut Ids) -> String {
    if added.is_empty() {
        return String::new();
    }
    let own = it.primitive.own.all("instance_attributes").find(|set| set.first("rule").is_none());
    let set = own.and_then(|set| set.attribute("id")).map(str::to_owned);
    let set = set.unwrap_or_else(|| ids.fresh(&format!("{}-instance_attributes", it.id())));
    let pairs = added.iter().map(|(name, value)| {
        let id = ids.fresh(&format!("{set}-{name}"));
        format!("<nvpair id=\"{id}\" name=\"{name}\" value=\"{}\"/>", escaped(value))
    });
    format!("<instance_attributes id=\"{}\">{}</instance_attributes>", escaped(&set), pairs.collect::<String>())
}

impl InPlace {
    /// One command that changes an element: its agent, parameters and operations.
    fn modify(&mut self, element: &Element<'_>, attributes: &str, operations: &str, agent: bool) {
        if attributes.is_empty() && operations.is_empty() && !agent {
            return;
        }
        let agent = if agent { " provider=\"vm-agent\" type=\"vm\"" } else { "" };
        let inside = match operations {
            "" => attributes.to_owned(),
            operations => format!("{attributes}{}", operations_in(element, operations)),
        };
        let (name, id) = (element.name, escaped(element.attribute("id").unwrap_or_default()));
        let xml = format!("<{name} id=\"{id}\"{agent}>{inside}</{name}>");
        let words = ["cibadmin", "--modify", "--scope", "resources", "--xml-text", &xml];
        self.commands.push(words.map(str::to_owned).into());
    }

    fn write(&self, text: &mut ShellText) {
        self.told.iter().for_each(|told| text.point(told));
        self.commands.iter().for_each(|words| text.run(words));
    }
}

fn operations_in(element: &Element<'_>, operations: &str) -> String {
    match element.first("operations").and_then(|it| it.attribute("id")) {
        Some(id) => format!("<operations id=\"{}\">{operations}</operations>", escaped(id)),
        None => format!("<operations>{operations}</operations>"),
    }
}
