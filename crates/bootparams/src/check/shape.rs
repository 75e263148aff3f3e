//! How the line is taken apart, before any value matters.

use std::collections::HashMap;

use super::{LineChecker, Setting, secrets};
use crate::{
    codes, kernel,
    line::{self, Word},
    tree::{ConfigValue, Crash},
};

impl LineChecker<'_> {
    pub(super) fn shape(&mut self) {
        self.control_characters();
        self.groups();
        for word in self.words {
            self.first_letters(word);
        }
        self.after_dashes();
        for i in 0..self.settings.len() {
            self.value_shape(i);
        }
    }

    fn control_characters(&mut self) {
        if self.line.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return;
        }
        let mut quoted = false;
        for (at, c) in self.line.trim_end().char_indices() {
            quoted ^= c == '"';
            let separates = c == '\t' && !quoted;
            if separates || (c.is_control() && c != '\t') {
                let name = if c == '\t' { "a tab" } else { "a control character" };
                self.found.say(
                    &codes::CONTROL,
                    at..at + c.len_utf8(),
                    format!("{name} does not separate words here"),
                    "what follows belongs to the value before it",
                    "write a blank",
                );
            }
        }
    }

    /// Groups that stay open, and groups that took in words of ours.
    fn groups(&mut self) {
        if !self.dialect.is_some_and(|d| d.groups) {
            return;
        }
        let opens = |c| c == '[' || line::is_quotation_mark(c);
        for word in self.words.iter().filter(|w| w.text.contains(opens)) {
            let Some((opener, closed)) = open_group(&word.text) else { continue };
            let inner = &word.text[opener..];
            let swallowed =
                inner.split(' ').skip(1).find(|w| w.starts_with("rancher.") || w.starts_with("cc."));
            if closed && swallowed.is_none() {
                continue;
            }
            let mark = inner.chars().next().unwrap_or('"');
            let at = word.span.start + origin(self.line, word, opener);
            let lost = swallowed.map(|w| w.split('=').next().unwrap_or(w)).unwrap_or_default();
            let message = match (closed, lost) {
                (false, "") => format!("`{mark}` is never closed"),
                (false, lost) => format!("`{mark}` is never closed and takes in `{lost}`"),
                (true, lost) => format!("`{mark}` begins a group that takes in `{lost}`"),
            };
            let span = at..at + mark.len_utf8();
            let at_boot = "everything up to the closing mark, or to the end of the line, is one word";
            self.found.say(
                &codes::SWALLOWED,
                span,
                message,
                at_boot,
                "close it, remove it, or move the word to the end",
            );
        }
    }

    fn first_letters(&mut self, word: &Word) {
        let first = word.text.chars().next().unwrap_or(' ');
        if !("rRcC".contains(first) || line::is_quotation_mark(first)) {
            return;
        }
        let bare = word.text.trim_start_matches(line::is_quotation_mark);
        let lower = word.name().to_ascii_lowercase();
        let ours = |text: &str| text.starts_with("rancher.") || text.starts_with("cc.");
        if bare.len() < word.text.len() && ours(bare) {
            let key = bare.split('=').next().unwrap_or(bare);
            let message = format!("`{key}` follows a quotation mark and is not read");
            let help = format!("write `{key}=\"…\"`, with the quotes around the value");
            self.found.say(&codes::QUOTED_WORD, word.span.clone(), message, "the word is ignored", help);
        } else if ours(&lower) && self.dialect.is_some_and(|d| word.path(d).is_none()) {
            let message = format!("`{}` is not read", word.name());
            let help = if ours(word.name()) {
                "`cc.` is read from 0.8.0 on; set it in a cloud-config".to_owned()
            } else {
                format!("write `{lower}`")
            };
            self.found.say(&codes::CASE, word.span.clone(), message, "the word is ignored", help);
        }
    }

    fn after_dashes(&mut self) {
        let Some(dashes) = kernel::args(self.line).find(|a| a.name == "--" && a.value.is_none()) else {
            return;
        };
        let behind: Vec<&Word> = self.words.iter().filter(|w| w.span.start > dashes.span.start).collect();
        for word in behind {
            let name = word.name();
            if name == "rancher.password" || name == "rancher.autologin" {
                let message = format!("`{name}` comes after `--`");
                let help = "write it before `--`";
                let at_boot = "it is read from /proc/cmdline, where the kernel may have cut it off";
                self.found.say(&codes::AFTER_DASHES, word.span.clone(), message, at_boot, help);
            }
            let ours = self.dialect.is_some_and(|d| d.after_dashes && word.path(d).is_some());
            let value = word.value().unwrap_or_default();
            if ours && value.starts_with('"') && value.ends_with('"') && value.contains(' ') {
                let message = format!("the quotes of `{name}` are lost before init gets it");
                let help = "write it before `--`";
                self.found.say(
                    &codes::DASHES_QUOTES,
                    word.span.clone(),
                    message,
                    "the value is cut at its first blank",
                    help,
                );
            }
        }
    }

    fn value_shape(&mut self, i: usize) {
        let setting = &self.settings[i];
        let (span, name) = (setting.span(), setting.word.name().to_owned());
        let written = setting.written().unwrap_or_default();
        let begins = written.chars().next().unwrap_or(' ');
        match &setting.node {
            Err(crash) => {
                let at_boot = match crash {
                    Crash::Panic => "PID 1 dies, and the kernel panics",
                    _ => "the boot hangs",
                };
                let message = format!("the value of `{name}` cannot be read: {crash}");
                self.found.say(&codes::CRASH, span, message, at_boot, "write it as a text in double quotes");
            }
            Ok(_) if begins == '{' => {
                let message = format!("the value of `{name}` is a map in braces");
                let at_boot = if written == "{}" {
                    "it is empty, and sets nothing"
                } else {
                    "it is a text, or a map with garbled keys"
                };
                let help = format!("write each key with dots: `{name}.KEY=VALUE`");
                self.found.say(&codes::BRACES, span, message, at_boot, help);
            }
            Ok(ConfigValue::Str(text)) if "'\"[".contains(begins) && text == written && written.len() > 1 => {
                let yaml = self.dialect.is_some_and(|d| d.yaml);
                let grouped = self.dialect.is_some_and(|d| d.groups);
                let cut = !grouped && !self.cut_behind(&span).is_empty();
                let (code, at_boot) = if cut {
                    (&codes::SWALLOWED, "the value is cut at its first blank")
                } else {
                    (&codes::RAW, "the value is the raw text, quotes and brackets included")
                };
                let what = if yaml { "is not YAML" } else { "is not unquoted" };
                let help = if grouped {
                    "balance its quotes and brackets"
                } else {
                    "quotes do not keep blanks together here; write a blank as \\x20 in double quotes, from 0.4.5 on"
                };
                self.found.say(code, span, format!("the value of `{name}` {what}"), at_boot, help);
            }
            Ok(_) => {}
        }
    }

    /// The next word, when nothing but a blank lies between.
    fn cut_behind(&self, span: &std::ops::Range<usize>) -> &str {
        let rest = self.line.get(span.end..).unwrap_or_default().trim_start_matches(' ');
        let word = rest.split(' ').next().unwrap_or_default();
        if word.contains('=') { "" } else { word }
    }

    /// Words that undo others: the same key again, a value above, a value below.
    pub(super) fn overlaps(&mut self) {
        let mut last: HashMap<String, usize> = HashMap::new();
        let mut notes = Vec::new();
        // A map's path and the first word that set something below it.
        let mut below: HashMap<String, usize> = HashMap::new();
        for i in 0..self.settings.len() {
            let setting = &self.settings[i];
            let path = setting.path.clone();
            let parents: Vec<&str> = path.match_indices('.').map(|(at, _)| &path[..at]).collect();
            let above = parents.iter().find_map(|p| last.get(*p).filter(|j| is_value(&self.settings[**j])));
            if let Some(&j) = above {
                notes.push((&codes::DROPPED, i, j));
                self.settings[i].lost = true;
                continue;
            }
            if let Some(j) = last.insert(path.clone(), i).filter(|_| path != "rancher.autologin") {
                self.settings[j].lost = true;
                notes.push((&codes::DUPLICATE, j, i));
            }
            if let Some(j) = below.remove(&path) {
                notes.push((&codes::REPLACED, j, i));
                let prefix = format!("{path}.");
                last.retain(|p, j| {
                    !p.starts_with(&prefix) || {
                        self.settings[*j].lost = true;
                        false
                    }
                });
                below.retain(|p, _| !p.starts_with(&prefix));
            }
            for parent in parents {
                below.entry(parent.to_owned()).or_insert(i);
            }
        }
        for (code, about, by) in notes {
            let (about, by) = (&self.settings[about], &self.settings[by]);
            let (span, message) =
                (about.span(), format!("`{}` has no effect, because of `{}`", about.path, by.path));
            let (at_boot, help) = if std::ptr::eq(code, &codes::DROPPED) {
                ("it is silently dropped", "remove the other one")
            } else {
                ("the last one wins", "keep one of them")
            };
            self.found.say(code, span, message, at_boot, help);
        }
    }
}

