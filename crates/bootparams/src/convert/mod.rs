//! Does the OS's configuration come out of a tree of values?
//!
//! The OS turns what it has read (a file, or the command line laid over the defaults) into its structures by
//! writing it as YAML and reading that again (`util.Convert`), so a value is judged by the text it is written as.
//! This is the same walk over the schema, with the endings of the genuine code: a structure that takes the value, an
//! error that refuses the whole, or a panic. There is nothing about single keys here; [`crate::schema`] has the types.
//!
//! Left out: what the values mean. That is for `check`.

mod compose;
mod written;

use std::{collections::HashMap, fmt, ops::Range};

use written::{Written, carried};
pub(crate) use written::{as_text, garbles};

use crate::{
    check::SCHEMA,
    os::Os,
    schema::{Key, Schema, Type},
    tree::ConfigValue,
    yaml::{
        self,
        document::{Data, MapEntry, ValueTree},
    },
};

/// How the OS takes a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigVerdict {
    /// It holds what was written.
    Ok,
    /// An error: a file is skipped as a whole; with a command line PID 1 gives up.
    Refused(String),
    /// PID 1 panics on the way.
    Panic(String),
}

impl ConfigVerdict {
    /// The word that the vectors have for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused(_) => "refused",
            Self::Panic(_) => "panic",
        }
    }
}

/// The OS's own words, without the position in a text that the user never sees.
impl fmt::Display for ConfigVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Refused(words) | Self::Panic(words) => f.write_str(words),
        }
    }
}

/// A value that does not go into its place.
#[derive(Clone, Debug)]
pub(crate) struct Misfit {
    /// Where the value stands.
    pub(crate) span: Range<usize>,
    /// The names on the way to its key.
    pub(crate) path: Vec<String>,
    /// The key; none where it is not a key's type that is broken.
    pub(crate) key: Option<&'static Key>,
    /// What kind of value it is.
    pub(crate) kind: &'static str,
    /// It is part of the key's value.
    pub(crate) inside: bool,
    pub(crate) verdict: ConfigVerdict,
}

/// Everything in a tree that does not go into the structures of `os`, in the order in which it comes upon it.
pub(crate) fn misfits(tree: &ValueTree, os: Os) -> Vec<Misfit> {
    let mut c = Converter { os, path: Vec::new(), key: None, inside: false, found: Vec::new() };
    c.write(tree);
    c.fill(&SCHEMA, tree);
    c.found
}

/// How the OS takes a tree: the ending that it comes upon first. Null pointers are followed when all is read.
pub(crate) fn verdict(tree: &ValueTree, os: Os) -> ConfigVerdict {
    let found = misfits(tree, os);
    let first = found.iter().find(|m| m.verdict != null_pointer()).or(found.first());
    first.map_or(ConfigVerdict::Ok, |m| m.verdict.clone())
}

fn null_pointer() -> ConfigVerdict {
    ConfigVerdict::Panic("runtime error: invalid memory address or nil pointer dereference".to_owned())
}

fn refused(words: impl Into<String>) -> ConfigVerdict {
    ConfigVerdict::Refused(words.into())
}

fn unhashable(kind: &str) -> ConfigVerdict {
    ConfigVerdict::Panic(format!("runtime error: hash of unhashable type {kind}"))
}

struct Converter {
    os: Os,
    path: Vec<String>,
    key: Option<&'static Key>,
    /// Below the value of `key`.
    inside: bool,
    found: Vec<Misfit>,
}

impl Converter {
    fn misfit(&mut self, tree: &ValueTree, verdict: ConfigVerdict) {
        let (span, kind) = (tree.span.clone(), tree.kind());
        let (path, key, inside) = (self.path.clone(), self.key, self.inside);
        self.found.push(Misfit { span, path, key, kind, inside, verdict });
    }

    /// The first half: everything is written as YAML, what no key wants as well.
    fn write(&mut self, tree: &ValueTree) {
        match &tree.data {
            Data::Scalar(ConfigValue::Str(text), _) => self.text(tree, text),
            Data::Scalar(..) => {}
            Data::List(list) => list.iter().for_each(|item| self.write(item)),
            Data::Map(map) => {
                for entry in ordered(map) {
                    self.path.push(entry.name());
                    if matches!(&entry.key, ConfigValue::Float(f) if f.is_nan()) {
                        self.misfit(
                            &entry.value,
                            refused("reflect: call of reflect.Value.Type on zero Value"),
                        );
                    }
                    if let ConfigValue::Str(text) = &entry.key {
                        self.text(&entry.value, text);
                    }
                    self.write(&entry.value);
                    self.path.pop();
                }
            }
        }
    }

