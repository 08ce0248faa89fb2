// SPDX-License-Identifier: GPL-2.0-or-later
//! What published meta-data say of a parameter.

use vm_agent::model::definition::Element;

/// The parameters that a document publishes.
pub fn published<'a>(document: &'a Element<'_>) -> Vec<&'a Element<'a>> {
    document.first("parameters").unwrap().all("parameter").collect()
}

pub fn name<'a>(parameter: &'a Element<'_>) -> &'a str {
    parameter.attribute("name").unwrap()
}

pub fn default<'a>(parameter: &'a Element<'_>) -> Option<&'a str> {
    parameter.first("content").unwrap().attribute("default")
}

pub fn kind<'a>(parameter: &'a Element<'_>) -> &'a str {
    parameter.first("content").unwrap().attribute("type").unwrap()
}

/// A document without its DOCTYPE, which our own reader does not take.
pub fn without_doctype(document: &str) -> String {
    match (document.split_once("<!DOCTYPE"), document.split_once("]>\n")) {
        (Some((before, _)), Some((_, behind))) => format!("{before}{behind}"),
        _ => document.to_owned(),
    }
}
