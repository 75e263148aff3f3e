//! Events → values, with candiedyaml's anchors.
//!
//! An anchor records the events of its node by counting: it drops the last event it saw as one too many. An
//! alias right behind it is never recorded, so then the node's own last event is lost, and using the anchor
//! takes the process down. Both the losses and the endings are kept here.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
};

use super::{
    Bad, Stop,
    document::{Data, MapEntry, Places, ValueTree},
    parse::{EventKind, Parser, YamlEvent},
    resolve,
};
use crate::tree::{ConfigValue, Crash};

/// More nodes than any text of a kernel line holds, unless aliases multiply them. A file may have one for every
/// second byte more.
const MAX_NODES: usize = 100_000;
/// Deeper than any configuration; each level costs stack here, and of that a PID 1 has little.
const MAX_DEPTH: usize = 256;

pub(super) struct Decoder {
    parser: Parser,
    event: YamlEvent,
    places: Places,
    replay: Option<VecDeque<YamlEvent>>,
    anchors: HashMap<String, Vec<YamlEvent>>,
    tracking: Vec<Vec<YamlEvent>>,
    nodes_left: usize,
    depth: usize,
}

impl Decoder {
    /// For a text whose places do not matter.
    pub(super) fn new(text: &str) -> Result<Self, Bad> {
        Self::with(text, Places::none())
    }

    pub(super) fn of_file(text: &str) -> Result<Self, Bad> {
        Self::with(text, Places::of(text))
    }

    fn with(text: &str, places: Places) -> Result<Self, Bad> {
        Ok(Self {
            parser: Parser::new(text)?,
            event: YamlEvent::of(EventKind::StreamStart),
            places,
            replay: None,
            anchors: HashMap::new(),
            tracking: Vec::new(),
            nodes_left: MAX_NODES + text.len() / 2,
            depth: 0,
        })
    }

    /// Where the reading is, in bytes.
    pub(super) fn place(&self) -> usize {
        self.places.byte(self.parser.place())
    }

    /// The first document, into any value.
    pub(super) fn document(&mut self) -> Result<ValueTree, Stop> {
        self.start()?;
        let tree = self.root()?;
        self.end(tree)
    }

    /// The first document, into a map: of its outermost keys and values even quoted nulls are null.
    pub(super) fn file(&mut self) -> Result<ValueTree, Stop> {
        self.start()?;
        let tree = self.file_root()?;
        self.end(tree)
    }

    fn file_root(&mut self) -> Result<ValueTree, Stop> {
        match self.event.kind {
            EventKind::MappingStart => self.node(Self::root),
            EventKind::Alias => {
                self.recall()?;
                self.file_root()
            }
            _ => self.root(),
        }
    }

    /// The place of a document behind the one that was read.
    pub(super) fn next_document(&self) -> Option<usize> {
        (self.event.kind == EventKind::DocumentStart).then(|| self.places.byte(self.event.span.start))
    }

    fn start(&mut self) -> Result<(), Stop> {
        self.advance()?;
        self.advance()?;
        if self.event.kind != EventKind::DocumentStart {
            return Err(Bad("it holds only comments").into());
        }
        self.advance()
    }

    /// What follows must at least begin as a document.
    fn end(&mut self, tree: ValueTree) -> Result<ValueTree, Stop> {
        if self.event.kind != EventKind::DocumentEnd {
            return Err(Bad("expected document end").into());
        }
        self.advance()?;
        Ok(tree)
    }

