//! The text of a cloud-config and its contents, for every dialect.

use crate::{
    check::{credentials, hide, is_secret_name},
    tree::ConfigValue,
    yaml::document::{self, Data, ValueTree},
};

/// Why bytes are not the text of a cloud-config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoText {
    /// gzip.
    #[error(
        "it is compressed with gzip, which is undone only for a fetched cloud-config; store it as plain text"
    )]
    Gzip,
    /// UTF-16, by its byte order mark.
    #[error("it is UTF-16; save it as UTF-8 without a byte order mark")]
    Utf16,
    /// Something else.
    #[error("byte {0} is not UTF-8; save it as UTF-8")]
    NotUtf8(usize),
}

/// The text of a cloud-config's bytes.
///
/// # Errors
/// When they are not UTF-8; says what they seem to be.
pub fn text(bytes: &[u8]) -> Result<&str, NoText> {
    match bytes {
        [0x1f, 0x8b, ..] => Err(NoText::Gzip),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(NoText::Utf16),
        _ => std::str::from_utf8(bytes).map_err(|e| NoText::NotUtf8(e.valid_up_to())),
    }
}

/// The text with the values of secret keys hidden, each character by a `*`. By lines, not by structure: a text
/// that is not YAML must not show them either.
#[must_use]
pub fn masked(text: &str) -> String {
    let mask = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim_start_matches([' ', '-', '{', ',']).trim_end().trim_matches(['"', '\'']);
        let hidden: String = value.chars().map(|c| if c.is_whitespace() { c } else { '*' }).collect();
        is_secret_name(name).then(|| line[..line.len() - value.len()].to_owned() + &hidden)
    };
    let text = hide(text, &credentials(text));
    text.split_inclusive('\n').map(|line| mask(line).unwrap_or_else(|| line.to_owned())).collect()
}

/// A value that holds no others.
pub struct Leaf {
    /// The keys on the way to it; a place in a list is a number.
    pub keys: Vec<String>,
    /// The text, without its quotes.
    pub text: String,
    /// Whether it is something other than nothing or a truth value.
    pub says_something: bool,
    /// The byte at which it begins.
    pub at: usize,
}

impl Leaf {
    /// The last key that is a name.
    #[must_use]
    pub fn key(&self) -> &str {
        let name = |k: &&String| !k.bytes().all(|b| b.is_ascii_digit());
        self.keys.iter().rfind(name).map_or("", String::as_str)
    }
}

/// Every value of the first document of a text, in its order; nothing when it is not YAML.
#[must_use]
pub fn leaves(text: &str) -> Option<Vec<Leaf>> {
    fn gather(tree: &ValueTree, keys: &mut Vec<String>, found: &mut Vec<Leaf>) {
        let mut below = |key: String, tree: &ValueTree| {
            keys.push(key);
            gather(tree, keys, found);
            keys.pop();
        };
        match &tree.data {
            Data::List(list) => list.iter().enumerate().for_each(|(i, tree)| below(i.to_string(), tree)),
            Data::Map(map) => map.iter().for_each(|e| below(e.name(), &e.value)),
            Data::Scalar(node, text) => found.push(Leaf {
                keys: keys.clone(),
                text: text.clone(),
                says_something: !matches!(node, ConfigValue::Null | ConfigValue::Bool(_)),
                at: tree.span.start,
            }),
        }
    }
    let mut found = Vec::new();
    gather(&document::read(text).ok()?, &mut Vec::new(), &mut found);
    Some(found)
}
