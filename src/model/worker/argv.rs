// SPDX-License-Identifier: GPL-2.0-or-later
//! A request as arguments, and arguments as a request: both by way of serde, so that the two sides cannot differ. Pure.

use super::{Ask, DomainVerb, HostVerb, Request, Who};
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::str::FromStr;
use std::time::Duration;

impl Request {
    /// About the host at `uri`.
    pub fn host(uri: impl Into<String>, verb: HostVerb) -> Self {
        Self { uri: uri.into(), ask: Ask::Host(verb), timeout: None, parent: None }
    }

    /// About a domain at `uri`.
    pub fn domain(uri: impl Into<String>, who: Who, verb: DomainVerb) -> Self {
        Self { uri: uri.into(), ask: Ask::Domain(who, verb), timeout: None, parent: None }
    }

    /// The worker's arguments, its own name not included.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        let mut options = vec![format!("--uri={}", self.uri)];
        let verb = match &self.ask {
            Ask::Host(verb) => serde_json::to_value(verb),
            Ask::Domain(who, verb) => {
                options.push(match who {
                    Who::Uuid(uuid) => format!("--uuid={uuid}"),
                    Who::Name(name) => format!("--name={name}"),
                });
                serde_json::to_value(verb)
            }
        };
        if let Some(timeout) = self.timeout {
            options.push(format!("--timeout-ms={}", timeout.as_millis()));
        }
        if let Some(parent) = self.parent {
            options.push(format!("--parent={parent}"));
        }
        let (mut argv, fields) = match verb {
            Ok(Value::String(name)) => (vec![name], Map::new()),
            Ok(Value::Object(verb)) => match verb.into_iter().next() {
                Some((name, Value::Object(fields))) => (vec![name], fields),
                _ => (Vec::new(), Map::new()),
            },
            _ => (Vec::new(), Map::new()),
        };
        argv.append(&mut options);
        argv.extend(fields.into_iter().filter_map(|(key, value)| match value {
            Value::Bool(true) => Some(format!("--{key}")),
            Value::String(text) => Some(format!("--{key}={text}")),
            Value::Number(number) => Some(format!("--{key}={number}")),
            Value::Bool(false) | Value::Null | Value::Array(_) | Value::Object(_) => None,
        }));
        argv
    }

    /// The request that `arguments` make. Values may follow `=` or be the next argument.
    ///
    /// # Errors
    /// A sentence that says what is wrong with them.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter().peekable();
        let verb = arguments.next().filter(|verb| !verb.starts_with('-')).ok_or("the first argument is a verb")?;
        let mut options = Map::new();
        while let Some(argument) = arguments.next() {
            let option = argument.strip_prefix("--").ok_or_else(|| format!("\"{argument}\" is not an option"))?;
            let (key, value) = match option.split_once('=') {
                Some((key, value)) => (key, Value::String(value.into())),
                None => match arguments.next_if(|next| !next.starts_with("--")) {
                    Some(value) => (option, Value::String(value)),
                    None => (option, Value::Bool(true)),
                },
            };
            if options.insert(key.into(), value).is_some() {
                return Err(format!("--{key} is given twice"));
            }
        }
        let uri = take(&mut options, "uri")?.ok_or("--uri is missing")?;
        let timeout = take(&mut options, "timeout-ms")?.map(|ms| number("timeout-ms", &ms)).transpose()?;
        let parent = take(&mut options, "parent")?.map(|pid| number("parent", &pid)).transpose()?;
        let ask = match (take(&mut options, "uuid")?, take(&mut options, "name")?) {
            (None, None) => {
                Ask::Host(parse_verb(&verb, options).map_err(|why| format!("{verb} without --uuid or --name: {why}"))?)
            }
            (Some(uuid), None) => Ask::Domain(Who::Uuid(uuid), parse_verb(&verb, options)?),
            (None, Some(name)) => Ask::Domain(Who::Name(name), parse_verb(&verb, options)?),
            (Some(_), Some(_)) => return Err("--uuid and --name exclude each other".into()),
        };
        Ok(Self { uri, ask, timeout: timeout.map(Duration::from_millis), parent })
    }

    /// What to write to the worker's standard input before it can begin.
    #[must_use]
    pub fn input(&self) -> Option<&str> {
        match &self.ask {
            Ask::Host(HostVerb::Create { xml } | HostVerb::Check { xml })
            | Ask::Domain(_, DomainVerb::SetMark { xml }) => Some(xml),
            Ask::Host(_) | Ask::Domain(..) => None,
        }
    }

    /// Where the worker puts what it reads from its standard input; nothing is read without it.
    pub fn input_mut(&mut self) -> Option<&mut String> {
        match &mut self.ask {
            Ask::Host(HostVerb::Create { xml } | HostVerb::Check { xml })
            | Ask::Domain(_, DomainVerb::SetMark { xml }) => Some(xml),
            Ask::Host(_) | Ask::Domain(..) => None,
        }
    }
}

fn parse_verb<T: DeserializeOwned>(verb: &str, options: Map<String, Value>) -> Result<T, String> {
    let of = |fields| T::deserialize(Value::Object(Map::from_iter([(verb.to_owned(), fields)])));
    // A verb without options is a bare word in serde's eyes, and one whose options are all left out is not.
    match of(Value::Null) {
        Ok(verb) if options.is_empty() => Ok(verb),
        Ok(_) => Err(format!("no such options: --{}", Vec::from_iter(options.keys().cloned()).join(", --"))),
        Err(_) => of(Value::Object(options)).map_err(|why| why.to_string()),
    }
}

fn take(options: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match options.remove(key) {
        None => Ok(None),
        Some(Value::String(value)) if !value.is_empty() => Ok(Some(value)),
        Some(_) => Err(format!("--{key} needs a value")),
    }
}

fn number<T: FromStr>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("--{key} is a whole number, not \"{value}\""))
}

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
