// SPDX-License-Identifier: GPL-2.0-or-later
//! The primitives of a CIB, each with what it does not say itself: what its template says, and what stands elsewhere and is
//! named by reference. Pure.

use super::convert::pacemaker_ms;
use crate::model::definition::Element;

/// What Pacemaker gives an operation that has no timeout, in milliseconds.
pub(crate) const DEFAULT_TIMEOUT: u64 = 20_000;

/// A primitive.
pub(super) struct Primitive<'a, 't> {
    pub own: &'a Element<'t>,
    /// What it is made from.
    pub template: Option<&'a Element<'t>>,
    /// Whether it is part of a clone.
    pub cloned: bool,
    resources: &'a Element<'t>,
}

/// All primitives below `<resources>`, in their order.
pub(super) fn primitives<'a, 't>(resources: &'a Element<'t>) -> Vec<Primitive<'a, 't>> {
    let mut found = Vec::new();
    below(resources, resources, false, &mut found);
    found
}

fn below<'a, 't>(
    element: &'a Element<'t>,
    resources: &'a Element<'t>,
    cloned: bool,
    found: &mut Vec<Primitive<'a, 't>>,
) {
    for child in &element.children {
        if child.is("group") || child.is("clone") || child.is("master") {
            below(child, resources, cloned || !child.is("group"), found);
        } else if child.is("primitive") {
            let name = child.attribute("template");
            let template = resources.all("template").find(|it| name.is_some() && it.attribute("id") == name);
            found.push(Primitive { own: child, template, cloned, resources });
        }
    }
}

impl<'a, 't> Primitive<'a, 't> {
    /// It, and its template: what the first says counts.
    pub(super) fn elements(&self) -> impl Iterator<Item = &'a Element<'t>> + use<'a, 't> {
        std::iter::once(self.own).chain(self.template)
    }

