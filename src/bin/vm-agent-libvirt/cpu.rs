// SPDX-License-Identifier: GPL-2.0-or-later
//! What a host's hypervisor can give a machine as its CPU, alone and together with other hosts; and which models it knows.

use crate::failure::{During, own};
use crate::ffi;
use virt::connect::Connect;
use vm_agent::model::definition::{self, Element};
use vm_agent::model::worker::{CallStep, ErrorReply};

/// The CPU that this host and `others` (`<cpus>` of their answers, which may be empty) have in common. Alone it is
/// told with every feature.
pub(crate) fn common(connection: &Connect, others: &str) -> Result<String, ErrorReply> {
    let text = connection.domain_capabilities(None, None, None, None, 0).during(CallStep::Call)?;
    let read = |text| definition::read(text).map_err(|error| error.to_string());
    let capabilities = read(&text).during(CallStep::Call)?;
    let host_model = mode(&capabilities, "host-model").filter(|it| it.attribute("supported") == Some("yes"));
    let host_model = host_model.ok_or_else(|| own(CallStep::Call, "its hypervisor does not tell the host's CPU"))?;
    let parts = host_model.children.iter().filter_map(|child| text.get(child.span()));
    let mut cpus = vec![format!("<cpu>{}</cpu>", parts.collect::<String>())];
    let root = read(others).during(CallStep::Input)?;
    cpus.extend(root.all("cpu").filter_map(|cpu| others.get(cpu.span()).map(str::to_owned)));
    ffi::baseline_cpu(connection, &cpus, cpus.len() == 1).during(CallStep::Call)
}

/// A kind of CPU of a host's domain capabilities.
fn mode<'a, 't>(capabilities: &'a Element<'t>, name: &str) -> Option<&'a Element<'t>> {
    capabilities.first("cpu")?.all("mode").find(|mode| mode.attribute("name") == Some(name))
}

/// The model that a definition names and that cannot be given: one that libvirt does not know, or that the emulator does
/// not, where the definition forbids another in its place. What an older libvirt does not tell is not missing.
pub(crate) fn unknown_model(connection: &Connect, capabilities: &Element<'_>, root: &Element<'_>) -> Option<String> {
    let cpu = root.first("cpu").filter(|cpu| cpu.attribute("mode").is_none_or(|mode| mode == "custom"))?;
    let wanted = cpu.first("model")?;
    let name = cpu.text_of("model")?;
    let offered: Vec<&Element<'_>> = mode(capabilities, "custom")?.all("model").collect();
    if offered.is_empty() || offered.iter().any(|model| model.text == name) {
        return None;
    }
    let arch = capabilities.text_of("arch")?;
    let is_known = connection.cpu_models_names(&arch, 0).map_or(true, |names| names.contains(&name));
    (!is_known || wanted.attribute("fallback") == Some("forbid")).then_some(name)
}
