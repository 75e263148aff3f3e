//! ISOLINUX and its relatives: a statement a line, keywords of any case (`com32/elflink/ldlinux/readconfig.c`).

use std::{collections::BTreeSet, ops::Range};

use super::config::{
    ArgsLine, FixedArgs, LoaderConfig, file_name, is_other_program, line_end, looks_like_linux,
    starts_inner_image,
};
use super::place::joined;

/// A `label` as far as it was read.
#[derive(Default)]
struct Label {
    name: String,
    kernel: Option<LabelKernel>,
    append: Option<Range<usize>>,
    /// Where its last statement ends.
    end: usize,
}

/// What a label starts.
struct LabelKernel {
    /// The keyword, in lower case.
    keyword: String,
    file: String,
    /// What stands behind the file: ISOLINUX puts it in front of the label's `append`.
    args: Range<usize>,
}

/// A statement with where its value stands.
struct CfgStatement<'t> {
    keyword: String,
    value: &'t str,
    range: Range<usize>,
}

/// Words of the commands that choose an entry, which may add arguments to it.
const CHOICES: [&str; 3] = ["default", "ontimeout", "onerror"];

/// Reads a configuration. With `has_common`, a file that includes this one gives arguments to labels without any.
pub(super) fn parse(text: &str, has_common: bool) -> LoaderConfig {
    let mut config = LoaderConfig { has_common, ..LoaderConfig::default() };
    let mut labels: Vec<Label> = Vec::new();
    let mut common: Option<Range<usize>> = None;
    let mut choices = Vec::new();
    let mut help = false;
    let mut from = 0;
    for line in text.split_inclusive('\n') {
        let statement = statement(line, from);
        from += line.len();
        let value = statement.value;
        let range = statement.range.clone();
        if !help && !line.trim_start().starts_with('#') {
            config.indent(text, from - line.trim_start().len());
        }
        match (statement.keyword.as_str(), labels.last_mut()) {
            ("endtext", _) => help = false,
            _ if help => {}
            ("text", _) => help = value.eq_ignore_ascii_case("help"),
            (k, _) if k.starts_with('#') => config.comment(text, range.end - line.trim().len()..range.end),
            ("label", _) => {
                labels.push(Label { name: value.to_owned(), end: range.end, ..Label::default() });
            }
            ("append", Some(label)) => (label.append, label.end) = (Some(range.clone()), range.end),
            ("append", None) => common = Some(range),
            ("include", _) => config.includes.extend(first_word(value)),
            ("config", _) => {
                config.includes.extend(first_word(value));
                config.folders.extend(value.split_whitespace().nth(1).map(str::to_owned));
            }
            ("menu", _) => config.includes.extend(menu_include(value)),
            ("ui", _) => config.includes.extend(value.split_whitespace().skip(1).map(str::to_owned)),
            (choice, _) if CHOICES.contains(&choice) => choices.push(range),
            (keyword, Some(label)) if is_kernel(keyword) => label.starts(&statement),
            _ => {}
        }
    }
    config.has_common |= common.is_some();
    config.lines.extend(common.map(|range| ArgsLine {
        parts: vec![range],
        dash: true,
        takes_words: true,
        ..ArgsLine::default()
    }));
    choose(text, &choices, &labels, &mut config);
    for label in labels {
        label.finish(text, &mut config);
    }
    config
}

fn statement(line: &str, from: usize) -> CfgStatement<'_> {
    let at = from + (line.len() - line.trim_start().len());
    let statement = line.trim();
    let (keyword, value) = statement.split_once([' ', '\t']).unwrap_or((statement, ""));
    let value = value.trim();
    let end = at + statement.len();
    CfgStatement { keyword: keyword.to_ascii_lowercase(), value, range: end - value.len()..end }
}

fn is_kernel(keyword: &str) -> bool {
    matches!(keyword, "kernel" | "linux" | "com32" | "boot" | "bss" | "pxe" | "fdimage" | "comboot" | "com")
}

fn first_word(value: &str) -> Option<String> {
    value.split_whitespace().next().map(str::to_owned)
}

