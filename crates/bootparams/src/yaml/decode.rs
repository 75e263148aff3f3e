//! Events → values, with candiedyaml's anchors.
//!
//! An anchor records the events of its node by counting: it drops the last event it saw as one too many. An
//! alias right behind it is never recorded, so then the node's own last event is lost, and using the anchor
//! takes the process down. Both the losses and the endings are kept here.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{
    Bad, Stop,
    parse::{Event, Kind, Parser},
    resolve,
};
use crate::tree::{Crash, Node};

/// More nodes than any text of a kernel line holds, unless aliases multiply them.
const MAX_NODES: usize = 100_000;
/// Deeper than two thousand bytes can nest and still close.
const MAX_DEPTH: usize = 1_024;

pub(super) struct Decoder {
    parser: Parser,
    event: Event,
    replay: Option<VecDeque<Event>>,
    anchors: HashMap<String, Vec<Event>>,
    tracking: Vec<Vec<Event>>,
    nodes: usize,
    depth: usize,
}

impl Decoder {
    pub(super) fn new(text: &str) -> Result<Self, Stop> {
        let mut parser = Parser::new(text)?;
        let event = parser.next()?;
        Ok(Self {
            parser,
            event,
            replay: None,
            anchors: HashMap::new(),
            tracking: Vec::new(),
            nodes: 0,
            depth: 0,
        })
    }

    pub(super) fn document(&mut self) -> Result<Node, Stop> {
        self.advance()?;
        if self.event.kind != Kind::DocumentStart {
            return Err(Bad("expected document start").into());
        }
        self.advance()?;
        let node = self.root()?;
        if self.event.kind != Kind::DocumentEnd {
            return Err(Bad("expected document end").into());
        }
        self.advance()?;
        Ok(node)
    }

    fn advance(&mut self) -> Result<(), Stop> {
        if self.event.kind == Kind::StreamEnd {
            return Err(Bad("the stream is closed").into());
        }
        self.event = match &mut self.replay {
            // The reference indexes an empty list here.
            Some(events) => events.pop_front().ok_or(Stop::Crash(Crash::Panic))?,
            None => self.parser.next()?,
        };
        if self.replay.as_ref().is_some_and(VecDeque::is_empty) {
            self.replay = None;
        }
        if self.event.kind != Kind::Alias
            && let Some(track) = self.tracking.last_mut()
        {
            track.push(self.event.clone());
        }
        Ok(())
    }

    fn begin_anchor(&mut self) -> Option<String> {
        if self.event.anchor.is_empty() {
            return None;
        }
        self.tracking.push(vec![self.event.clone()]);
        Some(self.event.anchor.clone())
    }

    fn end_anchor(&mut self, anchor: Option<String>) {
        let Some(anchor) = anchor else { return };
        let mut events = self.tracking.pop().unwrap_or_default();
        if let Some(first) = events.first_mut() {
            first.anchor.clear();
        }
        events.pop();
        for track in &mut self.tracking {
            track.extend(events.iter().cloned());
        }
        self.anchors.insert(anchor, events);
    }

    /// The document's own node, and what an alias stands for: nulls here may even be quoted.
    fn root(&mut self) -> Result<Node, Stop> {
        match self.event.kind {
            Kind::Scalar if resolve::is_null(&self.event.value) => {
                let anchor = self.begin_anchor();
                self.advance()?;
                self.end_anchor(anchor);
                Ok(Node::Null)
            }
            Kind::SequenceStart | Kind::MappingStart | Kind::Scalar | Kind::Alias => self.value(),
            Kind::DocumentEnd => Ok(Node::Null),
            _ => Err(Bad("unexpected event").into()),
        }
    }

    fn value(&mut self) -> Result<Node, Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Stop::Crash(Crash::Endless));
        }
        if self.event.kind == Kind::Alias {
            return self.alias();
        }
        let anchor = self.begin_anchor();
        let node = match self.event.kind {
            Kind::SequenceStart => self.deeper(Self::sequence)?,
            Kind::MappingStart => self.deeper(Self::mapping)?,
            Kind::Scalar => {
                let node = resolve::event(&self.event);
                self.advance()?;
                node
            }
            Kind::DocumentEnd => return Err(Bad("unexpected end of the document").into()),
            _ => Node::Null,
        };
        self.end_anchor(anchor);
        Ok(node)
    }

    fn deeper(&mut self, f: impl FnOnce(&mut Self) -> Result<Node, Stop>) -> Result<Node, Stop> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        let node = f(self);
        self.depth -= 1;
        node
    }

    /// Text this deep is nearly always unbalanced: then it is no YAML, and only then can it be told.
    fn too_deep(&mut self) -> Stop {
        loop {
            match self.parser.next() {
                Ok(event) if event.kind == Kind::StreamEnd => return Stop::Crash(Crash::TooDeep),
                Ok(_) => {}
                Err(bad) => return bad.into(),
            }
        }
    }

    fn alias(&mut self) -> Result<Node, Stop> {
        let events = self.anchors.get(&self.event.anchor).ok_or(Bad("missing anchor"))?;
        self.replay = Some(events.iter().cloned().collect());
        self.advance()?;
        self.root()
    }

    fn sequence(&mut self) -> Result<Node, Stop> {
        let mut list = Vec::new();
        self.advance()?;
        while !matches!(self.event.kind, Kind::SequenceEnd | Kind::DocumentEnd) {
            list.push(self.value()?);
        }
        if self.event.kind != Kind::DocumentEnd {
            self.advance()?;
        }
        Ok(Node::List(list))
    }

    fn mapping(&mut self) -> Result<Node, Stop> {
        let mut map = BTreeMap::new();
        self.advance()?;
        while !matches!(self.event.kind, Kind::MappingEnd | Kind::DocumentEnd) {
            let key = self.value()?;
            let value = self.value()?;
            // Go cannot hash a list or a map; the process dies of it.
            let key = key.go_key().ok_or(Stop::Crash(Crash::Panic))?;
            map.insert(key, value);
        }
        if self.event.kind != Kind::DocumentEnd {
            self.advance()?;
        }
        Ok(Node::Map(map))
    }
}
