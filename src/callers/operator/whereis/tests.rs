// SPDX-License-Identifier: GPL-2.0-or-later
//! The fields of whereis as JSON, held against docs/JSON.md.

use super::*;

#[test]
fn the_page_on_json_has_every_field_of_whereis() {
    let text = || Some(String::new());
    let mark =
        MarkSaid { resource: String::new(), source: text(), sha256: text(), started: text(), started_on: text() };
    let whereis = Whereis {
        version: VERSION,
        code: Code::Ok,
        name: text(),
        uuid: text(),
        copies: "one",
        hosts: vec![HostSaid {
            node: String::new(),
            here: true,
            standing: Some(Standing::Online),
            runs: Some(true),
            state: String::new(),
            defined: Some(true),
            sha256: text(),
            mark: Some(mark),
        }],
        file: Some(File { path: String::new(), sha256: String::new() }),
        differ: Some(true),
        warnings: vec![String::new()],
    };
    crate::callers::operator::json::documented("whereis", VERSION, &whereis.json());
}
