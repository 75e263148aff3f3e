//! Types that read themselves: libcompose's, and the commands of `runcmd`. Unlike a plain field they take texts only
//! where they say so; a number or a truth value is not turned into one.

use std::ops::Range;

use crate::{
    tree::ConfigValue,
    yaml::document::{Data, MapEntry, ValueTree},
};

/// What such a type does not take.
pub(super) struct TypeMismatch {
    pub(super) span: Range<usize>,
    pub(super) kind: &'static str,
    /// It is an element of the value.
    pub(super) inside: bool,
    pub(super) words: String,
}

type ComposeResult = std::result::Result<(), TypeMismatch>;

fn wrong(tree: &ValueTree, words: impl Into<String>) -> TypeMismatch {
    TypeMismatch { span: tree.span.clone(), kind: tree.kind(), inside: false, words: words.into() }
}

fn not_a_string(tree: &ValueTree) -> TypeMismatch {
    let node = tree.node();
    let words = format!("Cannot unmarshal '{node}' of type {} into a string value", go_type(&node));
    TypeMismatch { inside: true, ..wrong(tree, words) }
}

fn text(tree: &ValueTree) -> Option<&str> {
    match &tree.data {
        Data::Scalar(ConfigValue::Str(text), _) => Some(text),
        _ => None,
    }
}

/// A list of texts.
fn strings(list: &[ValueTree]) -> ComposeResult {
    list.iter().try_for_each(|item| text(item).map(|_| ()).ok_or_else(|| not_a_string(item)))
}

/// A list of texts, or a text.
fn text_or_strings(tree: &ValueTree, name: &str) -> ComposeResult {
    match &tree.data {
        Data::List(list) => strings(list),
        _ if text(tree).is_some() => Ok(()),
        _ => Err(wrong(tree, format!("Failed to unmarshal {name}: "))),
    }
}

pub(super) fn string_and_slice(tree: &ValueTree) -> ComposeResult {
    text_or_strings(tree, "StringandSlice")
}

pub(super) fn string_or_slice(tree: &ValueTree) -> ComposeResult {
    text_or_strings(tree, "Stringorslice")
}

pub(super) fn command(tree: &ValueTree) -> ComposeResult {
    text_or_strings(tree, "Command")?;
    text(tree).map_or(Ok(()), |text| split(text).map_err(|words| wrong(tree, words)))
}

fn key(entry: &MapEntry) -> ComposeResult {
    if matches!(entry.key, ConfigValue::Str(_)) {
        return Ok(());
    }
    Err(not_a_string(&ValueTree { span: entry.span.clone(), ..ValueTree::scalar(entry.key.clone()) }))
}

pub(super) fn map_or_slice(tree: &ValueTree) -> ComposeResult {
    match &tree.data {
        Data::List(list) => strings(list),
        Data::Map(map) => map.iter().try_for_each(|entry| {
            key(entry)?;
            let number = matches!(entry.value.data, Data::Scalar(ConfigValue::Int(_), _));
            if number || text(&entry.value).is_some() { Ok(()) } else { Err(not_a_string(&entry.value)) }
        }),
        Data::Scalar(..) => Err(wrong(tree, "Failed to unmarshal Map or Slice: ")),
    }
}

pub(super) fn slice_or_map(tree: &ValueTree) -> ComposeResult {
    match &tree.data {
        Data::List(list) => strings(list),
        Data::Map(map) => map.iter().try_for_each(|entry| {
            key(entry)?;
            text(&entry.value).map(|_| ()).ok_or_else(|| not_a_string(&entry.value))
        }),
        Data::Scalar(..) => Err(wrong(tree, "Failed to unmarshal SliceorMap: ")),
    }
}

pub(super) fn ulimits(tree: &ValueTree) -> ComposeResult {
    let Data::Map(map) = &tree.data else { return Err(wrong(tree, "Failed to unmarshal Ulimit: ")) };
    map.iter().try_for_each(|entry| ulimit(&entry.value).map_err(|w| TypeMismatch { inside: true, ..w }))
}

