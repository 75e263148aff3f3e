//! Anchors, aliases, tags and directives.

use super::{
    Bad,
    scan::{Scanner, Token, is_alpha},
};

impl Scanner {
    pub(super) fn anchor(&mut self, alias: bool) -> Result<(), Bad> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.skip();
        let mut name = String::new();
        while is_alpha(self.at(0)) {
            self.take(&mut name);
        }
        if name.is_empty() || !(self.blankz(0) || "?:,]}%@`".contains(self.at(0))) {
            return Err(Bad("did not find expected alphabetic or numeric character"));
        }
        self.push(if alias { Token::Alias(name) } else { Token::Anchor(name) });
        Ok(())
    }

    pub(super) fn tag(&mut self) -> Result<(), Bad> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let (handle, suffix) = match self.at(1) {
            '<' => {
                self.skip();
                self.skip();
                let suffix = self.tag_uri(String::new())?;
                if self.at(0) != '>' {
                    return Err(Bad("did not find the expected '>'"));
                }
                self.skip();
                // libyaml sets an empty handle here, candiedyaml none at all: the tag is forgotten.
                (None, suffix)
            }
            ' ' | '\t' => {
                self.skip();
                (None, String::new())
            }
            _ => self.tag_short()?,
        };
        if !self.blankz(0) {
            return Err(Bad("did not find expected whitespace or line break after a tag"));
        }
        self.push(Token::Tag { handle, suffix });
        Ok(())
    }

    /// `!handle!suffix` or `!suffix`.
    fn tag_short(&mut self) -> Result<(Option<String>, String), Bad> {
        let mut handle = String::new();
        self.take(&mut handle);
        while is_alpha(self.at(0)) {
            self.take(&mut handle);
        }
        if self.at(0) == '!' {
            self.take(&mut handle);
            let suffix = self.tag_uri(String::new())?;
            return Ok((Some(handle), suffix));
        }
        let suffix = self.tag_uri(handle.split_off(1))?;
        Ok((Some("!".to_owned()), suffix))
    }

    fn tag_uri(&mut self, mut uri: String) -> Result<String, Bad> {
        loop {
            let c = self.at(0);
            if c == '%' {
                self.uri_escape(&mut uri)?;
            } else if is_alpha(c) || (c != '\0' && ";/?:@&=+$,.!~*'()[]".contains(c)) {
                self.take(&mut uri);
            } else if uri.is_empty() {
                return Err(Bad("did not find expected tag URI"));
            } else {
                return Ok(uri);
            }
        }
    }

    /// `%xx` octets that together are one UTF-8 character.
    fn uri_escape(&mut self, uri: &mut String) -> Result<(), Bad> {
        let mut octets = Vec::new();
        let mut width = 1;
        while octets.len() < width {
            let (high, low) = (self.at(1).to_digit(16), self.at(2).to_digit(16));
            let (true, Some(high), Some(low)) = (self.at(0) == '%', high, low) else {
                return Err(Bad("did not find URI escaped octet"));
            };
            let octet = u8::try_from(high * 16 + low).expect("two hexadecimal digits");
            if octets.is_empty() {
                width = match octet {
                    0x00..0x80 => 1,
                    0xc0..0xe0 => 2,
                    0xe0..0xf0 => 3,
                    0xf0..0xf8 => 4,
                    _ => return Err(Bad("found an incorrect leading UTF-8 octet")),
                };
            } else if octet & 0xc0 != 0x80 {
                return Err(Bad("found an incorrect trailing UTF-8 octet"));
            }
            octets.push(octet);
            for _ in 0..3 {
                self.skip();
            }
        }
        uri.push_str(&String::from_utf8_lossy(&octets));
        Ok(())
    }

    /// `%YAML 1.1` and `%TAG !handle! prefix`, with all of their line.
    pub(super) fn directive(&mut self) -> Result<(), Bad> {
        self.unroll_indent(None);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.skip();
        let token = match self.word().as_str() {
            "YAML" => Token::Version(self.word()),
            "TAG" => Token::TagPrefix { handle: self.word(), prefix: self.word() },
            _ => return Err(Bad("found unknown directive name")),
        };
        self.blanks();
        if self.at(0) == '#' {
            while !self.breakz() {
                self.skip();
            }
        }
        if !self.breakz() {
            return Err(Bad("did not find expected comment or line break after a directive"));
        }
        self.push(token);
        Ok(())
    }

    /// The characters up to the next blank, and the blanks before them.
    fn word(&mut self) -> String {
        self.blanks();
        let mut word = String::new();
        while !self.blankz(0) {
            self.take(&mut word);
        }
        word
    }

    fn blanks(&mut self) {
        while matches!(self.at(0), ' ' | '\t') {
            self.skip();
        }
    }
}