fn is_value(setting: &Setting<'_>) -> bool {
    !matches!(setting.node, Ok(ConfigValue::Map(_)))
}

/// The first group of a word that is open at its end, or else the first that has a blank inside; with its
/// opener's place and whether it is closed.
fn open_group(text: &str) -> Option<(usize, bool)> {
    let mut group: Option<(usize, char)> = None;
    let mut with_blank = None;
    for (at, c) in text.char_indices() {
        match group {
            Some((from, closer)) if c == closer => {
                if with_blank.is_none() && text[from..at].contains(' ') {
                    with_blank = Some((from, true));
                }
                group = None;
            }
            Some(_) => {}
            None if c == '[' => group = Some((at, ']')),
            None if line::is_quotation_mark(c) => group = Some((at, c)),
            None => {}
        }
    }
    group.map(|(at, _)| (at, false)).or(with_blank)
}

/// Where a byte of a word's text is in the word as written, which may have backslashes more.
fn origin(line: &str, word: &Word, at: usize) -> usize {
    let raw = &line[word.span.clone()];
    let mut seen = 0;
    let mut chars = raw.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        let dropped = raw.len() > word.text.len()
            && c == '\\'
            && chars.peek().is_some_and(|(_, n)| *n == '"' || *n == '\'');
        if dropped {
            continue;
        }
        if seen >= at {
            return i;
        }
        seen += c.len_utf8();
    }
    secrets::last_char(raw)
}