    fn advance(&mut self) -> Result<(), Stop> {
        if self.event.kind == EventKind::StreamEnd {
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
        if self.event.kind != EventKind::Alias
            && let Some(track) = self.tracking.last_mut()
        {
            track.push(self.event.clone());
        }
        Ok(())
    }

    fn end_anchor(&mut self, anchor: String) {
        if anchor.is_empty() {
            return;
        }
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
    fn root(&mut self) -> Result<ValueTree, Stop> {
        match self.event.kind {
            EventKind::Scalar if resolve::is_null(&self.event.value) => {
                let (span, anchor) = self.begin();
                let text = std::mem::take(&mut self.event.value);
                self.advance()?;
                self.end_anchor(anchor);
                Ok(ValueTree { span, data: Data::Scalar(ConfigValue::Null, text) })
            }
            EventKind::SequenceStart | EventKind::MappingStart | EventKind::Scalar | EventKind::Alias => {
                self.value()
            }
            EventKind::DocumentEnd => Ok(ValueTree::scalar(ConfigValue::Null)),
            _ => Err(Bad("unexpected event").into()),
        }
    }

    fn value(&mut self) -> Result<ValueTree, Stop> {
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or(Stop::Crash(Crash::Endless))?;
        if self.event.kind == EventKind::Alias {
            return self.alias();
        }
        self.node(Self::value)
    }

    /// A node other than an alias; `read` reads the keys and values of a map.
    fn node(&mut self, read: fn(&mut Self) -> Result<ValueTree, Stop>) -> Result<ValueTree, Stop> {
        let (span, anchor) = self.begin();
        self.depth += 1;
        let data = match self.event.kind {
            EventKind::SequenceStart | EventKind::MappingStart if self.depth > MAX_DEPTH => {
                return Err(self.too_deep());
            }
            EventKind::SequenceStart => self.sequence()?,
            EventKind::MappingStart => self.mapping(read)?,
            EventKind::Scalar => {
                let node = resolve::event(&self.event);
                let text = std::mem::take(&mut self.event.value);
                self.advance()?;
                Data::Scalar(node, text)
            }
            EventKind::DocumentEnd => return Err(Bad("unexpected end of the document").into()),
            _ => Data::Scalar(ConfigValue::Null, String::new()),
        };
        self.depth -= 1;
        self.end_anchor(anchor);
        Ok(ValueTree { span, data })
    }

    /// The place of a node, and its anchor, for which its events are recorded.
    fn begin(&mut self) -> (Range<usize>, String) {
        if !self.event.anchor.is_empty() {
            self.tracking.push(vec![self.event.clone()]);
        }
        (self.places.bytes(&self.event.span), self.event.anchor.clone())
    }

    /// Text this deep is nearly always unbalanced: then it is not YAML, and only then can it be told.
    fn too_deep(&mut self) -> Stop {
        loop {
            match self.parser.next() {
                Ok(event) if event.kind == EventKind::StreamEnd => return Stop::Crash(Crash::TooDeep),
                Ok(_) => {}
                Err(bad) => return bad.into(),
            }
        }
    }

    /// What an alias stands for, in the alias's place.
    fn alias(&mut self) -> Result<ValueTree, Stop> {
        let span = self.places.bytes(&self.event.span);
        self.recall()?;
        Ok(ValueTree { span, ..self.root()? })
    }

    fn recall(&mut self) -> Result<(), Stop> {
        let events = self.anchors.get(&self.event.anchor).ok_or(Bad("missing anchor"))?;
        self.replay = Some(events.iter().cloned().collect());
        self.advance()
    }

    fn sequence(&mut self) -> Result<Data, Stop> {
        let mut list = Vec::new();
        self.advance()?;
        while !matches!(self.event.kind, EventKind::SequenceEnd | EventKind::DocumentEnd) {
            list.push(self.value()?);
        }
        if self.event.kind != EventKind::DocumentEnd {
            self.advance()?;
        }
        Ok(Data::List(list))
    }

    fn mapping(&mut self, read: fn(&mut Self) -> Result<ValueTree, Stop>) -> Result<Data, Stop> {
        let mut map = Vec::new();
        self.advance()?;
        while !matches!(self.event.kind, EventKind::MappingEnd | EventKind::DocumentEnd) {
            let key = read(self)?;
            let value = read(self)?;
            let span = key.span.clone();
            // Go cannot hash a list or a map; the process dies of it.
            let Data::Scalar(key, _) = key.data else { return Err(Stop::Crash(Crash::Panic)) };
            if matches!(key, ConfigValue::Bytes(_)) {
                return Err(Stop::Crash(Crash::Panic));
            }
            map.push(MapEntry { span, key, value });
        }
        if self.event.kind != EventKind::DocumentEnd {
            self.advance()?;
        }
        Ok(Data::Map(map))
    }
}
