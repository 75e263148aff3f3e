//! Loader configurations of anybody: where kernel arguments stand, what is included, what may go to make room.

use std::ops::Range;

use super::grub;
use crate::room::Loader;

/// One place with kernel arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The menu entry, as far as it has a name.
    pub(super) entry: String,
    /// The arguments; empty where there are none yet.
    pub(super) range: Range<usize>,
    /// What has to be in front of arguments where there are none yet.
    pub(super) lead: String,
}

/// What a configuration says.
#[derive(Default)]
pub(super) struct Config {
    pub(super) lines: Vec<Line>,
    /// Other files, as they are written.
    pub(super) includes: Vec<String>,
    /// Lines that are nothing but a comment, with their line ends.
    pub(super) comments: Vec<Range<usize>>,
}

impl Config {
    /// Notes a comment when its line has nothing else.
    pub(super) fn comment(&mut self, text: &str, range: Range<usize>) {
        let start = text[..range.start].rfind('\n').map_or(0, |n| n + 1);
        if text[start..range.start].trim().is_empty() {
            self.comments.push(start..(range.end + 1).min(text.len()));
        }
    }
}

/// Reads a configuration.
pub(super) fn parse(loader: Loader, text: &str) -> Config {
    match loader {
        Loader::Isolinux => isolinux(text),
        Loader::Grub => grub::parse(text),
    }
}

/// Whether a path looks like a Linux kernel, and not like another program that a loader can start: those take no
/// kernel arguments.
pub(super) fn is_linux(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let other = [".c32", ".com", ".cbt", ".bin", ".bs", ".bss", ".0", ".img", ".iso", ".efi", ".lkrn"];
    !name.contains("memtest") && !name.contains("memdisk") && !other.iter().any(|e| name.ends_with(e))
}

/// A `label` of ISOLINUX as far as it was read.
#[derive(Default)]
struct Label {
    name: String,
    is_linux: bool,
    /// Where its kernel line ends.
    kernel_end: usize,
    append: Option<Range<usize>>,
}

/// ISOLINUX: a statement a line, keywords of any case. An `append` above the first label is for all that have none.
fn isolinux(text: &str) -> Config {
    let mut config = Config::default();
    let mut labels: Vec<Label> = Vec::new();
    let mut common: Option<Range<usize>> = None;
    let mut help = false;
    let mut from = 0;
    for line in text.split_inclusive('\n') {
        let at = from + (line.len() - line.trim_start().len());
        let statement = line.trim();
        from += line.len();
        let (keyword, value) = statement.split_once([' ', '\t']).unwrap_or((statement, ""));
        let keyword = keyword.to_ascii_lowercase();
        let value = value.trim();
        let end = at + statement.len();
        let range = end - value.len()..end;
        match (keyword.as_str(), labels.last_mut()) {
            ("endtext", _) => help = false,
            _ if help => {}
            ("text", _) => help = value.eq_ignore_ascii_case("help"),
            (k, _) if k.starts_with('#') => config.comment(text, at..end),
            ("label", _) => labels.push(Label { name: value.to_owned(), ..Label::default() }),
            ("kernel" | "linux", Some(label)) => {
                label.is_linux = is_linux(value.split_whitespace().next().unwrap_or(value));
                label.kernel_end = end;
            }
            ("append", Some(label)) => label.append = Some(range),
            ("append", None) => common = Some(range),
            ("include" | "config", _) => {
                config.includes.extend(value.split_whitespace().next().map(str::to_owned))
            }
            ("menu", _) => config.includes.extend(menu_include(value)),
            _ => {}
        }
    }
    let entry = String::new();
    config.lines.extend(common.clone().map(|range| Line { entry, range, lead: String::new() }));
    let of_label = |l: Label| l.line(common.is_some());
    config.lines.extend(labels.into_iter().filter_map(of_label));
    config
}

impl Label {
    fn line(self, has_common: bool) -> Option<Line> {
        let (entry, lead) = (self.name, String::new());
        match self.append {
            _ if !self.is_linux => None,
            Some(range) => Some(Line { entry, range, lead }),
            None if has_common => None,
            None => {
                Some(Line { entry, range: self.kernel_end..self.kernel_end, lead: "\n  append ".to_owned() })
            }
        }
    }
}

fn menu_include(value: &str) -> Option<String> {
    let (keyword, file) = value.split_once([' ', '\t'])?;
    keyword.eq_ignore_ascii_case("include").then(|| file.split_whitespace().next().map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolinux_arguments_are_found_in_labels_that_start_linux() {
        let text = "# top\nDEFAULT a\r\nLABEL a\r\n  KERNEL /k\r\n  APPEND initrd=/i quiet\r\nlabel m\n kernel memtest.bin\n append -\n\
            label n\n linux /k2\ntext help\n # not a comment\nappend not\nendtext\nlabel c\n com32 chain.c32\n append hd0\n\
            label ipxe\n kernel /IPXE.LKRN\n append menu\n\
            menu include more.cfg Title\nINCLUDE x.cfg\n";
        let config = parse(Loader::Isolinux, text);
        let found: Vec<_> = config.lines.iter().map(|l| (l.entry.as_str(), &text[l.range.clone()])).collect();
        assert_eq!(found, [("a", "initrd=/i quiet"), ("n", "")]);
        assert_eq!(config.lines[1].lead, "\n  append ");
        assert_eq!(config.includes, ["more.cfg", "x.cfg"]);
        assert_eq!(config.comments.first(), Some(&(0..6)));
    }

    #[test]
    fn an_append_above_all_labels_is_one_place_for_those_that_have_none() {
        let text = "append quiet\nlabel a\n kernel k\nlabel b\n kernel k\n append x\n";
        let found: Vec<_> =
            parse(Loader::Isolinux, text).lines.into_iter().map(|l| text[l.range].to_owned()).collect();
        assert_eq!(found, ["quiet", "x"]);
    }
}
