//! From values with places to the table's rows.

use std::ops::Range;

use super::{
    Host, refused, services,
    table::{Handler, TableMatch, find},
    take::text,
};
use crate::{
    check::nearest,
    line::{self, Word},
    os::Dialect,
    tree::ConfigValue,
    yaml::{
        self,
        document::{Data, MapEntry, ValueTree},
    },
};

/// Something that is not taken.
pub(crate) struct HostRefusal {
    /// The bytes of the text that it is about.
    pub(crate) span: Range<usize>,
    /// What and why; holds no secret.
    pub(crate) message: String,
    /// Which part of it.
    pub(crate) part: RefusedPart,
}

/// What of a setting is not taken.
#[derive(Clone, Copy)]
pub(crate) enum RefusedPart {
    /// The key: this system has none of that name.
    Key,
    /// The value.
    Value,
    /// The value of a key whose row has this example.
    ValueLike(&'static str),
}

/// Takes what a word of a command line sets.
pub(crate) fn setting(host: &mut Host, word: &Word, dialect: Dialect) -> Vec<HostRefusal> {
    let Some(path) = word.path(dialect) else { return Vec::new() };
    let written = word.value().unwrap_or("true");
    let value = match line::value(written, dialect) {
        Ok(node) => from_line(node, written, &word.span),
        Err(crash) => {
            let message = format!("`{path}`: {crash}");
            return vec![HostRefusal { span: word.span.clone(), message, part: RefusedPart::Value }];
        }
    };
    let mut out = Vec::new();
    let path: Vec<&str> = path.split('.').collect();
    Walk { host, null_is_unset: false, out: &mut out }.entry(&path, &word.span, &value);
    out
}

/// A value of the line; a scalar that is not a string keeps its text as it is written.
fn from_line(node: ConfigValue, written: &str, span: &Range<usize>) -> ValueTree {
    let data = match node {
        ConfigValue::Str(text) => Data::Scalar(ConfigValue::Str(text.clone()), text),
        ConfigValue::List(list) => Data::List(list.into_iter().map(|n| from_line(n, "", span)).collect()),
        ConfigValue::Map(map) => {
            let entry = |(key, value)| {
                let value = from_line(value, "", span);
                MapEntry { span: span.clone(), key: ConfigValue::Str(key), value }
            };
            Data::Map(map.into_iter().map(entry).collect())
        }
        other if written.is_empty() => {
            let text = crate::convert::as_text(&other).unwrap_or_default();
            Data::Scalar(other, text)
        }
        other => Data::Scalar(other, written.to_owned()),
    };
    ValueTree { span: span.clone(), data }
}

/// Takes what a cloud-config sets.
pub(crate) fn tree(host: &mut Host, root: &ValueTree) -> Vec<HostRefusal> {
    let mut out = Vec::new();
    match &root.data {
        Data::Map(_) => Walk { host, null_is_unset: true, out: &mut out }.map(root, &[]),
        Data::Scalar(ConfigValue::Null, _) => {}
        _ => {
            let message = format!("a cloud-config is a map, and this is {}", root.node().kind());
            out.push(HostRefusal { span: root.span.clone(), message, part: RefusedPart::Value });
        }
    }
    out
}

struct Walk<'a> {
    host: &'a mut Host,
    /// Whether a key without a value says nothing, as in a file; on the line it may be a text that YAML takes for null.
    null_is_unset: bool,
    out: &'a mut Vec<HostRefusal>,
}

impl Walk<'_> {
    fn map(&mut self, tree: &ValueTree, path: &[&str]) {
        let Data::Map(entries) = &tree.data else { return };
        for MapEntry { span, key, value } in entries {
            let name = key.to_string();
            let path: Vec<&str> = path.iter().copied().chain([name.as_str()]).collect();
            self.entry(&path, span, value);
        }
    }

    fn entry(&mut self, path: &[&str], span: &Range<usize>, value: &ValueTree) {
        let name = path.join(".").escape_debug().to_string();
        let null = matches!(value.data, Data::Scalar(ConfigValue::Null, _));
        match find(path) {
            TableMatch::Row(..) if null && self.null_is_unset => {}
            TableMatch::Row(row, names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let part = RefusedPart::ValueLike(row.example);
                match take(self.host, row.handler, &names, value) {
                    Ok(said) => {
                        said.iter().for_each(|s| self.refuse(&value.span, format!("`{name}`: {s}"), part))
                    }
                    Err(()) => {
                        let (want, have) = (row.handler.name(), value.node().kind());
                        self.refuse(&value.span, format!("`{name}` takes a {want}, not {have}"), part);
                    }
                }
            }
            TableMatch::Group => match &value.data {
                Data::Map(_) => self.map(value, path),
                Data::Scalar(ConfigValue::Null, _) => {}
                _ => {
                    let have = value.node().kind();
                    self.refuse(
                        &value.span,
                        format!("`{name}` takes keys below it, not {have}"),
                        RefusedPart::Value,
                    );
                }
            },
            TableMatch::Unknown(near) => {
                let near = || nearest(path.last().copied().unwrap_or_default(), &near).map(str::to_owned);
                let meant = |name: String| format!("did you mean `{name}`?");
                let reason = refused::reason(path)
                    .map(str::to_owned)
                    .or_else(|| refused::elsewhere(path).or_else(near).map(meant))
                    .unwrap_or_else(|| "this system has no such key".to_owned());
                self.refuse(span, format!("`{name}` is not taken: {reason}"), RefusedPart::Key);
            }
        }
    }

    fn refuse(&mut self, span: &Range<usize>, message: String, part: RefusedPart) {
        self.out.push(HostRefusal { span: span.clone(), message, part });
    }
}

/// Hands a value to its row; `Err` when it is of another type.
fn take(host: &mut Host, handler: Handler, names: &[&str], value: &ValueTree) -> Result<Vec<String>, ()> {
    Ok(match handler {
        Handler::Flag(f) => f(host, names, flag(value)?),
        Handler::Number(f) => f(host, names, number(value)?),
        Handler::Text(f) => f(host, names, text(value).ok_or(())?),
        Handler::List(f) => f(host, names, list(value)?),
        Handler::Commands(f) => f(host, commands(value)?),
        Handler::Items(f) => match &value.data {
            Data::List(items) => f(host, items),
            _ => return Err(()),
        },
        Handler::Run(option, shape) => services::take(host, names, option, shape, value)?,
    })
}

pub(super) fn flag(value: &ValueTree) -> Result<bool, ()> {
    text(value).and_then(|t| yaml::boolean(&t)).ok_or(())
}

pub(super) fn number(value: &ValueTree) -> Result<i64, ()> {
    text(value).and_then(|t| t.parse().ok()).ok_or(())
}

pub(super) fn list(value: &ValueTree) -> Result<Vec<String>, ()> {
    match &value.data {
        Data::List(items) => items.iter().map(|i| text(i).ok_or(())).collect(),
        _ => Err(()),
    }
}

/// A text is for a shell, a list is the words themselves.
fn commands(value: &ValueTree) -> Result<Vec<Vec<String>>, ()> {
    let Data::List(items) = &value.data else { return Err(()) };
    let command = |item: &ValueTree| match &item.data {
        Data::List(_) => list(item),
        _ => text(item).map(|t| vec!["sh".to_owned(), "-c".to_owned(), t]).ok_or(()),
    };
    items.iter().map(command).collect()
}
