//! Types that read themselves: libcompose's, and the commands of `runcmd`. Unlike a plain field they take texts only
//! where they say so; a number or a truth value is not turned into one.

use std::ops::Range;

use crate::{
    tree::Node,
    yaml::document::{Data, Entry, Tree},
};

/// What such a type does not take.
pub(super) struct Wrong {
    pub(super) span: Range<usize>,
    pub(super) kind: &'static str,
    /// It is an element of the value.
    pub(super) inside: bool,
    pub(super) words: String,
}

type Result = std::result::Result<(), Wrong>;

fn wrong(tree: &Tree, words: impl Into<String>) -> Wrong {
    Wrong { span: tree.span.clone(), kind: tree.kind(), inside: false, words: words.into() }
}

fn not_a_string(tree: &Tree) -> Wrong {
    let node = tree.node();
    let words = format!("Cannot unmarshal '{node}' of type {} into a string value", go_type(&node));
    Wrong { inside: true, ..wrong(tree, words) }
}

fn text(tree: &Tree) -> Option<&str> {
    match &tree.data {
        Data::Scalar(Node::Str(text), _) => Some(text),
        _ => None,
    }
}

/// A list of texts.
fn strings(list: &[Tree]) -> Result {
    list.iter().try_for_each(|item| text(item).map(|_| ()).ok_or_else(|| not_a_string(item)))
}

/// A list of texts, or a text.
fn text_or_strings(tree: &Tree, name: &str) -> Result {
    match &tree.data {
        Data::List(list) => strings(list),
        _ if text(tree).is_some() => Ok(()),
        _ => Err(wrong(tree, format!("Failed to unmarshal {name}: "))),
    }
}

pub(super) fn string_and_slice(tree: &Tree) -> Result {
    text_or_strings(tree, "StringandSlice")
}

pub(super) fn string_or_slice(tree: &Tree) -> Result {
    text_or_strings(tree, "Stringorslice")
}

pub(super) fn command(tree: &Tree) -> Result {
    text_or_strings(tree, "Command")?;
    text(tree).map_or(Ok(()), |text| split(text).map_err(|words| wrong(tree, words)))
}

fn key(entry: &Entry) -> Result {
    if matches!(entry.key, Node::Str(_)) {
        return Ok(());
    }
    Err(not_a_string(&Tree { span: entry.span.clone(), ..Tree::scalar(entry.key.clone()) }))
}

pub(super) fn map_or_slice(tree: &Tree) -> Result {
    match &tree.data {
        Data::List(list) => strings(list),
        Data::Map(map) => map.iter().try_for_each(|entry| {
            key(entry)?;
            let number = matches!(entry.value.data, Data::Scalar(Node::Int(_), _));
            if number || text(&entry.value).is_some() { Ok(()) } else { Err(not_a_string(&entry.value)) }
        }),
        Data::Scalar(..) => Err(wrong(tree, "Failed to unmarshal Map or Slice: ")),
    }
}

pub(super) fn slice_or_map(tree: &Tree) -> Result {
    match &tree.data {
        Data::List(list) => strings(list),
        Data::Map(map) => map.iter().try_for_each(|entry| {
            key(entry)?;
            text(&entry.value).map(|_| ()).ok_or_else(|| not_a_string(&entry.value))
        }),
        Data::Scalar(..) => Err(wrong(tree, "Failed to unmarshal SliceorMap: ")),
    }
}

pub(super) fn ulimits(tree: &Tree) -> Result {
    let Data::Map(map) = &tree.data else { return Err(wrong(tree, "Failed to unmarshal Ulimit: ")) };
    map.iter().try_for_each(|entry| ulimit(&entry.value).map_err(|w| Wrong { inside: true, ..w }))
}

fn ulimit(tree: &Tree) -> Result {
    match &tree.data {
        Data::Scalar(Node::Int(_), _) => Ok(()),
        Data::Map(map) if map.len() == 2 => map.iter().try_for_each(|entry| {
            let named = matches!(&entry.key, Node::Str(name) if name == "soft" || name == "hard");
            match &entry.value.data {
                Data::Scalar(Node::Int(_), _) => Ok(()),
                _ if !named => Ok(()),
                _ => Err(wrong(&entry.value, "reflect: call of reflect.Value.Int on ")),
            }
        }),
        _ => Err(wrong(tree, "Failed to unmarshal Ulimit: ")),
    }
}

fn go_type(node: &Node) -> &'static str {
    match node {
        Node::Null => "<nil>",
        Node::Bool(_) => "bool",
        Node::Int(_) => "int64",
        Node::Float(_) => "float64",
        Node::Str(_) => "string",
        Node::Time(_) => "time.Time",
        Node::Bytes(_) => "[]uint8",
        Node::List(_) => "[]interface {}",
        Node::Map(_) => "map[interface {}]interface {}",
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Word,
    Escaping,
    EscapingQuoted,
    DoubleQuoted,
    Quoted,
    Comment,
}

/// Whether a command can be taken apart as a shell would (go-shlex); its words for why not. Outside of quotes it
/// knows ASCII only.
fn split(text: &str) -> std::result::Result<(), String> {
    let mut state = State::Start;
    for c in text.chars() {
        let known = matches!(c, ' '..='~' | '\t' | '\r' | '\n') && c != '`';
        let space = matches!(c, ' ' | '\t' | '\r' | '\n');
        state = match (state, c) {
            (State::Comment, '\n') => State::Start,
            (State::Comment, _) => State::Comment,
            (State::DoubleQuoted, '\\') => State::EscapingQuoted,
            (State::DoubleQuoted, '"') | (State::Quoted, '\'') => State::Word,
            (State::DoubleQuoted | State::Quoted, _) => state,
            (State::Start, c) if !known => return Err(format!("Unknown rune: {}", u32::from(c))),
            (_, c) if !known => return Err(format!("Uknown rune: {}", u32::from(c))),
            (State::Escaping, _) => State::Word,
            (State::EscapingQuoted, _) => State::DoubleQuoted,
            (State::Start, '#') => State::Comment,
            (_, '"') => State::DoubleQuoted,
            (_, '\'') => State::Quoted,
            (_, '\\') => State::Escaping,
            _ if space => State::Start,
            _ => State::Word,
        };
    }
    match state {
        State::Start | State::Word | State::Comment => Ok(()),
        State::Escaping | State::EscapingQuoted => Err("EOF found after escape character".to_owned()),
        State::DoubleQuoted | State::Quoted => Err("EOF found when expecting closing quote.".to_owned()),
    }
}