    fn text(&mut self, tree: &ValueTree, text: &str) {
        if let Err(words) = carried(text) {
            self.misfit(tree, refused(words));
        }
    }

    /// The second half: a value into the structure's field or the map's element of `schema`.
    fn fill(&mut self, schema: &'static Schema, tree: &ValueTree) {
        let outer = (self.key, self.inside);
        (self.key, self.inside) = (schema.key(), false);
        match schema.key().map_or(Type::Map, |key| key.row.ty) {
            Type::Map => self.map(schema, tree),
            Type::Maps => {
                self.list(tree, "[]config.File", |c, item| c.fill_element(schema, item));
            }
            // These two are not part of the configuration.
            Type::Password | Type::Terminal => self.skip(tree),
            ty => self.value(ty, tree),
        }
        (self.key, self.inside) = outer;
    }

    /// An element of a list of structures. The list's own key is what it breaks.
    fn fill_element(&mut self, schema: &'static Schema, item: &ValueTree) {
        let Some(element) = schema.child("*") else { return };
        self.map(element, item);
    }

    fn map(&mut self, schema: &'static Schema, tree: &ValueTree) {
        match &tree.data {
            Data::Map(map) => {
                for entry in ordered(map) {
                    let name = Written::of(&entry.key).string();
                    let known = |s: &&Schema| s.key().is_none_or(|k| k.known_to(self.os));
                    let child = schema.child(&name).filter(known);
                    self.path.push(name);
                    match child {
                        Some(child) => self.fill(child, &entry.value),
                        None => self.skip(&entry.value),
                    }
                    self.path.pop();
                }
            }
            Data::List(_) => self.misfit(tree, refused(NO_LIST)),
            Data::Scalar(node, _) => {
                let text = Written::of(node);
                if text.is_null() {
                    if schema.key().is_some_and(|k| k.row.followed) {
                        self.misfit(tree, null_pointer());
                    }
                } else if schema.takes_any_name() {
                    let words = format!("Unknown resolution for '{}' using <", text.text);
                    self.misfit(tree, refused(words));
                } else if matches!(yaml::plain(&text.text), ConfigValue::Time(_)) {
                    let words = "reflect.Set: value of type time.Time is not assignable to type";
                    self.misfit(tree, refused(words));
                } else {
                    self.misfit(tree, refused(format!("Invalid timestamp: '{}'", text.text)));
                }
            }
        }
    }

    fn list(&mut self, tree: &ValueTree, go_type: &str, mut element: impl FnMut(&mut Self, &ValueTree)) {
        match &tree.data {
            Data::List(list) => {
                let outer = std::mem::replace(&mut self.inside, true);
                list.iter().for_each(|item| element(self, item));
                self.inside = outer;
            }
            Data::Map(_) => self.misfit(tree, refused(NO_MAP)),
            Data::Scalar(node, _) => {
                let text = Written::of(node);
                if !text.is_null() {
                    let words = format!("Cannot resolve {} into <{go_type} Value>", text.text);
                    self.misfit(tree, refused(words));
                }
            }
        }
    }

    fn value(&mut self, ty: Type, tree: &ValueTree) {
        match ty {
            Type::Bool | Type::Int | Type::Text => self.scalar(ty, tree),
            Type::List => self.list(tree, "[]string", |c, item| c.scalar(Type::Text, item)),
            Type::Lists => self.list(tree, "[][]string", |c, list| {
                c.list(list, "[]string", |c, item| c.scalar(Type::Text, item));
            }),
            Type::Commands => self.list(tree, "[]yaml.StringandSlice", |c, item| {
                c.unmarshal(item, compose::string_and_slice);
            }),
            Type::Command => self.unmarshal(tree, compose::command),
            Type::TextOrList => self.unmarshal(tree, compose::string_or_slice),
            Type::Assignments => self.unmarshal(tree, compose::map_or_slice),
            Type::Labels => self.unmarshal(tree, compose::slice_or_map),
            Type::Limits => self.unmarshal(tree, compose::ulimits),
            Type::Map | Type::Maps | Type::Password | Type::Terminal => {}
        }
    }

