//! Characters → tokens: libyaml's scanner, with its simple keys and indentation.

use std::{collections::VecDeque, ops::Range};

use super::Bad;

/// A token; only what the parser looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    StreamStart,
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag {
        handle: Option<String>,
        suffix: String,
    },
    /// `%YAML` with its number.
    Version(String),
    /// `%TAG`.
    TagPrefix {
        handle: String,
        prefix: String,
    },
    Scalar {
        value: String,
        plain: bool,
    },
}

/// A place in the text. `column` starts again after a line break.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TextPosition {
    pub(super) index: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    token: usize,
    mark: TextPosition,
}

/// libyaml's limit for a key without `?`.
const SIMPLE_KEY_MAX: usize = 1024;

/// Deeper than this no bracket is followed: it would have to close again within a line of the kernel.
const MAX_FLOW: usize = 1_100;

pub(super) struct Scanner {
    text: Vec<char>,
    pub(super) mark: TextPosition,
    /// Where the token that is being read begins.
    start: usize,
    tokens: VecDeque<(Token, Range<usize>)>,
    taken: usize,
    started: bool,
    ended: bool,
    pub(super) flow_level: usize,
    /// `None` outside any block collection, where libyaml has -1.
    pub(super) indent: Option<usize>,
    indents: Vec<Option<usize>>,
    pub(super) simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
}

