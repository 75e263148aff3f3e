//! `rancher.services`: containers that run at boot, as `docker run`.

use std::collections::BTreeMap;

use super::{
    Host,
    take::{self, TakeResult, text},
    walk::{flag, list, number},
};
use crate::yaml::document::{Data, ValueTree};

/// What an option of `docker run` is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The image itself.
    Image,
    /// The words behind the image.
    Command,
    /// A program, and the first of the words behind the image.
    Entrypoint,
    /// One text.
    Text,
    /// An integer.
    Number,
    /// Nothing: the option is there or not.
    Flag,
    /// A text each time.
    List,
    /// As [`Self::List`], or one text.
    Texts,
    /// `A=b` each time, also written as a map.
    Pairs,
    /// One `A=b`, whose `A` is the last name of the path.
    Pair,
    /// A map of limits: a number each, or its `soft` and `hard` ones.
    Limits,
}

/// A container.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    pub(super) image: Option<String>,
    /// What the entry point's program gets before the command.
    leading: Vec<String>,
    command: Vec<String>,
    /// The whole words of each option.
    options: BTreeMap<&'static str, Vec<String>>,
}

/// Takes one option of one service; `Err` when the value is of another type.
pub(super) fn take(
    host: &mut Host,
    names: &[&str],
    option: &'static str,
    shape: Shape,
    value: &ValueTree,
) -> Result<TakeResult, ()> {
    let name = names.first().copied().unwrap_or_default();
    let words = match shape {
        Shape::Image | Shape::Text => vec![text(value).ok_or(())?],
        Shape::Number => vec![number(value)?.to_string()],
        Shape::Flag => flag(value)?.then(|| option.to_owned()).into_iter().collect(),
        Shape::List => list(value)?,
        Shape::Texts => list(value).or_else(|()| Ok(vec![text(value).ok_or(())?]))?,
        Shape::Command | Shape::Entrypoint => list(value).or_else(|()| shell(value))?,
        Shape::Pairs => pairs(value)?,
        Shape::Pair => vec![format!("{}={}", names.last().unwrap_or(&""), text(value).ok_or(())?)],
        Shape::Limits => limits(value)?,
    };
    let first = |c: char| c.is_ascii_alphanumeric();
    if !take::plain(name, "_.-") || !name.starts_with(first) {
        return Ok(vec![format!("`{}` cannot be a container's name", name.escape_debug())]);
    }
    if words.iter().any(|w| w.contains('\0')) {
        return Ok(vec!["it has a zero byte".to_owned()]);
    }
    let service = host.services.entry(name.to_owned()).or_default();
    match shape {
        Shape::Image
            if words[0].is_empty() || words[0].starts_with('-') || words[0].contains(char::is_whitespace) =>
        {
            return Ok(vec!["it is not the name of an image".to_owned()]);
        }
        Shape::Image => service.image = words.into_iter().next(),
        Shape::Command => service.command = words,
        Shape::Entrypoint => {
            let mut words = words.into_iter();
            service
                .options
                .insert(option, words.next().map(|w| with_value(option, &w)).into_iter().collect());
            service.leading = words.collect();
        }
        Shape::Flag => {
            service.options.insert(option, words);
        }
        Shape::Pair => {
            let own = format!("{option}={}=", names.last().unwrap_or(&""));
            let all = service.options.entry(option).or_default();
            all.retain(|word| !word.starts_with(&own));
            all.extend(words.iter().map(|w| with_value(option, w)));
        }
        _ => {
            service.options.insert(option, words.iter().map(|w| with_value(option, w)).collect());
        }
    }
    Ok(Vec::new())
}

/// One word, so that a value is never taken for an option, nor the next option for its value.
fn with_value(option: &str, value: &str) -> String {
    format!("{option}={value}")
}

/// A command as one text is split at blanks; quotes keep together, as in compose.
fn shell(value: &ValueTree) -> Result<Vec<String>, ()> {
    let text = text(value).ok_or(())?;
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn pairs(value: &ValueTree) -> Result<Vec<String>, ()> {
    let Data::Map(entries) = &value.data else { return list(value) };
    entries.iter().map(|e| Ok(format!("{}={}", e.name(), text(&e.value).ok_or(())?))).collect()
}

fn limits(value: &ValueTree) -> Result<Vec<String>, ()> {
    let Data::Map(entries) = &value.data else { return Err(()) };
    let limit = |value: &ValueTree| match &value.data {
        Data::Map(both) => {
            let get = |name: &str| number(&both.iter().rfind(|e| e.name() == name).ok_or(())?.value);
            Ok(format!("{}:{}", get("soft")?, get("hard")?))
        }
        _ => number(value).map(|n| n.to_string()),
    };
    entries.iter().map(|e| Ok(format!("{}={}", e.name(), limit(&e.value)?))).collect()
}

impl Service {
    /// The words of `docker run`, without those that the system adds; `None` without an image.
    pub(super) fn words(&self) -> Option<Vec<String>> {
        let image = self.image.as_ref()?;
        let options = self.options.values().flatten();
        let words = options.chain([image]).chain(&self.leading).chain(&self.command);
        Some(words.cloned().collect())
    }
}
