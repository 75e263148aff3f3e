//! GRUB's shell as far as it is text: words, quotes, comments, variables.

use std::ops::Range;

pub(super) use super::words::ConfigWord;

/// A piece of a script.
pub(super) enum Piece {
    Word(ConfigWord),
    /// The end of a command.
    End,
    Comment(Range<usize>),
}

/// Splits a script. Variables stay as they are written.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' => at += 1,
            b'\\' if bytes.get(at + 1) == Some(&b'\n') => at += 2,
            b'\n' | b';' | b'{' | b'}' | b'|' | b'&' | b'<' | b'>' => {
                found.push(Piece::End);
                at += 1;
            }
            b'#' => {
                let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
                found.push(Piece::Comment(at..end));
                at = end;
            }
            _ => {
                let word = word(text, at);
                at = word.range.end;
                found.push(Piece::Word(word));
            }
        }
    }
    found
}

/// The word that begins at `start`.
fn word(text: &str, start: usize) -> ConfigWord {
    let mut value = String::new();
    let mut chars = text[start..].char_indices().peekable();
    let mut quote = None;
    let mut end = text.len();
    while let Some((i, c)) = chars.next() {
        match (quote, c) {
            (None | Some('"'), '$') if chars.peek().is_some_and(|(_, c)| *c == '{') => {
                value.push(c);
                value.extend(chars.by_ref().map(|(_, c)| c).take_while(|c| *c != '}'));
                value.push('}');
            }
            (None, ' ' | '\t' | '\r' | '\n' | ';' | '{' | '}' | '|' | '&' | '<' | '>') => {
                end = start + i;
                break;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if c == q => quote = None,
            (None, '\\') => value.extend(chars.next().map(|(_, c)| c).filter(|c| *c != '\n')),
            // In double quotes, a backslash escapes only what would mean something there.
            (Some('"'), '\\') if chars.peek().is_some_and(|(_, c)| matches!(c, '$' | '"' | '\\')) => {
                value.extend(chars.next().map(|(_, c)| c));
            }
            (_, c) => value.push(c),
        }
    }
    ConfigWord { range: start..end, value }
}

/// The words of a command's arguments.
pub(super) fn words(text: &str) -> Vec<ConfigWord> {
    let only_words = |p| if let Piece::Word(word) = p { Some(word) } else { None };
    pieces(text).into_iter().filter_map(only_words).collect()
}

/// A variable where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) name: String,
    /// From the `$` on.
    pub(super) range: Range<usize>,
}

impl Use {
    /// Its name; `@` for every argument of the function around it.
    pub(super) fn variable(self) -> String {
        let is_argument = self.name.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'@' | b'*'));
        if is_argument { "@".to_owned() } else { self.name }
    }
}

/// The variables in a text, but for those in single quotes.
pub(super) fn uses(text: &str) -> Vec<Use> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut quote = None;
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None | Some(b'"'), b'\\') => at += 1,
            (None, q @ (b'"' | b'\'')) => quote = Some(q),
            (Some(q), b) if q == b => quote = None,
            (None | Some(b'"'), b'$') => {
                let (name, length) = variable(&text[at + 1..]);
                if !name.is_empty() {
                    found.push(Use { name: name.to_owned(), range: at..at + 1 + length });
                }
                at += length;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The name of the variable that follows a `$`, and how much of the text it takes.
fn variable(text: &str) -> (&str, usize) {
    if let Some(rest) = text.strip_prefix('{') {
        return rest.split_once('}').map_or(("", 0), |(name, _)| (name, name.len() + 2));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = match text.chars().next() {
        Some('0'..='9' | '@' | '*' | '#' | '?') => 1,
        _ => text.find(|c| !is_name(c)).unwrap_or(text.len()),
    };
    (&text[..length], length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_where_the_shell_ends_them() {
        let values = words("a='b c' \"d \\\" $e\"f g\\ h ${i}j").into_iter().map(|w| w.value);
        assert_eq!(values.collect::<Vec<_>>(), ["a=b c", "d \" $ef", "g h", "${i}j"]);
    }

    #[test]
    fn variables_are_found_outside_of_single_quotes() {
        let text = "$a \"${b}c$1\" '$no' \\$no x=$d_1/$@";
        let names: Vec<_> = uses(text).into_iter().map(|u| u.name).collect();
        assert_eq!(names, ["a", "b", "1", "d_1", "@"]);
        assert_eq!(&text[uses(text)[1].range.clone()], "${b}");
    }
}
