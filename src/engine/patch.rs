// SPDX-License-Identifier: GPL-2.0-or-later
//! What differs between two looks, as JSON: a record tells of each look only what the one before did not. Pure.
//!
//! It rests on this: an object is a structure, whose keys are always the same, or a variant, which has a single key.

use serde_json::Value;

/// What makes `now` of `before`.
pub(super) fn changes(before: &Value, now: &Value) -> Value {
    if let (Value::Object(before), Value::Object(now)) = (before, now)
        && before.keys().eq(now.keys())
    {
        let changed = now.iter().filter_map(|(key, now)| {
            let before = before.get(key)?;
            (before != now).then(|| (key.clone(), changes(before, now)))
        });
        return Value::Object(changed.collect());
    }
    now.clone()
}

/// Makes those changes.
pub(super) fn apply(before: &mut Value, changes: Value) {
    match (before, changes) {
        (Value::Object(before), Value::Object(changes)) if changes.keys().all(|key| before.contains_key(key)) => {
            for (key, change) in changes {
                if let Some(before) = before.get_mut(&key) {
                    apply(before, change);
                }
            }
        }
        (before, now) => *before = now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_makes_the_one_of_the_other() {
        let looks = [
            json!({"name": null, "libvirt": {"Silent": {"kind": "Hung", "why": "w"}}, "left": {"secs": 9, "nanos": 1}}),
            json!({"name": "a", "libvirt": "NoDomain", "left": {"secs": 8, "nanos": 1}}),
            json!({"name": "a", "libvirt": {"Domain": {"name": "a", "peers": []}}, "left": {"secs": 8, "nanos": 1}}),
            json!({"name": null, "libvirt": {"Domain": {"name": "a", "peers": [{"b": 1}]}}, "left": {"secs": 8, "nanos": 0}}),
        ];
        for before in &looks {
            for now in &looks {
                let mut made = before.clone();
                apply(&mut made, changes(before, now));
                assert_eq!(made, *now);
            }
        }
        assert_eq!(changes(&looks[1], &looks[1]), json!({}));
        let changed = json!({"name": null, "libvirt": {"Domain": {"peers": [{"b": 1}]}}, "left": {"nanos": 0}});
        assert_eq!(changes(&looks[2], &looks[3]), changed);
    }
}