fn ulimit(tree: &ValueTree) -> ComposeResult {
    match &tree.data {
        Data::Scalar(ConfigValue::Int(_), _) => Ok(()),
        Data::Map(map) if map.len() == 2 => map.iter().try_for_each(|entry| {
            let named = matches!(&entry.key, ConfigValue::Str(name) if name == "soft" || name == "hard");
            match &entry.value.data {
                Data::Scalar(ConfigValue::Int(_), _) => Ok(()),
                _ if !named => Ok(()),
                _ => Err(wrong(&entry.value, "reflect: call of reflect.Value.Int on ")),
            }
        }),
        _ => Err(wrong(tree, "Failed to unmarshal Ulimit: ")),
    }
}

fn go_type(node: &ConfigValue) -> &'static str {
    match node {
        ConfigValue::Null => "<nil>",
        ConfigValue::Bool(_) => "bool",
        ConfigValue::Int(_) => "int64",
        ConfigValue::Float(_) => "float64",
        ConfigValue::Str(_) => "string",
        ConfigValue::Time(_) => "time.Time",
        ConfigValue::Bytes(_) => "[]uint8",
        ConfigValue::List(_) => "[]interface {}",
        ConfigValue::Map(_) => "map[interface {}]interface {}",
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ComposeState {
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
    let mut state = ComposeState::Start;
    for c in text.chars() {
        let known = matches!(c, ' '..='~' | '\t' | '\r' | '\n') && c != '`';
        let space = matches!(c, ' ' | '\t' | '\r' | '\n');
        state = match (state, c) {
            (ComposeState::Comment, '\n') => ComposeState::Start,
            (ComposeState::Comment, _) => ComposeState::Comment,
            (ComposeState::DoubleQuoted, '\\') => ComposeState::EscapingQuoted,
            (ComposeState::DoubleQuoted, '"') | (ComposeState::Quoted, '\'') => ComposeState::Word,
            (ComposeState::DoubleQuoted | ComposeState::Quoted, _) => state,
            (ComposeState::Start, c) if !known => return Err(format!("Unknown rune: {}", u32::from(c))),
            (_, c) if !known => return Err(format!("Uknown rune: {}", u32::from(c))),
            (ComposeState::Escaping, _) => ComposeState::Word,
            (ComposeState::EscapingQuoted, _) => ComposeState::DoubleQuoted,
            (ComposeState::Start, '#') => ComposeState::Comment,
            (_, '"') => ComposeState::DoubleQuoted,
            (_, '\'') => ComposeState::Quoted,
            (_, '\\') => ComposeState::Escaping,
            _ if space => ComposeState::Start,
            _ => ComposeState::Word,
        };
    }
    match state {
        ComposeState::Start | ComposeState::Word | ComposeState::Comment => Ok(()),
        ComposeState::Escaping | ComposeState::EscapingQuoted => {
            Err("EOF found after escape character".to_owned())
        }
        ComposeState::DoubleQuoted | ComposeState::Quoted => {
            Err("EOF found when expecting closing quote.".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::document;

    #[test]
    fn a_command_is_taken_apart_as_go_shlex_does_it() {
        for text in [
            "",
            "a b",
            "# '",
            "a # \"\n",
            "a\\ b",
            "a\\'",
            r#""a\"b""#,
            r"'a\'",
            "'\"'",
            "\"é'\"",
            "# é",
            "a#b",
        ] {
            assert_eq!(split(text), Ok(()), "{text}");
        }
        for (text, why) in [
            ("é", "Unknown rune: 233"),
            ("aé", "Uknown rune: 233"),
            ("\\é", "Uknown rune: 233"),
            ("\"\\é\"", "Uknown rune: 233"),
            ("a `", "Unknown rune: 96"),
            ("a\\", "EOF found after escape character"),
            ("\"a\\", "EOF found after escape character"),
            ("'a", "EOF found when expecting closing quote."),
            ("\"a\\\"", "EOF found when expecting closing quote."),
            ("\"a'", "EOF found when expecting closing quote."),
            ("a#'", "EOF found when expecting closing quote."),
            ("# a\n'", "EOF found when expecting closing quote."),
        ] {
            assert_eq!(split(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_limit_is_a_number_or_two() {
        let is_limit = |text: &str| ulimits(&document::read(&format!("a: {text}\n")).unwrap()).is_ok();
        for (text, is) in [
            ("1", true),
            ("x", false),
            ("{soft: 1, hard: 2}", true),
            ("{soft: x, hard: 2}", false),
            ("{soft: 1, other: x}", true),
            ("{soft: 1}", false),
            ("{soft: 1, hard: 2, other: 3}", false),
        ] {
            assert_eq!(is_limit(text), is, "{text}");
        }
    }
}
