//! Literal (`|`) and folded (`>`) scalars. On one line they hold nothing, but NEL, LS and PS break lines too.

use super::{
    Bad,
    scan::{Scanner, Token},
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomp {
    Clip,
    Strip,
    Keep,
}

impl Scanner {
    pub(super) fn block_scalar(&mut self, literal: bool) -> Result<(), Bad> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.skip();
        let (chomp, increment) = self.block_header()?;
        let mut indent = increment.map_or(0, |n| self.indent.unwrap_or(0) + n);
        let mut breaks = String::new();
        self.block_breaks(&mut indent, &mut breaks)?;
        let mut value = String::new();
        let mut lead = String::new();
        let mut was_blank = false;
        while self.mark.column == indent && self.at(0) != '\0' {
            let is_blank = self.blank();
            if !literal && lead.starts_with('\n') && !was_blank && !is_blank {
                if breaks.is_empty() {
                    value.push(' ');
                }
            } else {
                value.push_str(&lead);
            }
            lead.clear();
            value.push_str(&std::mem::take(&mut breaks));
            was_blank = is_blank;
            while !self.breakz() {
                self.take(&mut value);
            }
            self.take_line(&mut lead);
            self.block_breaks(&mut indent, &mut breaks)?;
        }
        if chomp != Chomp::Strip {
            value.push_str(&lead);
        }
        if chomp == Chomp::Keep {
            value.push_str(&breaks);
        }
        self.push(Token::Scalar { value, plain: false });
        Ok(())
    }

    /// The indicators behind `|` or `>`, up to and with the end of the line.
    fn block_header(&mut self) -> Result<(Chomp, Option<usize>), Bad> {
        let mut chomp = self.chomp();
        let increment = match self.at(0).to_digit(10) {
            Some(0) => return Err(Bad("found an indentation indicator equal to 0")),
            digit => digit.map(|d| d as usize),
        };
        if increment.is_some() {
            self.skip();
            if chomp.is_none() {
                chomp = self.chomp();
            }
        }
        while self.blank() {
            self.skip();
        }
        if self.at(0) == '#' {
            while !self.breakz() {
                self.skip();
            }
        }
        if !self.breakz() {
            return Err(Bad("did not find expected comment or line break after a block scalar's head"));
        }
        self.skip_line();
        Ok((chomp.unwrap_or(Chomp::Clip), increment))
    }

    fn chomp(&mut self) -> Option<Chomp> {
        let chomp = match self.at(0) {
            '+' => Chomp::Keep,
            '-' => Chomp::Strip,
            _ => return None,
        };
        self.skip();
        Some(chomp)
    }

    /// Eats indentation and empty lines; finds out the indentation where it is not known (0).
    fn block_breaks(&mut self, indent: &mut usize, breaks: &mut String) -> Result<(), Bad> {
        let mut widest = 0;
        loop {
            let inside = |s: &Self| *indent == 0 || s.mark.column < *indent;
            while inside(self) && self.at(0) == ' ' {
                self.skip();
            }
            widest = widest.max(self.mark.column);
            if inside(self) && self.at(0) == '\t' {
                return Err(Bad("found a tab character where an indentation space is expected"));
            }
            if !self.is_break(0) {
                break;
            }
            self.take_line(breaks);
        }
        if *indent == 0 {
            *indent = widest.max(self.indent.map_or(0, |i| i + 1)).max(1);
        }
        Ok(())
    }
}