fn menu_include(value: &str) -> Option<String> {
    let (keyword, file) = value.split_once([' ', '\t'])?;
    keyword.eq_ignore_ascii_case("include").then(|| first_word(file))?
}

/// `default LABEL words` adds words to those of the label; `default FILE words` starts a kernel without a label.
fn choose(text: &str, choices: &[Range<usize>], labels: &[Label], config: &mut LoaderConfig) {
    let names: BTreeSet<_> = labels.iter().map(|l| l.name.to_ascii_lowercase()).collect();
    for range in choices {
        let value = &text[range.clone()];
        let Some((first, rest)) = value.split_once([' ', '\t']) else { continue };
        // What follows a menu's module is a file of its own.
        if file_name(first).ends_with(".c32") {
            config.includes.extend(first_word(rest));
            config.fixed.extend(passed_on(module(first), rest, format!("default {first}")));
            continue;
        }
        let is_kernel = !names.contains(&first.to_ascii_lowercase()) && looks_like_linux(first);
        let part = range.end - rest.trim_start().len()..range.end;
        let entry = format!("default {first}");
        config.lines.push(ArgsLine {
            entry,
            parts: vec![part],
            takes_words: is_kernel,
            ..ArgsLine::default()
        });
    }
}

impl Label {
    fn starts(&mut self, statement: &CfgStatement<'_>) {
        let file = statement.value.split_whitespace().next().unwrap_or_default();
        let rest = statement.value[file.len()..].trim_start();
        let args = statement.range.end - rest.len()..statement.range.end;
        self.kernel = Some(LabelKernel { keyword: statement.keyword.clone(), file: file.to_owned(), args });
        self.end = self.end.max(statement.range.end);
    }

    fn finish(self, text: &str, config: &mut LoaderConfig) {
        let Some(kernel) = &self.kernel else {
            // A label without a kernel starts the file that it is named after.
            let (before, name) = (config.lines.len(), self.name.clone());
            if !is_other_program(&name) {
                self.linux(text, None, config);
                let by_content = !looks_like_linux(&name);
                config.lines[before..].iter_mut().for_each(|l| l.program = by_content.then(|| name.clone()));
            }
            return;
        };
        match module(&kernel.file).as_str() {
            "linux" => self.through_linux_c32(text, config),
            "mboot" => self.through_mboot_c32(text, config),
            "menu" | "vesamenu" | "config" => {
                let files = self.append.iter().flat_map(|r| text[r.clone()].split_whitespace());
                config.includes.extend(files.map(str::to_owned));
                config.includes.extend(text[kernel.args.clone()].split_whitespace().map(str::to_owned));
            }
            _ if is_linux(&kernel.keyword, &kernel.file) => {
                let args = kernel.args.clone();
                config.programs.push(kernel.file.clone());
                self.linux(text, Some(args), config);
            }
            module => {
                let words = joined(self.parts().map(|part| &text[part]).collect());
                if starts_inner_image(&kernel.file, words.split_whitespace()) {
                    let reason = "it starts an image within this one, by way of memdisk".to_owned();
                    config.fixed.push(FixedArgs::continued(self.name, reason));
                } else {
                    config.fixed.extend(passed_on(module.to_owned(), &words, self.name));
                }
            }
        }
    }

    /// What stands behind the kernel's file, and the `append`.
    fn parts(&self) -> impl Iterator<Item = Range<usize>> {
        let args = self.kernel.iter().map(|kernel| kernel.args.clone());
        args.chain(self.append.clone()).filter(|part| !part.is_empty())
    }

    /// A kernel that ISOLINUX itself starts: what stands behind its file, then the `append`.
    fn linux(self, text: &str, args: Option<Range<usize>>, config: &mut LoaderConfig) {
        let end = args.as_ref().map_or(self.end, |a| a.end);
        let args = args.filter(|a| !a.is_empty());
        let has_args = args.is_some();
        let parts: Vec<_> = args.into_iter().chain(self.append.clone()).collect();
        let dash = self.append.is_some();
        let line = ArgsLine { entry: self.name, parts, dash, takes_words: true, ..ArgsLine::default() };
        config.lines.extend(match (self.append, has_args) {
            (Some(_), _) => Some(line),
            // The common `append` follows, and takes the words.
            (None, true) => Some(ArgsLine { takes_words: !config.has_common, ..line }),
            (None, false) if config.has_common => None,
            (None, false) => {
                let (lead, part) = (format!("{}  append ", line_end(text)), end..end);
                Some(ArgsLine { parts: Vec::from([part]), lead, ..line })
            }
        });
    }