    fn scalar(&mut self, ty: Type, tree: &ValueTree) {
        let Data::Scalar(node, _) = &tree.data else {
            let words = if matches!(tree.data, Data::List(_)) { NO_LIST } else { NO_MAP };
            return self.misfit(tree, refused(words));
        };
        let text = Written::of(node);
        if text.is_null() {
            return;
        }
        let verdict = match ty {
            Type::Bool if yaml::boolean(&text.text).is_none() => {
                refused(format!("Invalid boolean: '{}'", text.text))
            }
            // The reader looks at the first byte without asking whether there is one.
            Type::Int if text.text.bytes().all(|b| b == b'_') => {
                ConfigVerdict::Panic("runtime error: index out of range [0] with length 0".to_owned())
            }
            Type::Int if yaml::gonum::int(&text.text).is_none() => {
                refused(format!("Invalid integer: '{}'", text.text))
            }
            _ => return,
        };
        self.misfit(tree, verdict);
    }

    /// A type that reads itself from whatever the value is.
    fn unmarshal(&mut self, tree: &ValueTree, read: fn(&ValueTree) -> Result<(), compose::TypeMismatch>) {
        // The outermost scalar is null even if it was quoted.
        let read_again = match &tree.data {
            Data::Scalar(node, _) if Written::of(node).is_null() => Ok(ValueTree::scalar(ConfigValue::Null)),
            _ => again(tree),
        };
        match read_again {
            Err((span, verdict)) => self.misfit(&ValueTree { span, ..tree.clone() }, verdict),
            Ok(value) => {
                if let Err(wrong) = read(&value) {
                    let (key, inside) = (self.key, self.inside || wrong.inside);
                    let path = self.path.clone();
                    let (span, kind, verdict) = (wrong.span, wrong.kind, refused(wrong.words));
                    let span = if span.is_empty() { tree.span.clone() } else { span };
                    self.found.push(Misfit { span, path, key, kind, inside, verdict });
                }
            }
        }
    }

    /// What no key wants is read all the same.
    fn skip(&mut self, tree: &ValueTree) {
        if let Err((span, verdict)) = again(tree) {
            let key = self.key.take();
            self.misfit(&ValueTree { span, ..tree.clone() }, verdict);
            self.key = key;
        }
    }
}

const NO_LIST: &str = "Expected an array, slice or interface{} but was a";
const NO_MAP: &str = "Expected a struct or map but was a";

/// The value after it was written and read, where no type says what it should be.
fn again(tree: &ValueTree) -> Result<ValueTree, (Range<usize>, ConfigVerdict)> {
    let data = match &tree.data {
        Data::Scalar(node, text) => Data::Scalar(Written::of(node).read(), text.clone()),
        Data::List(list) => Data::List(list.iter().map(again).collect::<Result<_, _>>()?),
        Data::Map(map) => {
            let entry = |entry: &MapEntry| {
                let key = Written::of(&entry.key).read();
                let value = again(&entry.value)?;
                if matches!(key, ConfigValue::Bytes(_)) {
                    return Err((entry.span.clone(), unhashable("[]uint8")));
                }
                Ok(MapEntry { span: entry.span.clone(), key, value })
            };
            Data::Map(ordered(map).into_iter().map(entry).collect::<Result<_, _>>()?)
        }
    };
    Ok(ValueTree { span: tree.span.clone(), data })
}

/// The entries that count, in the order in which the encoder writes them.
fn ordered(map: &[MapEntry]) -> Vec<&MapEntry> {
    let mut last: HashMap<(u8, String), usize> = HashMap::with_capacity(map.len());
    for (i, entry) in map.iter().enumerate() {
        last.insert((kind_rank(&entry.key), entry.name()), i);
    }
    let mut entries: Vec<_> = last.into_iter().collect();
    entries.sort();
    entries.into_iter().map(|(_, i)| &map[i]).collect()
}

/// The place of a Go type among `reflect`'s kinds.
fn kind_rank(key: &ConfigValue) -> u8 {
    match key {
        ConfigValue::Null => 0,
        ConfigValue::Bool(_) => 1,
        ConfigValue::Int(_) => 6,
        ConfigValue::Float(_) => 14,
        ConfigValue::Map(_) => 21,
        ConfigValue::List(_) | ConfigValue::Bytes(_) => 23,
        ConfigValue::Str(_) => 24,
        ConfigValue::Time(_) => 25,
    }
}
