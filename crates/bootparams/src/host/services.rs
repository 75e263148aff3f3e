//! `rancher.services`: containers that run at boot, as `docker run`.

use std::collections::BTreeMap;

use super::{
    Host,
    take::{self, TakeResult, text},
    walk::{flag, list},
};
use crate::yaml::document::{Data, ValueTree};

/// What an option of `docker run` is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The image itself.
    Image,
    /// The words behind the image.
    Command,
    /// One text.
    Text,
    /// Nothing: the option is there or not.
    Flag,
    /// A text each time.
    List,
    /// `A=b` each time, also written as a map.
    Pairs,
}

/// A container.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    pub(super) image: Option<String>,
    command: Vec<String>,
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
        Shape::Flag => flag(value)?.then(String::new).into_iter().collect(),
        Shape::List => list(value)?,
        Shape::Command => list(value).or_else(|()| shell(value))?,
        Shape::Pairs => pairs(value)?,
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
        _ => {
            service.options.insert(option, words);
        }
    }
    Ok(Vec::new())
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

impl Service {
    /// The words of `docker run`, without those that the system adds; `None` without an image.
    pub(super) fn words(&self) -> Option<Vec<String>> {
        let image = self.image.as_ref()?;
        let mut words = Vec::new();
        for (option, values) in &self.options {
            for value in values {
                // One word, so that a value with a leading dash is not taken for an option.
                words.push(if value.is_empty() { (*option).to_owned() } else { format!("{option}={value}") });
            }
        }
        words.push(image.clone());
        words.extend(self.command.iter().cloned());
        Some(words)
    }
}
