//! What a datasource gave, told by its beginning as RancherOS does: a cloud-config, services in compose's format, or a
//! script; each of them also packed with gzip.

use std::{io::Read as _, ops::Range};

use flate2::read::MultiGzDecoder;

use super::MAX_CONFIG;
use crate::{
    tree::{ConfigValue, Crash},
    yaml::{
        Stop,
        document::{self, Data, MapEntry, ValueTree},
    },
};

/// A text that the machine can use.
pub(crate) enum UserData {
    /// The values of a cloud-config.
    Values(ValueTree),
    /// A program for the interpreter that its first line names.
    Script,
}

/// Why a text is not used at all.
pub(crate) struct Unusable {
    /// The bytes that it is about, when it is not about all of them.
    pub(crate) span: Option<Range<usize>>,
    /// The rest of a sentence that begins with `it` or with `line 3`.
    pub(crate) reason: String,
}

impl Unusable {
    fn whole(reason: &str) -> Self {
        Self { span: None, reason: reason.to_owned() }
    }

    /// The sentence about `text`.
    pub(super) fn sentence(&self, text: &str) -> String {
        let subject = match &self.span {
            Some(span) => format!("line {}", text[..span.start].matches('\n').count() + 1),
            None => "it".to_owned(),
        };
        format!("{subject} {}", self.reason)
    }
}

/// The text of what was fetched. Bytes that are not UTF-8 become U+FFFD: they may stand in a comment.
pub(super) fn text(bytes: &[u8]) -> Result<String, String> {
    let unpacked = match bytes {
        [0x1f, 0x8b, ..] => gunzip(bytes, MAX_CONFIG)?,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err("is UTF-16; save it as UTF-8".to_owned()),
        _ => bytes.to_owned(),
    };
    Ok(String::from_utf8_lossy(&unpacked).into_owned())
}

/// Unpacks gzip, to no more than `most` bytes.
pub(super) fn gunzip(bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(most as u64 + 1).read_to_end(&mut out);
    read.map_err(|_| "is damaged: gzip cannot unpack it".to_owned())?;
    if out.len() > most { Err(format!("has more than {most} bytes when it is unpacked")) } else { Ok(out) }
}

/// What a text is.
pub(crate) fn user_data(text: &str) -> Result<UserData, Unusable> {
    if text.len() > MAX_CONFIG {
        return Err(Unusable::whole("has more than a megabyte"));
    }
    let first = text.split('\n').next().unwrap_or_default();
    if first.starts_with("#!") {
        // The kernel would look for an interpreter whose name ends with the carriage return.
        let crlf = "is a script with CRLF line ends; save it with LF";
        return if first.ends_with('\r') { Err(Unusable::whole(crlf)) } else { Ok(UserData::Script) };
    }
    match first.trim_end() {
        "#cloud-config" => values(text).map(UserData::Values),
        "#compose" => Ok(UserData::Values(below(["rancher", "services"], values(text)?))),
        _ => Err(Unusable::whole(stranger(text, first))),
    }
}

/// What a text is that is none of ours.
fn stranger(text: &str, first: &str) -> &'static str {
    let lower = first.to_ascii_lowercase();
    let begins = |words: &[&str]| words.iter().any(|w| lower.starts_with(w));
    match text.trim_start().chars().next() {
        _ if begins(&["content-type:", "mime-version:"]) => "is a MIME message; give the cloud-config alone",
        _ if begins(&["#include"]) => {
            "is a list of addresses; give them to rancher.cloud_init.datasources, as url:ADDRESS"
        }
        _ if begins(&["## template"]) => "is a template; give the cloud-config with its values filled in",
        Some('\u{feff}') => "begins with a byte order mark; save it as UTF-8 without one",
        Some('{') => "is JSON, as for Ignition; write a cloud-config",
        Some('<') => "is a web page or XML; check the address",
        None => "is empty",
        _ if begins(&["#cloud-config"]) => "has something behind `#cloud-config` on its first line",
        _ => "does not begin with `#cloud-config`, `#compose` or `#!`",
    }
}

fn values(text: &str) -> Result<ValueTree, Unusable> {
    document::read(text).map_err(|(stop, span)| {
        let reason = match stop {
            Stop::Bad(bad) => format!("is not YAML: {}", bad.0),
            Stop::Crash(Crash::Endless) => "has aliases that multiply without bound".to_owned(),
            Stop::Crash(Crash::TooDeep | Crash::TooLong) => "nests too deep".to_owned(),
            Stop::Crash(Crash::Panic) => "has a list or map as a key, or an anchor inside itself; \
                                          is it a template, with {{ }} that were not filled in?"
                .to_owned(),
        };
        Unusable { span: Some(span), reason }
    })
}

/// A tree below keys.
fn below<const N: usize>(keys: [&str; N], tree: ValueTree) -> ValueTree {
    keys.into_iter().rev().fold(tree, |value, key| {
        let (span, key) = (value.span.clone(), ConfigValue::Str(key.to_owned()));
        ValueTree { span: span.clone(), data: Data::Map(vec![MapEntry { span, key, value }]) }
    })
}
