//! Tokens → events: libyaml's state machine.

use std::ops::Range;

use super::{
    Bad,
    scan::{Scanner, Token},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    StreamStart,
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    SequenceStart,
    SequenceEnd,
    MappingStart,
    MappingEnd,
    Alias,
    Scalar,
}

#[derive(Clone, Debug)]
pub(super) struct YamlEvent {
    pub(super) kind: EventKind,
    pub(super) anchor: String,
    pub(super) tag: String,
    pub(super) value: String,
    /// The scalar was written plainly, so its text decides its type.
    pub(super) implicit: bool,
    /// The characters it was read from: of a collection its beginning.
    pub(super) span: Range<usize>,
}

impl YamlEvent {
    pub(super) fn of(kind: EventKind) -> Self {
        Self {
            kind,
            anchor: String::new(),
            tag: String::new(),
            value: String::new(),
            implicit: false,
            span: 0..0,
        }
    }

    fn empty_scalar() -> Self {
        Self { implicit: true, ..Self::of(EventKind::Scalar) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParserState {
    StreamStart,
    DocumentStart { implicit: bool },
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequence { first: bool },
    IndentlessSequence,
    BlockKey { first: bool },
    BlockValue,
    FlowSequence { first: bool },
    FlowPairKey,
    FlowPairValue,
    FlowPairEnd,
    FlowKey { first: bool },
    FlowValue,
    FlowEmptyValue,
    End,
}

pub(super) struct Parser {
    scanner: Scanner,
    state: ParserState,
    states: Vec<ParserState>,
    /// Of `%TAG`: handles and what they stand for.
    prefixes: Vec<(String, String)>,
}

type Parsed = Result<YamlEvent, Bad>;

impl Parser {
    pub(super) fn new(text: &str) -> Result<Self, Bad> {
        let scanner = Scanner::new(text)?;
        Ok(Self { scanner, state: ParserState::StreamStart, states: Vec::new(), prefixes: Vec::new() })
    }

    /// Where the reading is, in characters.
    pub(super) fn place(&self) -> usize {
        self.scanner.mark.index
    }

    pub(super) fn next(&mut self) -> Parsed {
        self.scanner.peek()?;
        let span = self.scanner.span();
        let mut event = self.step()?;
        if event.span.is_empty() {
            event.span = span;
        }
        Ok(event)
    }

    fn step(&mut self) -> Parsed {
        match self.state {
            ParserState::StreamStart => self.stream_start(),
            ParserState::DocumentStart { implicit } => self.document_start(implicit),
            ParserState::DocumentContent => self.document_content(),
            ParserState::DocumentEnd => self.document_end(),
            ParserState::BlockNode => self.node(true, false),
            ParserState::BlockSequence { first } => self.block_sequence(first),
            ParserState::IndentlessSequence => self.indentless_sequence(),
            ParserState::BlockKey { first } => self.block_key(first),
            ParserState::BlockValue => self.block_value(),
            ParserState::FlowSequence { first } => self.flow_sequence(first),
            ParserState::FlowPairKey => self.flow_pair_key(),
            ParserState::FlowPairValue => self.flow_pair_value(),
            ParserState::FlowPairEnd => {
                self.scanner.peek()?;
                self.state = ParserState::FlowSequence { first: false };
                Ok(YamlEvent::of(EventKind::MappingEnd))
            }
            ParserState::FlowKey { first } => self.flow_key(first),
            ParserState::FlowValue => self.flow_value(),
            ParserState::FlowEmptyValue => {
                self.scanner.peek()?;
                self.empty(ParserState::FlowKey { first: false })
            }
            ParserState::End => Err(Bad("the stream is closed")),
        }
    }

    fn empty(&mut self, state: ParserState) -> Parsed {
        self.state = state;
        Ok(YamlEvent::empty_scalar())
    }

    fn pop(&mut self, kind: EventKind) -> Parsed {
        self.state = self.states.pop().ok_or(Bad("invalid parser state"))?;
        Ok(YamlEvent::of(kind))
    }

    fn node_then(&mut self, then: ParserState, block: bool, indentless: bool) -> Parsed {
        self.states.push(then);
        self.node(block, indentless)
    }

    fn stream_start(&mut self) -> Parsed {
        self.scanner.peek()?;
        self.scanner.next();
        self.state = ParserState::DocumentStart { implicit: true };
        Ok(YamlEvent::of(EventKind::StreamStart))
    }

    fn document_start(&mut self, implicit: bool) -> Parsed {
        while !implicit && *self.scanner.peek()? == Token::DocumentEnd {
            self.scanner.next();
        }
        match self.scanner.peek()? {
            Token::StreamEnd => {
                self.scanner.next();
                self.state = ParserState::End;
                Ok(YamlEvent::of(EventKind::StreamEnd))
            }
            Token::DocumentStart => self.explicit_document(),
            Token::Version(_) | Token::TagPrefix { .. } if implicit => {
                self.directives()?;
                self.explicit_document()
            }
            _ if implicit => {
                self.states.push(ParserState::DocumentEnd);
                self.state = ParserState::BlockNode;
                Ok(YamlEvent::of(EventKind::DocumentStart))
            }
            _ => Err(Bad("did not find expected <document start>")),
        }
    }

    fn explicit_document(&mut self) -> Parsed {
        if *self.scanner.peek()? != Token::DocumentStart {
            return Err(Bad("did not find expected <document start>"));
        }
        self.scanner.next();
        self.states.push(ParserState::DocumentEnd);
        self.state = ParserState::DocumentContent;
        Ok(YamlEvent::of(EventKind::DocumentStart))
    }

    /// Those of the first document. candiedyaml takes any in front of a later one for a duplicate.
    fn directives(&mut self) -> Result<(), Bad> {
        let mut versions = 0;
        loop {
            match self.scanner.peek()?.clone() {
                Token::Version(number) if number == "1.1" && versions == 0 => versions += 1,
                Token::Version(_) => return Err(Bad("found a duplicate or incompatible %YAML directive")),
                Token::TagPrefix { handle, prefix } => self.prefixes.push((handle, prefix)),
                _ => return Ok(()),
            }
            self.scanner.next();
        }
    }

    fn document_content(&mut self) -> Parsed {
        match self.scanner.peek()? {
            Token::DocumentStart | Token::DocumentEnd | Token::StreamEnd => {
                self.pop(EventKind::Scalar)?;
                Ok(YamlEvent::empty_scalar())
            }
            _ => self.node(true, false),
        }
    }

    fn document_end(&mut self) -> Parsed {
        if *self.scanner.peek()? == Token::DocumentEnd {
            self.scanner.next();
        }
        self.state = ParserState::DocumentStart { implicit: false };
        Ok(YamlEvent::of(EventKind::DocumentEnd))
    }

    fn node(&mut self, block: bool, indentless: bool) -> Parsed {
        if let Token::Alias(name) = self.scanner.peek()? {
            let anchor = name.clone();
            self.scanner.next();
            return Ok(YamlEvent { anchor, ..self.pop(EventKind::Alias)? });
        }
        let (anchor, tag) = self.properties()?;
        let start = |kind, state| Some((kind, state));
        let collection = match self.scanner.peek()? {
            Token::BlockEntry if indentless => {
                start(EventKind::SequenceStart, ParserState::IndentlessSequence)
            }
            Token::FlowSequenceStart => {
                start(EventKind::SequenceStart, ParserState::FlowSequence { first: true })
            }
            Token::FlowMappingStart => start(EventKind::MappingStart, ParserState::FlowKey { first: true }),
            Token::BlockSequenceStart if block => {
                start(EventKind::SequenceStart, ParserState::BlockSequence { first: true })
            }
            Token::BlockMappingStart if block => {
                start(EventKind::MappingStart, ParserState::BlockKey { first: true })
            }
            _ => None,
        };
        if let Some((kind, state)) = collection {
            self.state = state;
            let span = self.scanner.span();
            return Ok(YamlEvent { anchor, tag, span, ..YamlEvent::of(kind) });
        }
        if let Token::Scalar { value, plain } = self.scanner.peek()? {
            let implicit = (*plain && tag.is_empty()) || tag == "!";
            let value = value.clone();
            let span = self.scanner.span();
            self.scanner.next();
            return Ok(YamlEvent { anchor, tag, value, implicit, span, ..self.pop(EventKind::Scalar)? });
        }
        if anchor.is_empty() && tag.is_empty() {
            return Err(Bad("did not find expected node content"));
        }
        let implicit = tag.is_empty();
        Ok(YamlEvent { anchor, tag, implicit, ..self.pop(EventKind::Scalar)? })
    }

    /// An anchor and a tag, in either order.
    fn properties(&mut self) -> Result<(String, String), Bad> {
        let (mut anchor, mut tag) = (None, None);
        loop {
            match self.scanner.peek()? {
                Token::Anchor(name) if anchor.is_none() => anchor = Some(name.clone()),
                Token::Tag { handle, suffix } if tag.is_none() => {
                    tag = Some((handle.clone(), suffix.clone()));
                }
                _ => break,
            }
            self.scanner.next();
        }
        let tag = match tag {
            Some((Some(handle), suffix)) => match self.prefixes.iter().find(|(h, _)| *h == handle) {
                Some((_, prefix)) => format!("{prefix}{suffix}"),
                None if handle == "!" => handle + &suffix,
                None if handle == "!!" => format!("tag:yaml.org,2002:{suffix}"),
                None => return Err(Bad("found undefined tag handle")),
            },
            _ => String::new(),
        };
        Ok((anchor.unwrap_or_default(), tag))
    }

    fn block_sequence(&mut self, first: bool) -> Parsed {
        if first {
            self.scanner.next();
        }
        let again = ParserState::BlockSequence { first: false };
        match self.scanner.peek()? {
            Token::BlockEntry => {
                self.scanner.next();
                match self.scanner.peek()? {
                    Token::BlockEntry | Token::BlockEnd => self.empty(again),
                    _ => self.node_then(again, true, false),
                }
            }
            Token::BlockEnd => {
                self.scanner.next();
                self.pop(EventKind::SequenceEnd)
            }
            _ => Err(Bad("did not find expected '-' indicator")),
        }
    }

    fn indentless_sequence(&mut self) -> Parsed {
        if *self.scanner.peek()? != Token::BlockEntry {
            return self.pop(EventKind::SequenceEnd);
        }
        self.scanner.next();
        match self.scanner.peek()? {
            Token::BlockEntry | Token::Key | Token::Value | Token::BlockEnd => {
                self.empty(ParserState::IndentlessSequence)
            }
            _ => self.node_then(ParserState::IndentlessSequence, true, false),
        }
    }

    fn block_key(&mut self, first: bool) -> Parsed {
        if first {
            self.scanner.next();
        }
        match self.scanner.peek()? {
            Token::Key => {
                self.scanner.next();
                match self.scanner.peek()? {
                    Token::Key | Token::Value | Token::BlockEnd => self.empty(ParserState::BlockValue),
                    _ => self.node_then(ParserState::BlockValue, true, true),
                }
            }
            Token::BlockEnd => {
                self.scanner.next();
                self.pop(EventKind::MappingEnd)
            }
            _ => Err(Bad("did not find expected key")),
        }
    }

    fn block_value(&mut self) -> Parsed {
        let again = ParserState::BlockKey { first: false };
        if *self.scanner.peek()? != Token::Value {
            return self.empty(again);
        }
        self.scanner.next();
        match self.scanner.peek()? {
            Token::Key | Token::Value | Token::BlockEnd => self.empty(again),
            _ => self.node_then(again, true, true),
        }
    }

    fn flow_sequence(&mut self, first: bool) -> Parsed {
        if first {
            self.scanner.next();
        } else {
            match self.scanner.peek()? {
                Token::FlowEntry => _ = self.scanner.next(),
                Token::FlowSequenceEnd => {}
                _ => return Err(Bad("did not find expected ',' or ']'")),
            }
        }
        match self.scanner.peek()? {
            Token::FlowSequenceEnd => {
                self.scanner.next();
                self.pop(EventKind::SequenceEnd)
            }
            Token::Key => {
                self.scanner.next();
                self.state = ParserState::FlowPairKey;
                Ok(YamlEvent { implicit: true, ..YamlEvent::of(EventKind::MappingStart) })
            }
            _ => self.node_then(ParserState::FlowSequence { first: false }, false, false),
        }
    }

    fn flow_pair_key(&mut self) -> Parsed {
        match self.scanner.peek()? {
            Token::Value | Token::FlowEntry | Token::FlowSequenceEnd => {
                // candiedyaml takes the token away here, where libyaml leaves it for the next state.
                self.scanner.next();
                self.empty(ParserState::FlowPairValue)
            }
            _ => self.node_then(ParserState::FlowPairValue, false, false),
        }
    }

    fn flow_pair_value(&mut self) -> Parsed {
        if *self.scanner.peek()? == Token::Value {
            self.scanner.next();
            if !matches!(self.scanner.peek()?, Token::FlowEntry | Token::FlowSequenceEnd) {
                return self.node_then(ParserState::FlowPairEnd, false, false);
            }
        }
        self.empty(ParserState::FlowPairEnd)
    }

    fn flow_key(&mut self, first: bool) -> Parsed {
        if first {
            self.scanner.next();
        } else {
            match self.scanner.peek()? {
                Token::FlowEntry => _ = self.scanner.next(),
                Token::FlowMappingEnd => {}
                _ => return Err(Bad("did not find expected ',' or '}'")),
            }
        }
        match self.scanner.peek()? {
            Token::FlowMappingEnd => {
                self.scanner.next();
                self.pop(EventKind::MappingEnd)
            }
            Token::Key => {
                self.scanner.next();
                match self.scanner.peek()? {
                    Token::Value | Token::FlowEntry | Token::FlowMappingEnd => {
                        self.empty(ParserState::FlowValue)
                    }
                    _ => self.node_then(ParserState::FlowValue, false, false),
                }
            }
            _ => self.node_then(ParserState::FlowEmptyValue, false, false),
        }
    }

    fn flow_value(&mut self) -> Parsed {
        let again = ParserState::FlowKey { first: false };
        if *self.scanner.peek()? == Token::Value {
            self.scanner.next();
            if !matches!(self.scanner.peek()?, Token::FlowEntry | Token::FlowMappingEnd) {
                return self.node_then(again, false, false);
            }
        }
        self.empty(again)
    }
}
