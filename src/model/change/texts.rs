// SPDX-License-Identifier: GPL-2.0-or-later
//! Values that stand in an argument as text, in serde's eyes. Pure.

use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A number that arrives as text.
pub(super) fn text<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<T, D::Error> {
    let value = String::deserialize(deserializer)?;
    value.parse().map_err(|_| D::Error::custom(format!("a whole number, not \"{value}\"")))
}

/// A number that may arrive as text.
pub(super) fn maybe_text<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<Option<T>, D::Error> {
    text(deserializer).map(Some)
}

/// Words, joined by commas.
pub(super) mod list {
    use super::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::StrDeserializer;
    use serde::ser::{Error as _, Serializer};
    use std::collections::BTreeSet;

    pub(in super::super) fn serialize<T, S>(words: &BTreeSet<T>, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: Serialize,
        S: Serializer,
    {
        if words.is_empty() {
            return serializer.serialize_none();
        }
        let mut joined = String::new();
        for word in words {
            let word = serde_json::to_value(word).map_err(S::Error::custom)?;
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.push_str(word.as_str().unwrap_or_default());
        }
        serializer.serialize_str(&joined)
    }

    pub(in super::super) fn deserialize<'de, T, D>(deserializer: D) -> Result<BTreeSet<T>, D::Error>
    where
        T: DeserializeOwned + Ord,
        D: Deserializer<'de>,
    {
        let joined = String::deserialize(deserializer)?;
        let word = |word: &str| -> Result<T, serde::de::value::Error> {
            let word: StrDeserializer<'_, _> = word.into_deserializer();
            T::deserialize(word)
        };
        joined.split(',').filter(|text| !text.is_empty()).map(word).collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}
