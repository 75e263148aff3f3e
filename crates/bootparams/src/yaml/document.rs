//! What a text was read to: values, each with the place it stands in.

use std::ops::Range;

use super::{Stop, decode::Decoder};
use crate::tree::ConfigValue;

/// A value and the bytes it stands in; of a list or map its first bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValueTree {
    pub(crate) span: Range<usize>,
    pub(crate) data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    /// What the text means, and the text.
    Scalar(ConfigValue, String),
    List(Vec<ValueTree>),
    /// As written: a key may stand here twice, and then the last one wins.
    Map(Vec<MapEntry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MapEntry {
    pub(crate) span: Range<usize>,
    /// A scalar: the text `1` and the number 1 are two keys.
    pub(crate) key: ConfigValue,
    pub(crate) value: ValueTree,
}

impl MapEntry {
    /// The key as text.
    pub(crate) fn name(&self) -> String {
        self.key.to_string()
    }
}

impl ValueTree {
    /// A scalar that was left empty.
    pub(crate) fn scalar(node: ConfigValue) -> Self {
        let text = node.to_string();
        Self { span: 0..0, data: Data::Scalar(node, text) }
    }

    /// A list of scalars that were left empty.
    pub(crate) fn list(nodes: impl Iterator<Item = ConfigValue>) -> Self {
        Self { span: 0..0, data: Data::List(nodes.map(Self::scalar).collect()) }
    }

    /// The value without places. The last of equal keys counts.
    pub(crate) fn node(&self) -> ConfigValue {
        match &self.data {
            Data::Scalar(node, _) => node.clone(),
            Data::List(list) => ConfigValue::List(list.iter().map(Self::node).collect()),
            Data::Map(map) => ConfigValue::Map(map.iter().map(|e| (e.name(), e.value.node())).collect()),
        }
    }

    /// What kind of value this is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.data {
            Data::Scalar(node, _) => node.kind(),
            Data::List(_) => ConfigValue::List(Vec::new()).kind(),
            Data::Map(_) => ConfigValue::map().kind(),
        }
    }

    /// Where a key stands.
    pub(crate) fn key<'k>(&self, path: impl IntoIterator<Item = &'k str>) -> Option<Range<usize>> {
        let mut at = self;
        let mut span = None;
        for segment in path {
            let Data::Map(entries) = &at.data else { return None };
            let entry = entries.iter().rfind(|e| e.name() == segment)?;
            span = Some(entry.span.clone());
            at = &entry.value;
        }
        span
    }
}

/// Why a text is not a document, and where it fails.
pub(crate) type Misread = (Stop, Range<usize>);

/// Reads the first document of a file, as the OS does: into a map.
pub(crate) fn read(text: &str) -> Result<ValueTree, Misread> {
    let mut decoder = Decoder::of_file(text).map_err(|bad| (bad.into(), control(text)))?;
    decoder.file().map_err(|stop| {
        // What is missing at the end is missing behind the last word, not on an empty line.
        let at = decoder.place().min(text.trim_end().len());
        (stop, at..at)
    })
}

/// The byte at which a second document of a text begins: it is never read.
pub(crate) fn second(text: &str) -> Option<usize> {
    let mut decoder = Decoder::of_file(text).ok()?;
    decoder.file().ok()?;
    decoder.next_document()
}

fn control(text: &str) -> Range<usize> {
    let at = text.find(|c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r')).unwrap_or(0);
    at..at
}

/// The bytes at which the characters of a text begin.
pub(super) struct Places(Vec<usize>);

impl Places {
    /// None are kept: each place is 0.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn of(text: &str) -> Self {
        // A mark at the beginning is left out by the scanner, so places must not count it.
        let skipped = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let starts = text[skipped..].char_indices().map(|(at, _)| at + skipped);
        Self(starts.chain([text.len()]).collect())
    }

    pub(super) fn byte(&self, at: usize) -> usize {
        self.0.get(at).or(self.0.last()).copied().unwrap_or(0)
    }

    pub(super) fn bytes(&self, span: &Range<usize>) -> Range<usize> {
        self.byte(span.start)..self.byte(span.end)
    }
}
