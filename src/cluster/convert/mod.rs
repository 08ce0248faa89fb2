// SPDX-License-Identifier: GPL-2.0-or-later
//! From a predecessor's configuration to Pacemaker's with this agent, as commands for a shell: rgmanager's cluster.conf to
//! new resources, VirtualDomain's resources of a CIB to the same ones with another agent. Pure: nothing is run or changed,
//! and what has no exact counterpart, or had to be chosen, is told in comments beside the commands.

mod cib;
pub(super) mod conf;
mod domains;
mod new;
mod rules;
pub(super) mod times;
pub(super) mod words;

pub(super) use times::pacemaker_ms;

use super::LARGEST;
use crate::model::definition::read_large;
use crate::sys::text::{ascii_line, shown};
use std::path::Path;

/// Whose words the commands are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    Pcs,
    Crm,
}

/// What is to be converted.
pub(crate) struct Wish<'a> {
    /// Where the text is from, for the comments.
    pub from: &'a str,
    pub to: Shell,
    /// The machines or resources alone that are called so; all, where nothing is named.
    pub names: &'a [String],
    /// The name in a definition's file, if it can be read here.
    pub name_in: &'a dyn Fn(&Path) -> Option<String>,
}

/// Why there are no commands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotConverted {
    /// The text is no configuration, and what is wrong with it.
    Unreadable(String),
    /// It has nothing that is called so, and what it has.
    Unnamed(String),
}

/// The commands, with comments.
///
/// # Errors
/// The text is neither a cluster.conf nor a CIB, or has not what is named.
pub(crate) fn convert(bytes: &[u8], wish: &Wish<'_>) -> Result<String, NotConverted> {
    let unreadable = |why: &str| NotConverted::Unreadable(format!("{}: {}", wish.from, ascii_line(why, 300)));
    if bytes.len() > LARGEST.0 {
        return Err(unreadable(&format!("it is larger than {} MiB", LARGEST.0 >> 20)));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes.iter().take(error.valid_up_to()).filter(|&&byte| byte == b'\n').count() + 1;
        unreadable(&format!("line {line}: a byte that is not UTF-8"))
    })?;
    let root = read_large(text, LARGEST.1).map_err(|error| unreadable(&error.to_string()))?;
    if root.is("cluster") {
        rules::convert(&conf::read_conf(&root), wish)
    } else if root.is("cib") || root.is("configuration") {
        cib::convert(&root, wish).map_err(|why| match why {
            NotConverted::Unreadable(why) => unreadable(&why),
            NotConverted::Unnamed(_) => why,
        })
    } else {
        let name = shown(root.name.as_ref());
        Err(unreadable(&format!("its first element is <{name}>: neither a cluster.conf (<cluster>) nor a CIB (<cib>)")))
    }
}

/// The names that are asked for and that nobody has, as a sentence; `known` are all that there are.
fn unnamed(wish: &Wish<'_>, what: &str, known: &[&str], is: impl Fn(&str) -> bool) -> Result<(), NotConverted> {
    let Some(missing) = wish.names.iter().find(|name| !is(name)) else { return Ok(()) };
    let known = if known.is_empty() { "none".to_owned() } else { ascii_line(&known.join(", "), 300) };
    let missing = shown(missing.as_ref());
    Err(NotConverted::Unnamed(format!("{} has no {what} '{missing}'; it has: {known}", wish.from)))
}
