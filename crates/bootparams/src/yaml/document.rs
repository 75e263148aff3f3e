//! A whole document with places, for texts of more than one line.
//!
//! The same scanner and parser as for the command line's values, since the OS reads its files with them, too; only
//! the last step differs: each value keeps where it stands, and aliases are followed as they are meant.

use std::{collections::HashMap, ops::Range};

use super::{
    Bad,
    parse::{Event, Kind, Parser},
    resolve,
};
use crate::tree::Node;

/// A value and the bytes it stands in; of a list or map its first bytes.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) span: Range<usize>,
    pub(crate) data: Data,
}

#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// What the text means, and the text.
    Scalar(Node, String),
    List(Vec<Tree>),
    /// Keys by the text they are written as.
    Map(Vec<(Range<usize>, String, Tree)>),
}

impl Tree {
    /// The value without places. The last of equal keys counts.
    pub(crate) fn node(&self) -> Node {
        match &self.data {
            Data::Scalar(node, _) => node.clone(),
            Data::List(list) => Node::List(list.iter().map(Self::node).collect()),
            Data::Map(map) => {
                Node::Map(map.iter().map(|(_, key, tree)| (key.clone(), tree.node())).collect())
            }
        }
    }

    /// Where a key stands.
    pub(crate) fn key<'k>(&self, path: impl IntoIterator<Item = &'k str>) -> Option<Range<usize>> {
        let mut at = self;
        let mut span = None;
        for segment in path {
            let Data::Map(entries) = &at.data else { return None };
            let (place, _, value) = entries.iter().rfind(|(_, name, _)| name == segment)?;
            span = Some(place.clone());
            at = value;
        }
        span
    }
}

const MAX_DEPTH: usize = 100;
const MAX_NODES: usize = 100_000;

/// Why a text is no document, and where.
pub(crate) type Misread = (Bad, Range<usize>);

/// Reads the first document of a text.
pub(crate) fn read(text: &str) -> Result<Tree, Misread> {
    // A mark at the beginning is left out by the scanner, so places must not count it.
    let skipped = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let starts: Vec<usize> =
        text[skipped..].char_indices().map(|(at, _)| at + skipped).chain([text.len()]).collect();
    let mut parser = Parser::new(text).map_err(|bad| (bad, control(text)))?;
    let event = Event::of(Kind::StreamStart);
    let mut b = Builder { event, starts, anchors: HashMap::new(), nodes: 0, depth: 0 };
    let result = b.document(&mut parser);
    result.map_err(|bad| {
        // What is missing at the end is missing behind the last word, not on an empty line.
        let at = b.byte(parser.place()).min(text.trim_end().len());
        (bad, at..at)
    })
}

fn control(text: &str) -> Range<usize> {
    let at = text.find(|c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r')).unwrap_or(0);
    at..at
}

struct Builder {
    event: Event,
    /// The byte at which each character begins.
    starts: Vec<usize>,
    anchors: HashMap<String, Tree>,
    nodes: usize,
    depth: usize,
}

impl Builder {
    fn byte(&self, at: usize) -> usize {
        self.starts.get(at).or(self.starts.last()).copied().unwrap_or(0)
    }

    fn bytes(&self, span: &Range<usize>) -> Range<usize> {
        self.byte(span.start)..self.byte(span.end)
    }

    fn advance(&mut self, parser: &mut Parser) -> Result<(), Bad> {
        self.event = parser.next()?;
        Ok(())
    }

    fn document(&mut self, parser: &mut Parser) -> Result<Tree, Bad> {
        self.advance(parser)?;
        self.advance(parser)?;
        if self.event.kind != Kind::DocumentStart {
            return Err(Bad("there is nothing but comments"));
        }
        self.advance(parser)?;
        let tree = self.value(parser)?;
        // What follows must at least begin as a document.
        self.advance(parser)?;
        Ok(tree)
    }

    fn value(&mut self, parser: &mut Parser) -> Result<Tree, Bad> {
        self.nodes += 1;
        self.depth += 1;
        if self.nodes > MAX_NODES || self.depth > MAX_DEPTH {
            return Err(Bad("the document is too large or too deep"));
        }
        let event = self.event.clone();
        let span = self.bytes(&event.span);
        self.advance(parser)?;
        let data = match event.kind {
            Kind::Scalar => Data::Scalar(resolve::event(&event), event.value.clone()),
            Kind::SequenceStart => self.list(parser)?,
            Kind::MappingStart => self.map(parser)?,
            Kind::Alias => {
                let tree = self.anchors.get(&event.anchor).ok_or(Bad("missing anchor"))?;
                self.nodes += size(tree);
                tree.data.clone()
            }
            _ => return Err(Bad("unexpected event")),
        };
        self.depth -= 1;
        let tree = Tree { span, data };
        if !event.anchor.is_empty() && event.kind != Kind::Alias {
            self.anchors.insert(event.anchor, tree.clone());
        }
        Ok(tree)
    }

    fn list(&mut self, parser: &mut Parser) -> Result<Data, Bad> {
        let mut list = Vec::new();
        while self.event.kind != Kind::SequenceEnd {
            list.push(self.value(parser)?);
        }
        self.advance(parser)?;
        Ok(Data::List(list))
    }

    fn map(&mut self, parser: &mut Parser) -> Result<Data, Bad> {
        let mut map = Vec::new();
        while self.event.kind != Kind::MappingEnd {
            let key = self.value(parser)?;
            let Data::Scalar(node, _) = &key.data else { return Err(Bad("a list or map cannot be a key")) };
            let name = node.go_key().ok_or(Bad("binary data cannot be a key"))?;
            map.push((key.span.clone(), name, self.value(parser)?));
        }
        self.advance(parser)?;
        Ok(Data::Map(map))
    }
}

fn size(tree: &Tree) -> usize {
    match &tree.data {
        Data::Scalar(..) => 1,
        Data::List(list) => 1 + list.iter().map(size).sum::<usize>(),
        Data::Map(map) => 1 + map.iter().map(|(_, _, tree)| 1 + size(tree)).sum::<usize>(),
    }
}
