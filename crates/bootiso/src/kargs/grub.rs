//! The part of GRUB's shell that says where kernel arguments stand: words, quotes, comments, commands.

use std::ops::Range;

use super::{
    config::{Config, Line, is_linux},
    words::Word,
};

/// A piece of a script.
enum Piece {
    Word(Word),
    /// The end of a command.
    End,
    Comment(Range<usize>),
}

/// Splits a script. Variables stay as they are written.
fn pieces(text: &str) -> Vec<Piece> {
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
fn word(text: &str, start: usize) -> Word {
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
    Word { range: start..end, value }
}

/// The words of a command's arguments.
pub(super) fn words(text: &str) -> Vec<Word> {
    let only_words = |p| if let Piece::Word(word) = p { Some(word) } else { None };
    pieces(text).into_iter().filter_map(only_words).collect()
}

/// Where the script starts kernels, what it includes, and its comments.
pub(super) fn parse(text: &str) -> Config {
    let mut config = Config::default();
    let mut entry = String::new();
    let mut command: Vec<Word> = Vec::new();
    for piece in pieces(text).into_iter().chain([Piece::End]) {
        match piece {
            Piece::Word(word) if command.is_empty() && is_keyword(&word.value) => {}
            Piece::Word(word) => command.push(word),
            Piece::Comment(range) => config.comment(text, range),
            Piece::End => {
                finish(&command, &mut entry, &mut config);
                command.clear();
            }
        }
    }
    config
}

fn is_keyword(word: &str) -> bool {
    matches!(word, "then" | "else" | "do" | "if" | "elif" | "while" | "until" | "!")
}

fn finish(command: &[Word], entry: &mut String, config: &mut Config) {
    let [name, first, rest @ ..] = command else { return };
    match name.value.as_str() {
        "menuentry" => entry.clone_from(&first.value),
        "configfile" | "source" | "." => config.includes.push(first.value.clone()),
        "linux" | "linux16" | "linuxefi" if is_linux(&first.value) => {
            let range = match rest {
                [] => first.range.end..first.range.end,
                [a, ..] => a.range.start..rest[rest.len() - 1].range.end,
            };
            let lead = if rest.is_empty() { " " } else { "" };
            config.lines.push(Line { entry: entry.clone(), range, lead: lead.to_owned() });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_wherever_they_stand() {
        let text = "# c\nset x='a # b'\nmenuentry \"One\" { linux /vmlinuz quiet a='b c' ; initrd /i }\n\
            if true; then linux16 /k\n  fi\nlinux /memtest86+ x\nmenuentry Two {\n linuxefi /k a \\\n  b # end\n}\nsource $prefix/x.cfg\n";
        let config = parse(text);
        let found: Vec<_> = config.lines.iter().map(|l| (l.entry.as_str(), &text[l.range.clone()])).collect();
        assert_eq!(found, [("One", "quiet a='b c'"), ("One", ""), ("Two", "a \\\n  b")]);
        assert_eq!(config.includes, ["$prefix/x.cfg"]);
        assert_eq!(config.comments.first(), Some(&(0..4)));
        assert_eq!(
            words("a='b c' \"d \\\" $e\"f g\\ h ${i}j").into_iter().map(|w| w.value).collect::<Vec<_>>(),
            ["a=b c", "d \" $ef", "g h", "${i}j"]
        );
    }
}
