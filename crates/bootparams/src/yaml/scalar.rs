//! Plain and quoted scalars.

use super::{
    Bad,
    scan::{Scanner, Token},
};

/// Blanks and breaks between the words of a scalar, until they are known to be inside it.
#[derive(Default)]
struct Gap {
    /// A line break was seen.
    broken: bool,
    spaces: String,
    first: String,
    rest: String,
}

impl Gap {
    /// Joins or folds what was seen: one LF becomes a space, more become one fewer.
    fn flush(&mut self, into: &mut String) {
        if !self.broken {
            into.push_str(&std::mem::take(&mut self.spaces));
            return;
        }
        if self.first.starts_with('\n') {
            into.push_str(if self.rest.is_empty() { " " } else { &self.rest });
        } else {
            into.push_str(&self.first);
            into.push_str(&self.rest);
        }
        self.first.clear();
        self.rest.clear();
    }

    fn take_blank(&mut self, s: &mut Scanner) {
        if self.broken {
            s.skip();
        } else {
            s.take(&mut self.spaces);
        }
    }

    fn take_break(&mut self, s: &mut Scanner) {
        if self.broken {
            s.take_line(&mut self.rest);
        } else {
            self.spaces.clear();
            s.take_line(&mut self.first);
            self.broken = true;
        }
    }
}

impl Scanner {
    pub(super) fn plain_scalar(&mut self) -> Result<(), Bad> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let indent = self.indent.map_or(0, |i| i + 1);
        let mut value = String::new();
        let mut gap = Gap::default();
        loop {
            if self.at_document_indicator() || self.at(0) == '#' {
                break;
            }
            self.plain_word(&mut value, &mut gap)?;
            if !(self.blank() || self.is_break(0)) {
                break;
            }
            while self.blank() || self.is_break(0) {
                if !self.blank() {
                    gap.take_break(self);
                } else if gap.broken && self.mark.column < indent && self.at(0) == '\t' {
                    return Err(Bad("found a tab character that violates indentation"));
                } else {
                    gap.take_blank(self);
                }
            }
            if self.flow_level == 0 && self.mark.column < indent {
                break;
            }
        }
        if gap.broken {
            self.simple_key_allowed = true;
        }
        self.push(Token::Scalar { value, plain: true });
        Ok(())
    }

    fn plain_word(&mut self, value: &mut String, gap: &mut Gap) -> Result<(), Bad> {
        while !self.blankz(0) {
            let c = self.at(0);
            let flow = self.flow_level > 0;
            if flow && c == ':' && !self.blankz(1) {
                return Err(Bad("found unexpected ':'"));
            }
            if (c == ':' && self.blankz(1)) || (flow && ",:?[]{}".contains(c)) {
                return Ok(());
            }
            gap.flush(value);
            gap.broken = false;
            self.take(value);
        }
        Ok(())
    }

    pub(super) fn flow_scalar(&mut self, single: bool) -> Result<(), Bad> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let quote = self.at(0);
        self.skip();
        let mut value = String::new();
        loop {
            if self.at_document_indicator() {
                return Err(Bad("found unexpected document indicator in a quoted scalar"));
            }
            if self.at(0) == '\0' {
                return Err(Bad("found unexpected end of stream in a quoted scalar"));
            }
            let mut gap = Gap { broken: self.quoted_word(&mut value, single)?, ..Gap::default() };
            if self.at(0) == quote {
                break;
            }
            while self.blank() || self.is_break(0) {
                if self.blank() {
                    gap.take_blank(self);
                } else {
                    gap.take_break(self);
                }
            }
            gap.flush(&mut value);
        }
        self.skip();
        self.push(Token::Scalar { value, plain: false });
        Ok(())
    }

    /// Takes characters up to a blank, a break or the closing quote; true after an escaped line break.
    fn quoted_word(&mut self, value: &mut String, single: bool) -> Result<bool, Bad> {
        while !self.blankz(0) {
            match (self.at(0), single) {
                ('\'', true) if self.at(1) == '\'' => {
                    value.push('\'');
                    self.skip();
                    self.skip();
                }
                ('\'', true) | ('"', false) => return Ok(false),
                ('\\', false) if self.is_break(1) => {
                    self.skip();
                    self.skip_line();
                    return Ok(true);
                }
                ('\\', false) => self.escape(value)?,
                _ => self.take(value),
            }
        }
        Ok(false)
    }

    fn escape(&mut self, value: &mut String) -> Result<(), Bad> {
        let digits = match self.at(1) {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            c => {
                value.push(short_escape(c).ok_or(Bad("found unknown escape character"))?);
                0
            }
        };
        self.skip();
        self.skip();
        if digits == 0 {
            return Ok(());
        }
        let mut code = 0_u32;
        for _ in 0..digits {
            let digit = self.at(0).to_digit(16).ok_or(Bad("did not find expected hexadecimal number"))?;
            code = code.wrapping_mul(16) + digit;
            self.skip();
        }
        value.push(char::from_u32(code).ok_or(Bad("found invalid Unicode character escape code"))?);
        Ok(())
    }
}

fn short_escape(c: char) -> Option<char> {
    Some(match c {
        '0' => '\0',
        'a' => '\x07',
        'b' => '\x08',
        't' | '\t' => '\t',
        'n' => '\n',
        'v' => '\x0b',
        'f' => '\x0c',
        'r' => '\r',
        'e' => '\x1b',
        ' ' | '"' | '/' | '\\' => c,
        'N' => '\u{85}',
        '_' => '\u{a0}',
        'L' => '\u{2028}',
        'P' => '\u{2029}',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::ConfigValue;
    use super::super::document;

    #[test]
    fn each_escape_of_double_quotes_is_its_character() {
        let text = r#"a: "\0\a\b\t\n\v\f\r\e\ \"\/\\\N\_\L\P\x41\u00e9\U0001f600""#;
        let want = "\0\u{7}\u{8}\t\n\u{b}\u{c}\r\u{1b} \"/\\\u{85}\u{a0}\u{2028}\u{2029}Aé\u{1f600}";
        let read = document::read(text).unwrap().node();
        assert_eq!(read.get(["a"]), Some(&ConfigValue::Str(want.to_owned())));
        assert!(document::read(r#"a: "\q""#).is_err());
    }
}
