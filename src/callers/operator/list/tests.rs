// SPDX-License-Identifier: GPL-2.0-or-later
//! The fields of list as JSON, held against docs/JSON.md.

use super::*;

#[test]
fn the_page_on_json_has_every_field_of_list() {
    let text = || Some(String::new());
    let machine = MachineListed {
        name: String::new(),
        uuid: String::new(),
        active: true,
        state: String::new(),
        persistent: Some(true),
        autostart: Some(true),
        resource: text(),
        created_from: text(),
        unchanged: Some(true),
    };
    let host = HostListed { node: String::new(), here: true, silent: text(), machines: vec![machine] };
    let list = List { version: VERSION, hosts: vec![host], warnings: vec![String::new()] };
    crate::callers::operator::json::documented("list", VERSION, &list.json());
}
