//! Entries of systemd-boot and of GRUB's `blscfg`: a key and a value a line (Boot Loader Specification, type 1).
//!
//! All `options` of a file are joined by a blank. Quotes around a whole value are dropped
//! (`src/boot/efi/boot.c`, `line_get_key_value`).

use std::ops::Range;

use super::config::{ArgsLine, LoaderConfig, is_other_program, line_end};
use super::grub_words;

/// Reads an entry.
pub(super) fn parse(text: &str) -> LoaderConfig {
    let mut config = LoaderConfig::default();
    let mut line = ArgsLine { takes_words: true, ..ArgsLine::default() };
    let mut kernel_end = None;
    let mut from = 0;
    for raw in text.split_inclusive('\n') {
        let at = from + (raw.len() - raw.trim_start().len());
        from += raw.len();
        let statement = raw.trim();
        let end = at + statement.len();
        if statement.starts_with('#') {
            config.comment(text, at..end);
            continue;
        }
        let Some((key, value)) = statement.split_once([' ', '\t']) else { continue };
        let range = value_range(value, end);
        let value = &text[range.clone()];
        match key {
            "title" => value.clone_into(&mut line.entry),
            "linux" if !is_other_program(value) => {
                kernel_end = Some(end);
                config.programs.push(value.to_owned());
            }
            "efi" | "uki" if !is_other_program(value) => {
                (kernel_end, line.program) = (Some(end), Some(value.to_owned()));
                config.programs.push(value.to_owned());
            }
            "options" => {
                // Of GRUB's `blscfg`, which puts values in; systemd-boot has no variables.
                line.uses.extend(grub_words::uses(value).into_iter().map(|u| u.name));
                line.parts.push(range);
            }
            _ => {}
        }
    }
    let Some(end) = kernel_end else { return config };
    if line.parts.is_empty() {
        line.parts.push(end..end);
        line.lead = format!("{}options ", line_end(text));
    }
    config.lines.push(line);
    config
}

/// Where a value stands that ends at `end`, without blanks and quotes around it.
fn value_range(value: &str, end: usize) -> Range<usize> {
    let value = value.trim_start();
    let start = end - value.len();
    let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    if quoted { start + 1..end - 1 } else { start..end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, Vec<&str>)> {
        let part = |p: &Range<usize>| &text[p.clone()];
        parse(text).lines.iter().map(|l| (l.entry.clone(), l.parts.iter().map(part).collect())).collect()
    }

    #[test]
    fn options_are_found_in_entries_that_start_linux() {
        let text =
            "# c\r\ntitle\tArch  Linux\r\nlinux /vmlinuz\r\ninitrd /i\r\noptions a=1  b\r\noptions c\r\n";
        assert_eq!(found(text), [("Arch  Linux".to_owned(), vec!["a=1  b", "c"])]);
        assert_eq!(parse(text).comments.first(), Some(&(0..5)));
        assert_eq!(found("linux /k\noptions \"a b\"\n"), [(String::new(), vec!["a b"])]);
        assert_eq!(found("efi /EFI/Linux/vmlinuz.efi\noptions a"), [(String::new(), vec!["a"])]);
        let program = parse("title Shell\nefi /shellx64.efi\noptions -nostartup\n").lines.remove(0).program;
        assert_eq!(program.as_deref(), Some("/shellx64.efi"));
    }

    #[test]
    fn an_entry_without_options_gets_a_line() {
        let config = parse("linux /vmlinuz\ninitrd /i\n");
        let line = &config.lines[0];
        assert_eq!((line.lead.as_str(), line.parts[0].clone()), ("\noptions ", 14..14));
    }
}