    pub(super) fn id(&self) -> &'a str {
        self.own.attribute("id").unwrap_or_default()
    }

    /// An attribute: class, provider, type.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.elements().find_map(|it| it.attribute(name))
    }

    /// The pairs of all sets of this kind, `instance_attributes` or `meta_attributes`.
    fn pairs(&self, kind: &'static str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a, 't> {
        let resources = self.resources;
        let sets = self.elements().flat_map(move |it| it.all(kind)).filter_map(|set| by_reference(resources, set));
        let pairs = sets.flat_map(|set| &set.children).filter_map(|pair| by_reference(resources, pair));
        pairs.filter(|it| it.is("nvpair")).filter_map(|it| Some((it.attribute("name")?, it.attribute("value")?)))
    }

    /// The first word on a parameter, or on a meta attribute.
    pub(super) fn value(&self, kind: &'static str, name: &str) -> Option<&'a str> {
        self.pairs(kind).find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The first word on each parameter.
    pub(super) fn params(&self) -> Vec<(&'a str, &'a str)> {
        let mut params: Vec<(&str, &str)> = Vec::new();
        for (name, value) in self.pairs("instance_attributes") {
            if params.iter().all(|(known, _)| *known != name) {
                params.push((name, value));
            }
        }
        params
    }

    /// The operations: its own, and those of the template that it has not.
    pub(super) fn operations(&self) -> Vec<&'a Element<'t>> {
        let of = |it: &'a Element<'t>| it.all("operations").flat_map(|set| set.all("op"));
        let same = |one: &Element<'_>, other: &Element<'_>| {
            one.attribute("name") == other.attribute("name") && interval(one) == interval(other)
        };
        let own: Vec<&Element<'_>> = of(self.own).collect();
        let inherited = self.template.into_iter().flat_map(of).filter(|op| !own.iter().any(|its| same(its, op)));
        own.iter().copied().chain(inherited).collect()
    }
}

/// An element, or what it refers to.
fn by_reference<'a, 't>(resources: &'a Element<'t>, element: &'a Element<'t>) -> Option<&'a Element<'t>> {
    match element.attribute("id-ref") {
        None => Some(element),
        Some(id) => with_id(resources, id),
    }
}

fn with_id<'a, 't>(element: &'a Element<'t>, id: &str) -> Option<&'a Element<'t>> {
    if element.attribute("id") == Some(id) {
        return Some(element);
    }
    element.children.iter().find_map(|child| with_id(child, id))
}

/// The interval of an operation, in milliseconds.
pub(super) fn interval(op: &Element<'_>) -> u64 {
    op.attribute("interval").and_then(pacemaker_ms).unwrap_or_default()
}

/// What an operation says of its timeout or on-fail: to Pacemaker its own attributes count before its sets.
pub(super) fn said_of<'a>(op: &'a Element<'_>, name: &str) -> Option<&'a str> {
    let mut sets = op.all("meta_attributes").chain(op.all("instance_attributes"));
    op.attribute(name).or_else(|| sets.find_map(|set| pair(set, name)))
}

/// A property of the cluster that goes by one of these names, in the first set that has one.
pub(super) fn property<'a>(configuration: &'a Element<'_>, names: &[&str]) -> Option<&'a str> {
    let mut sets = configuration.all("crm_config").flat_map(|it| it.all("cluster_property_set"));
    sets.find_map(|set| names.iter().find_map(|name| pair(set, name)))
}

/// What `op_defaults` or `rsc_defaults` say to all.
pub(super) fn default_of<'a>(configuration: &'a Element<'_>, part: &str, name: &str) -> Option<&'a str> {
    let sets = configuration.first(part).into_iter().flat_map(|it| it.all("meta_attributes"));
    sets.filter(|set| set.first("rule").is_none()).find_map(|set| pair(set, name))
}

pub(super) fn pair<'a>(set: &'a Element<'_>, name: &str) -> Option<&'a str> {
    set.all("nvpair").find(|pair| pair.attribute("name") == Some(name)).and_then(|pair| pair.attribute("value"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::read;

    const RESOURCES: &str = "<resources><template id='t' class='ocf' provider='vm-agent' type='vm'>\
        <instance_attributes id='ti'><nvpair id='tn' name='name' value='template'/><nvpair id='tc' name='config' value='/t'/>\
        </instance_attributes><operations><op id='t-s' name='stop' interval='0' timeout='3min'/>\
        <op id='t-m' name='monitor' interval='10s'/></operations></template>\
        <group id='g'><primitive id='a' template='t'><instance_attributes id='ai'><nvpair id='an' name='name' value='a'/>\
        </instance_attributes><operations><op id='a-m' name='monitor' interval='10' timeout='30'>\
        <meta_attributes id='am'><nvpair id='at' name='timeout' value='90'/><nvpair id='af' name='on-fail' value='block'/>\
        </meta_attributes></op></operations></primitive></group>\
        <clone id='c'><primitive id='b' type='Dummy'><instance_attributes id-ref='ai'/></primitive></clone>\
        <master id='m'><group id='h'><primitive id='d'><meta_attributes id='dm'><nvpair id-ref='an'/></meta_attributes>\
        </primitive></group></master></resources>";

    #[test]
    fn a_primitive_says_what_its_template_and_what_it_refers_to_say() {
        let resources = read(RESOURCES).unwrap();
        let [a, b, d] = <[_; 3]>::try_from(primitives(&resources)).ok().unwrap();
        assert_eq!([a.id(), b.id(), d.id()], ["a", "b", "d"]);
        assert_eq!([a.cloned, b.cloned, d.cloned], [false, true, true]);
        assert_eq!((a.attribute("type"), b.attribute("type"), d.attribute("type")), (Some("vm"), Some("Dummy"), None));
        assert_eq!(a.params(), [("name", "a"), ("config", "/t")]);
        assert_eq!((b.params(), d.value("meta_attributes", "name")), (vec![("name", "a")], Some("a")));
        let operations = a.operations();
        assert_eq!(operations.iter().map(|op| op.attribute("id").unwrap()).collect::<Vec<_>>(), ["a-m", "t-s"]);
        // What is an attribute of the operation counts before its sets.
        assert_eq!((said_of(operations[0], "timeout"), said_of(operations[0], "on-fail")), (Some("30"), Some("block")));
        assert_eq!((interval(operations[0]), said_of(operations[1], "timeout")), (10_000, Some("3min")));
    }
}
