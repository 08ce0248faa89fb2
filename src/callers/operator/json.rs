// SPDX-License-Identifier: GPL-2.0-or-later
//! What is printed for programs: one object on one line, each with the version of its table in docs/JSON.md.

use serde::Serialize;

/// One line of JSON.
pub(super) fn line(of: &impl Serialize) -> String {
    serde_json::to_string(of).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

/// Whether docs/JSON.md has a row for each field of `line`, and no others, under the version of `verb`.
#[cfg(test)]
pub(super) fn documented(verb: &str, version: u32, line: &str) {
    use std::collections::BTreeMap;
    let page = include_str!("../../../docs/JSON.md");
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(value["version"], version);
    let mut fields = BTreeMap::new();
    walk("", &value, &mut fields);
    let part = page.split(&format!("## {verb}, version {version}\n")).nth(1);
    let part = part.unwrap_or_else(|| panic!("docs/JSON.md has no version {version} of {verb}"));
    let rows = part.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: BTreeMap<String, &str> = rows
        .map(|row| row.split_once("` | ").unwrap())
        .map(|(field, rest)| (field.to_owned(), rest.split(" | ").next().unwrap().trim_end_matches(" or null")))
        .collect();
    assert_eq!(fields, rows, "docs/JSON.md and {verb} --json differ; a field that goes or changes raises the version");

    fn walk(path: &str, value: &serde_json::Value, fields: &mut BTreeMap<String, &'static str>) {
        use serde_json::Value;
        let kind = match value {
            Value::Object(object) => {
                let name = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                object.iter().for_each(|(key, value)| walk(&name(key), value, fields));
                return;
            }
            Value::Array(all) => return all.iter().for_each(|one| walk(&format!("{path}[]"), one, fields)),
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "text",
        };
        fields.insert(path.to_owned(), kind);
    }
}
