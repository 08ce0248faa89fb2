// SPDX-License-Identifier: GPL-2.0-or-later
//! A request as arguments, and arguments as a request: both by way of serde, so that the two sides cannot differ. Pure.

use super::{Ask, HostChange, Question, Request, Who};
use crate::model::change::Change;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::str::FromStr;
use std::time::Duration;

impl Request {
    /// Asks the host at `uri` something.
    pub fn host(uri: impl Into<String>, question: Question) -> Self {
        Self { uri: uri.into(), ask: Ask::Question(None, question), timeout: None, parent: None }
    }

    /// Asks something about a domain at `uri`.
    pub fn domain(uri: impl Into<String>, who: Who, question: Question) -> Self {
        Self { uri: uri.into(), ask: Ask::Question(Some(who), question), timeout: None, parent: None }
    }

    /// Changes a domain at `uri`.
    pub fn change(uri: impl Into<String>, who: Who, change: Change) -> Self {
        Self { uri: uri.into(), ask: Ask::Change(who, change), timeout: None, parent: None }
    }

    /// Changes the host at `uri`.
    pub fn host_change(uri: impl Into<String>, change: HostChange) -> Self {
        Self { uri: uri.into(), ask: Ask::Host(change), timeout: None, parent: None }
    }

    /// The worker's arguments, its own name not included.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        let mut options = vec![format!("--uri={}", self.uri)];
        let (who, word) = match &self.ask {
            Ask::Question(who, question) => (who.as_ref(), serde_json::to_value(question)),
            Ask::Change(who, change) => (Some(who), serde_json::to_value(change)),
            Ask::Host(change) => (None, serde_json::to_value(change)),
        };
        options.extend(who.map(|who| match who {
            Who::Uuid(uuid) => format!("--uuid={uuid}"),
            Who::Name(name) => format!("--name={name}"),
        }));
        if let Some(timeout) = self.timeout {
            options.push(format!("--timeout-ms={}", timeout.as_millis()));
        }
        if let Some(parent) = self.parent {
            options.push(format!("--parent={parent}"));
        }
        let (mut argv, fields) = match word {
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
        let who = match (take(&mut options, "uuid")?, take(&mut options, "name")?) {
            (None, None) => None,
            (Some(uuid), None) => Some(Who::Uuid(uuid)),
            (None, Some(name)) => Some(Who::Name(name)),
            (Some(_), Some(_)) => return Err("--uuid and --name exclude each other".into()),
        };
        let ask = if Question::WORDS.contains(&verb.as_str()) {
            let question: Question = parse_word(&verb, options)?;
            match (who.is_some(), question.is_of_a_domain()) {
                (true, false) => return Err(format!("{verb} takes no --uuid and no --name")),
                (false, true) => return Err(format!("{verb} needs --uuid or --name")),
                (true, true) | (false, false) => Ask::Question(who, question),
            }
        } else if HostChange::WORDS.contains(&verb.as_str()) {
            if who.is_some() {
                return Err(format!("{verb} takes no --uuid and no --name"));
            }
            Ask::Host(parse_word(&verb, options)?)
        } else {
            let change = parse_word(&verb, options)?;
            Ask::Change(who.ok_or_else(|| format!("{verb} needs --uuid or --name"))?, change)
        };
        Ok(Self { uri, ask, timeout: timeout.map(Duration::from_millis), parent })
    }

    /// What to write to the worker's standard input before it can begin.
    #[must_use]
    pub fn input(&self) -> Option<&str> {
        match &self.ask {
            Ask::Question(
                _,
                Question::Check { xml, .. }
                | Question::FromNative { text: xml, .. }
                | Question::Volumes { names: xml }
                | Question::Cpu { others: xml },
            )
            | Ask::Change(_, Change::Create { xml } | Change::SetMark { xml })
            | Ask::Host(HostChange::StartResources { xml }) => Some(xml),
            Ask::Question(..) | Ask::Change(..) => None,
        }
    }

    /// Where the worker puts what it reads from its standard input; nothing is read without it.
    pub fn input_mut(&mut self) -> Option<&mut String> {
        match &mut self.ask {
            Ask::Question(
                _,
                Question::Check { xml, .. }
                | Question::FromNative { text: xml, .. }
                | Question::Volumes { names: xml }
                | Question::Cpu { others: xml },
            )
            | Ask::Change(_, Change::Create { xml } | Change::SetMark { xml })
            | Ask::Host(HostChange::StartResources { xml }) => Some(xml),
            Ask::Question(..) | Ask::Change(..) => None,
        }
    }
}

fn parse_word<T: DeserializeOwned>(verb: &str, options: Map<String, Value>) -> Result<T, String> {
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