impl Scanner {
    pub(super) fn new(text: &str) -> Result<Self, Bad> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.chars().any(|c| !allowed(c)) {
            return Err(Bad("control characters are not allowed"));
        }
        Ok(Self {
            text: text.chars().collect(),
            mark: TextPosition::default(),
            start: 0,
            tokens: VecDeque::new(),
            taken: 0,
            started: false,
            ended: false,
            flow_level: 0,
            indent: None,
            indents: Vec::new(),
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
        })
    }

    /// The character `ahead` of the current one; NUL past the end, as in libyaml's buffer.
    pub(super) fn at(&self, ahead: usize) -> char {
        self.text.get(self.mark.index + ahead).copied().unwrap_or('\0')
    }

    pub(super) fn blank(&self) -> bool {
        matches!(self.at(0), ' ' | '\t')
    }

    pub(super) fn is_break(&self, ahead: usize) -> bool {
        matches!(self.at(ahead), '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
    }

    pub(super) fn breakz(&self) -> bool {
        self.is_break(0) || self.at(0) == '\0'
    }

    pub(super) fn blankz(&self, ahead: usize) -> bool {
        matches!(self.at(ahead), ' ' | '\t' | '\0') || self.is_break(ahead)
    }

    pub(super) fn skip(&mut self) {
        self.mark.index += 1;
        self.mark.column += 1;
    }

    pub(super) fn take(&mut self, into: &mut String) {
        into.push(self.at(0));
        self.skip();
    }

    pub(super) fn skip_line(&mut self) {
        self.take_line(&mut String::new());
    }

    /// Takes a line break: CR LF, CR, LF and NEL become LF; the Unicode separators stay.
    pub(super) fn take_line(&mut self, into: &mut String) {
        match self.at(0) {
            '\r' if self.at(1) == '\n' => {
                into.push('\n');
                self.mark.index += 1;
            }
            '\r' | '\n' | '\u{85}' => into.push('\n'),
            c @ ('\u{2028}' | '\u{2029}') => into.push(c),
            _ => return,
        }
        self.mark.index += 1;
        self.mark.column = 0;
        self.mark.line += 1;
    }

    pub(super) fn at_document_indicator(&self) -> bool {
        let three = |c| (0..3).all(|i| self.at(i) == c);
        self.mark.column == 0 && (three('-') || three('.')) && self.blankz(3)
    }

    /// The next token, left in the queue.
    pub(super) fn peek(&mut self) -> Result<&Token, Bad> {
        while self.wants_more()? {
            self.fetch()?;
        }
        self.tokens.front().map(|(token, _)| token).ok_or(Bad("the stream is closed"))
    }

    /// The characters of the token that [`Scanner::peek`] shows.
    pub(super) fn span(&self) -> Range<usize> {
        self.tokens.front().map_or(self.mark.index..self.mark.index, |(_, span)| span.clone())
    }

    /// Takes the token that [`Scanner::peek`] showed.
    pub(super) fn next(&mut self) -> Option<Token> {
        self.taken += 1;
        self.tokens.pop_front().map(|(token, _)| token)
    }

    fn wants_more(&mut self) -> Result<bool, Bad> {
        if self.tokens.is_empty() {
            return Ok(!self.ended);
        }
        self.drop_stale_keys()?;
        Ok(self.simple_keys.iter().any(|k| k.possible && k.token == self.taken))
    }

    fn fetch(&mut self) -> Result<(), Bad> {
        if !self.started {
            self.started = true;
            self.push(Token::StreamStart);
            return Ok(());
        }
        self.skip_to_token();
        self.drop_stale_keys()?;
        self.unroll_indent(Some(self.mark.column));
        self.start = self.mark.index;
        let c = self.at(0);
        match c {
            '\0' => self.stream_end(),
            '%' if self.mark.column == 0 => self.directive(),
            '-' if self.at_document_indicator() => self.document_indicator(Token::DocumentStart),
            '.' if self.at_document_indicator() => self.document_indicator(Token::DocumentEnd),
            '[' => self.flow_start(Token::FlowSequenceStart),
            '{' => self.flow_start(Token::FlowMappingStart),
            ']' => self.flow_end(Token::FlowSequenceEnd),
            '}' => self.flow_end(Token::FlowMappingEnd),
            ',' => self.flow_entry(),
            '-' if self.blankz(1) => self.block_entry(),
            '?' if self.flow_level > 0 || self.blankz(1) => self.key(),
            ':' if self.flow_level > 0 || self.blankz(1) => self.value(),
            '*' | '&' => self.anchor(c == '*'),
            '!' => self.tag(),
            '|' | '>' if self.flow_level == 0 => self.block_scalar(c == '|'),
            '\'' | '"' => self.flow_scalar(c == '\''),
            _ if self.starts_plain(c) => self.plain_scalar(),
            _ => Err(Bad("found a character that cannot start any token")),
        }
    }

    fn starts_plain(&self, c: char) -> bool {
        let blank_next = matches!(self.at(1), ' ' | '\t');
        match c {
            '-' => !blank_next,
            '?' | ':' => self.flow_level == 0 && !blank_next,
            _ => !self.blankz(0) && !",[]{}#&*!|>'\"%@`".contains(c),
        }
    }

    fn skip_to_token(&mut self) {
        loop {
            if self.mark.column == 0 && self.at(0) == '\u{feff}' {
                self.skip();
            }
            while self.at(0) == ' '
                || ((self.flow_level > 0 || !self.simple_key_allowed) && self.at(0) == '\t')
            {
                self.skip();
            }
            if self.at(0) == '#' {
                while !self.breakz() {
                    self.skip();
                }
            }
            if !self.is_break(0) {
                return;
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    fn drop_stale_keys(&mut self) -> Result<(), Bad> {
        for key in self.simple_keys.iter_mut().filter(|k| k.possible) {
            if key.mark.line < self.mark.line || key.mark.index + SIMPLE_KEY_MAX < self.mark.index {
                if key.required {
                    return Err(Bad("could not find expected ':'"));
                }
                key.possible = false;
            }
        }
        Ok(())
    }

    pub(super) fn save_simple_key(&mut self) -> Result<(), Bad> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let required = self.flow_level == 0 && self.indent == Some(self.mark.column);
        let token = self.taken + self.tokens.len();
        self.remove_simple_key()?;
        let key = SimpleKey { possible: true, required, token, mark: self.mark };
        *self.last_key() = key;
        Ok(())
    }

    pub(super) fn remove_simple_key(&mut self) -> Result<(), Bad> {
        let key = self.last_key();
        if key.possible && key.required {
            return Err(Bad("could not find expected ':'"));
        }
        key.possible = false;
        Ok(())
    }

    fn last_key(&mut self) -> &mut SimpleKey {
        self.simple_keys.last_mut().expect("the lowest level is never popped")
    }

    pub(super) fn push(&mut self, token: Token) {
        self.tokens.push_back((token, self.start..self.mark.index));
    }

    /// Opens a block collection where the text goes deeper; `number` is the token it stands in front of.
    fn roll_indent(&mut self, column: usize, number: Option<usize>, token: Token) {
        if self.flow_level > 0 || self.indent.is_some_and(|i| i >= column) {
            return;
        }
        self.indents.push(self.indent);
        self.indent = Some(column);
        match number {
            Some(number) => self.tokens.insert(number - self.taken, (token, self.start..self.start)),
            None => self.push(token),
        }
    }

    /// Closes block collections deeper than `column`; all of them for `None`.
    pub(super) fn unroll_indent(&mut self, column: Option<usize>) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.tokens.push_back((Token::BlockEnd, self.mark.index..self.mark.index));
            self.indent = self.indents.pop().flatten();
        }
    }

    fn stream_end(&mut self) -> Result<(), Bad> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll_indent(None);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.ended = true;
        self.push(Token::StreamEnd);
        Ok(())
    }

    fn document_indicator(&mut self, token: Token) -> Result<(), Bad> {
        self.unroll_indent(None);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        for _ in 0..3 {
            self.skip();
        }
        self.push(token);
        Ok(())
    }

    fn flow_start(&mut self, token: Token) -> Result<(), Bad> {
        if self.flow_level >= MAX_FLOW {
            return Err(Bad("brackets are nested too deep"));
        }
        self.save_simple_key()?;
        self.simple_keys.push(SimpleKey::default());
        self.flow_level += 1;
        self.simple_key_allowed = true;
        self.skip();
        self.push(token);
        Ok(())
    }

    fn flow_end(&mut self, token: Token) -> Result<(), Bad> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.simple_keys.pop();
        }
        self.simple_key_allowed = false;
        self.skip();
        self.push(token);
        Ok(())
    }

    fn flow_entry(&mut self) -> Result<(), Bad> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.skip();
        self.push(Token::FlowEntry);
        Ok(())
    }

    fn block_entry(&mut self) -> Result<(), Bad> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(Bad("block sequence entries are not allowed in this context"));
            }
            self.roll_indent(self.mark.column, None, Token::BlockSequenceStart);
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.skip();
        self.push(Token::BlockEntry);
        Ok(())
    }

    fn key(&mut self) -> Result<(), Bad> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(Bad("mapping keys are not allowed in this context"));
            }
            self.roll_indent(self.mark.column, None, Token::BlockMappingStart);
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.skip();
        self.push(Token::Key);
        Ok(())
    }

    fn value(&mut self) -> Result<(), Bad> {
        let key = *self.last_key();
        if key.possible {
            let at = key.mark.index;
            self.tokens.insert(key.token - self.taken, (Token::Key, at..at));
            self.roll_indent(key.mark.column, Some(key.token), Token::BlockMappingStart);
            self.last_key().possible = false;
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return Err(Bad("mapping values are not allowed in this context"));
                }
                self.roll_indent(self.mark.column, None, Token::BlockMappingStart);
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.skip();
        self.push(Token::Value);
        Ok(())
    }
}

/// The characters that libyaml's reader lets in.
fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        || c >= '\u{10000}'
}

/// libyaml's "alphabetical" characters: of ASCII only.
pub(super) fn is_alpha(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}