    /// `linux.c32 FILE words`: the file is the first word that is not an option.
    fn through_linux_c32(self, text: &str, config: &mut LoaderConfig) {
        let mut parts: Vec<_> = self.parts().collect();
        let Some(first) = parts.first_mut() else { return };
        let Some(file) = words(text, first).find(|w| !text[w.clone()].starts_with('-')) else { return };
        if is_other_program(&text[file.clone()]) {
            return;
        }
        *first = first.end.min(skip_blanks(text, file.end))..first.end;
        let lead = if first.start == first.end { " " } else { "" };
        let lead = if parts.len() == 1 { lead.to_owned() } else { String::new() };
        config.lines.push(ArgsLine {
            entry: self.name,
            parts,
            lead,
            takes_words: true,
            ..ArgsLine::default()
        });
    }

    /// `mboot.c32 HYPERVISOR words --- FILE words --- FILE`: the kernel is the first module that looks like one.
    fn through_mboot_c32(self, text: &str, config: &mut LoaderConfig) {
        let mut modules = Vec::new();
        for part in self.parts() {
            let mut from = part.start;
            for module in text[part].split("---") {
                modules.push(from..from + module.len());
                from += module.len() + "---".len();
            }
        }
        for module in modules {
            let Some(file) = words(text, &module).next() else { continue };
            if looks_like_linux(&text[file.clone()]) {
                let end = module.start + text[module.clone()].trim_end().len();
                let part = skip_blanks(text, file.end).min(end).max(file.end)..end;
                let lead = if part.start == part.end { " " } else { "" }.to_owned();
                let entry = self.name;
                config.lines.push(ArgsLine {
                    entry,
                    parts: vec![part],
                    lead,
                    takes_words: true,
                    ..ArgsLine::default()
                });
                return;
            }
        }
        let args = joined(self.parts().map(|part| &text[part]).collect());
        let reason = "mboot.c32 starts no module that looks like Linux".to_owned();
        config.fixed.push(FixedArgs::words(self.name, args, reason));
    }
}

/// The words of a module that starts a kernel with them, as `ifcpu64.c32` and `lua.c32` do.
fn passed_on(module: String, words: &str, entry: String) -> Option<FixedArgs> {
    let names_linux = words.split_whitespace().any(looks_like_linux);
    let is_one = !module.is_empty() && (names_linux || module == "lua");
    is_one.then(|| FixedArgs::words(entry, words.to_owned(), format!("{module}.c32 passes the words on")))
}

/// The name of a module without its extension; empty for other files.
fn module(file: &str) -> String {
    file_name(file).strip_suffix(".c32").unwrap_or_default().to_owned()
}

/// Whether a label starts Linux. `linux` says so; `kernel` goes by the extension.
fn is_linux(keyword: &str, file: &str) -> bool {
    let name = file_name(file);
    let other = [".c32", ".com", ".cbt", ".bin", ".bs", ".bss", ".0", ".img"];
    let by_keyword = keyword == "linux" || keyword == "kernel" && !other.iter().any(|e| name.ends_with(e));
    by_keyword && !is_other_program(file)
}

/// The words of a part of the text.
fn words<'t>(text: &'t str, part: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<'t> {
    let mut at = part.start;
    let end = part.end;
    std::iter::from_fn(move || {
        at = skip_blanks(text, at);
        let start = at.min(end);
        at = text[start..end].find(char::is_whitespace).map_or(end, |n| start + n);
        (at > start).then_some(start..at)
    })
}

