// SPDX-License-Identifier: GPL-2.0-or-later
//! The meta-data, made from the tables of parameters and actions: as callers of OCF agents read them, and as rgmanager
//! does. `agent-metadata/` shows both; a test holds that it does.

use crate::model::action::{Action, Published};
use crate::model::params::{Param, Use, ValueKind, VmSh, table};
use std::fmt::Write;
use std::sync::LazyLock;

/// What rgmanager reads: vm.sh's interface.
pub static RGMANAGER: LazyLock<String> = LazyLock::new(rgmanager);
/// What Pacemaker and other callers of OCF agents read (OCF 1.1). What this agent does not have is deprecated, so that
/// their tools take a resource of a predecessor's as it is.
pub static OCF: LazyLock<String> = LazyLock::new(ocf);

fn rgmanager() -> String {
    let mut text = String::from(
        r#"<?xml version="1.0"?>
<!-- SPDX-License-Identifier: GPL-2.0-or-later -->
<resource-agent version="rgmanager 2.0" name="vm">
  <version>1.0</version>
  <longdesc lang="en">
    Runs a virtual machine that libvirt manages. The definition is found in the folders of path, in xmlfile, or among
    libvirt's own definitions. A virtual machine moves between cluster members by migration.
  </longdesc>
  <shortdesc lang="en">Virtual machine</shortdesc>
  <parameters>
"#,
    );
    let mut published: Vec<(VmSh, &str)> = table().filter_map(|row| Some((row.vm_sh?, row.vm_sh_name()))).collect();
    published.sort_by_key(|(vm_sh, _)| vm_sh.place);
    for (vm_sh, name) in published {
        let flag = vm_sh.flag.map(|flag| format!(r#" {flag}="1""#)).unwrap_or_default();
        let content = Content { kind: vm_sh.kind, default: vm_sh.default, options: &[] };
        text += &parameter(name, &flag, "", (vm_sh.short, vm_sh.long), &content);
    }
    text += &actions(Action::ALL.iter().flat_map(|action| action.row().rgmanager));
    text += r#"  <special tag="rgmanager">
    <attributes maxinstances="1" destroy_on_delete="0" init_on_add="0"/>
  </special>
</resource-agent>
"#;
    text
}

/// What the OCF meta-data consist of, for tools that validate them, as ocf-tester does. The DTD of resource-agents knows
/// nothing of OCF 1.1, and what is declared there cannot be declared again. No attribute has a default here: whoever reads
/// the meta-data reads what stands there.
const DOCTYPE: &str = r"<!DOCTYPE resource-agent [
  <!ELEMENT resource-agent (version,longdesc,shortdesc,parameters,actions)>
  <!ATTLIST resource-agent name CDATA #REQUIRED version CDATA #REQUIRED>
  <!ELEMENT version (#PCDATA)>
  <!ELEMENT longdesc (#PCDATA)>
  <!ATTLIST longdesc lang NMTOKEN #REQUIRED>
  <!ELEMENT shortdesc (#PCDATA)>
  <!ATTLIST shortdesc lang NMTOKEN #REQUIRED>
  <!ELEMENT parameters (parameter+)>
  <!ELEMENT parameter (deprecated?,longdesc,shortdesc,content)>
  <!ATTLIST parameter name CDATA #REQUIRED unique-group CDATA #IMPLIED reloadable (0|1) #IMPLIED>
  <!ELEMENT deprecated (replaced-with?,desc?)>
  <!ELEMENT replaced-with EMPTY>
  <!ATTLIST replaced-with name CDATA #REQUIRED>
  <!ELEMENT desc (#PCDATA)>
  <!ATTLIST desc lang NMTOKEN #REQUIRED>
  <!ELEMENT content (option*)>
  <!ATTLIST content type (string|integer|boolean|select) #REQUIRED default CDATA #IMPLIED>
  <!ELEMENT option EMPTY>
  <!ATTLIST option value CDATA #REQUIRED>
  <!ELEMENT actions (action+)>
  <!ELEMENT action EMPTY>
  <!ATTLIST action name CDATA #REQUIRED timeout CDATA #REQUIRED interval CDATA #IMPLIED depth CDATA #IMPLIED>
]>
";

fn ocf() -> String {
    let mut text = format!(
        r#"<?xml version="1.0"?>
<!-- SPDX-License-Identifier: GPL-2.0-or-later -->
{DOCTYPE}<resource-agent name="vm" version="{}">
  <version>1.1</version>
  <longdesc lang="en">Runs a virtual machine that libvirt manages (KVM/QEMU, Xen, LXC), or Xen's xl. Its definition is the file config, or the first file NAME or NAME.xml in the folders of path, or libvirt's own definition of that name. It takes the place of ocf:heartbeat:VirtualDomain. A virtual machine counts as stopped only when libvirt or the process table proves it.</longdesc>
  <shortdesc lang="en">Virtual machine managed by libvirt</shortdesc>
  <parameters>
"#,
        env!("CARGO_PKG_VERSION")
    );
    for row in table() {
        let flags = flags(row);
        let deprecated = match row.used() {
            Use::Agent => String::new(),
            Use::Manager => "      <deprecated/>\n".to_owned(),
            Use::Refused(instead) => {
                format!("      <deprecated>\n        <desc lang=\"en\">{instead}</desc>\n      </deprecated>\n")
            }
        };
        let default = row.default.map(|default| format!(" Default: {default}.")).unwrap_or_default();
        let long = format!("{}{default}", row.long);
        let content = content(row);
        text += &parameter(row.name, &flags, &deprecated, (row.short, &long), &content);
        for alias in row.aliases {
            let replaced =
                format!("      <deprecated>\n        <replaced-with name=\"{}\"/>\n      </deprecated>\n", row.name);
            let long = format!("The same as {}, by vm.sh's name for it.", row.name);
            let flags = if row.reloadable { r#" reloadable="1""# } else { "" };
            text += &parameter(alias, flags, &replaced, (row.short, &long), &content);
        }
    }
    text += &actions(Action::ALL.iter().flat_map(|action| action.row().ocf));
    text += "</resource-agent>\n";
    text
}

fn flags(row: &Param) -> String {
    let unique = if row.unique { format!(r#" unique-group="{}""#, row.name) } else { String::new() };
    unique + if row.reloadable { r#" reloadable="1""# } else { "" }
}

fn content(row: &Param) -> Content<'_> {
    let (kind, options): (_, &[&str]) = match row.kind {
        ValueKind::Text => ("string", &[]),
        ValueKind::Select(options) => ("select", options),
        ValueKind::Boolean => ("boolean", &[]),
        ValueKind::Integer => ("integer", &[]),
    };
    Content { kind, default: row.default, options }
}

/// The form of a value.
struct Content<'a> {
    kind: &'a str,
    default: Option<&'a str>,
    options: &'a [&'a str],
}

fn parameter(name: &str, flags: &str, before: &str, (short, long): (&str, &str), content: &Content<'_>) -> String {
    let default = content.default.map(|value| format!(r#" default="{value}""#)).unwrap_or_default();
    let kind = content.kind;
    let mut options = String::new();
    for option in content.options {
        options += &format!("        <option value=\"{option}\"/>\n");
    }
    let content = match options.as_str() {
        "" => format!(r#"<content type="{kind}"{default}/>"#),
        options => format!("<content type=\"{kind}\"{default}>\n{options}      </content>"),
    };
    format!(
        r#"    <parameter name="{name}"{flags}>
{before}      <longdesc lang="en">{long}</longdesc>
      <shortdesc lang="en">{short}</shortdesc>
      {content}
    </parameter>
"#
    )
}

fn actions<'a>(published: impl Iterator<Item = &'a Published>) -> String {
    let mut text = String::from("  </parameters>\n  <actions>\n");
    for Published { word, timeout, interval, depth } in published {
        let more = |name: &str, value: &Option<&str>| value.map(|v| format!(r#" {name}="{v}""#)).unwrap_or_default();
        let (interval, depth) = (more("interval", interval), more("depth", depth));
        // It cannot fail: a String takes whatever is written.
        let _ = writeln!(text, r#"    <action name="{word}" timeout="{timeout}"{interval}{depth}/>"#);
    }
    text + "  </actions>\n"
}