fn skip_blanks(text: &str, at: usize) -> usize {
    at + (text[at..].len() - text[at..].trim_start_matches([' ', '\t']).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, Vec<String>, bool)> {
        let line = |l: &ArgsLine| {
            let parts = l.parts.iter().map(|p| text[p.clone()].to_owned()).collect();
            (l.entry.clone(), parts, l.takes_words)
        };
        parse(text, false).lines.iter().map(line).collect()
    }

    fn line(entry: &str, parts: &[&str], takes_words: bool) -> (String, Vec<String>, bool) {
        (entry.to_owned(), parts.iter().map(|p| (*p).to_owned()).collect(), takes_words)
    }

    #[test]
    fn arguments_are_found_in_labels_that_start_linux() {
        let text = "# top\nDEFAULT a\r\nLABEL a\r\n  KERNEL /k\r\n  APPEND initrd=/i quiet\r\nlabel m\n kernel memtest.bin\n append -\n\
            label n\n linux /k2\ntext help\n # not a comment\nappend not\nendtext\nlabel c\n com32 chain.c32\n append hd0\n\
            label ipxe\n kernel /IPXE.LKRN\n append menu\nlabel u\n kernel /casper/vmlinuz.efi\n append u\n\
            menu include more.cfg Title\nINCLUDE x.cfg\n";
        let config = parse(text, false);
        assert_eq!(
            found(text),
            [line("a", &["initrd=/i quiet"], true), line("n", &[""], true), line("u", &["u"], true)]
        );
        assert_eq!(config.lines[1].lead, "\n  append ");
        assert_eq!(config.includes, ["more.cfg", "x.cfg"]);
        assert_eq!(config.comments.first(), Some(&(0..6)));
    }

    #[test]
    fn an_append_above_all_labels_is_one_place_for_those_that_have_none() {
        let text =
            "append quiet\nlabel a\n kernel k\nlabel b\n kernel k x=1\nlabel c\n kernel k\n append x\n";
        let wanted = [line("", &["quiet"], true), line("b", &["x=1"], false), line("c", &["x"], true)];
        assert_eq!(found(text), wanted);
    }

    #[test]
    fn what_follows_the_kernel_on_its_line_goes_to_the_kernel() {
        let text = "label b\n linux /vmlinuz inl=1 two\n append three\nlabel c\n kernel /vmlinuz  inl=1\r\n";
        assert_eq!(found(text), [line("b", &["inl=1 two", "three"], true), line("c", &["inl=1"], true)]);
    }

    #[test]
    fn linux_is_found_behind_modules() {
        let text = "label a\n com32 linux.c32\n append /boot/vmlinuz initrd=/i quiet\n\
            label x\n kernel mboot.c32\n append /xen.gz dom0_mem=1G --- /vmlinuz-6 root=x quiet --- /initrd\n\
            label y\n kernel mboot.c32\n append /tboot.gz --- /linux---/initrd\n\
            label o\n kernel /linux.c32 -h /k\nlabel m\n com32 mboot.c32\n append /gnumach.gz\n\
            label menu\n kernel vesamenu.c32\n append other.cfg\n";
        let lines = found(text);
        assert_eq!(
            lines,
            [
                line("a", &["initrd=/i quiet"], true),
                line("x", &["root=x quiet"], true),
                line("y", &[""], true),
                line("o", &[""], true)
            ]
        );
        let config = parse(text, false);
        assert_eq!(config.fixed.iter().map(|f| f.entry.as_str()).collect::<Vec<_>>(), ["m"]);
        assert_eq!(config.includes, ["other.cfg"]);
    }

    #[test]
    fn a_label_may_be_its_own_kernel_and_a_default_may_add_words() {
        let text = "default live single\nlabel live\n kernel k\n append a\nlabel vmlinuz\n append b\nontimeout /vmlinuz c\n";
        assert_eq!(
            found(text),
            [
                line("default live", &["single"], false),
                line("default /vmlinuz", &["c"], true),
                line("live", &["a"], true),
                line("vmlinuz", &["b"], true)
            ]
        );
    }

    #[test]
    fn a_windows_file_gets_windows_lines() {
        let text = "label a\r\n kernel k\r\n";
        assert_eq!(parse(text, false).lines[0].lead, "\r\n  append ");
    }

    #[test]
    fn a_file_that_is_included_below_a_common_append_gives_its_labels_none_of_their_own() {
        assert!(parse("label a\n kernel k\n", true).lines.is_empty());
    }
}
