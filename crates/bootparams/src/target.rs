//! One line, three loaders: how each must be given the words so that the kernel receives them, and what each
//! would make of a text.
//!
//! ISOLINUX passes its APPEND on as it is. GRUB splits its command into arguments, puts a backslash before each
//! quote and backslash, and double quotes around a whole argument with a blank (`grub-core/lib/cmdline.c`):
//! `a="b c"` becomes `"a=b c"`, which RancherOS takes no notice of. iPXE splits at blanks, expands `${…}` and
//! has no quoting at all.

use std::ops::Range;

use super::{
    kernel,
    line::{self, Word},
    os::Os,
};

/// Who starts the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// ISOLINUX: the ISO under a BIOS.
    Isolinux,
    /// GRUB: the ISO under UEFI.
    Grub,
    /// iPXE: netboot.
    Ipxe,
}

/// Why a loader cannot be given a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The bytes of the line that it cannot carry.
    pub span: Range<usize>,
    /// Reason why the loader cannot pass it on.
    pub reason: &'static str,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 3] = [Self::Isolinux, Self::Grub, Self::Ipxe];

    /// Name as people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Isolinux => "ISOLINUX",
            Self::Grub => "GRUB",
            Self::Ipxe => "iPXE",
        }
    }

    /// The bytes that this loader and our scripts put around the words.
    #[must_use]
    pub(crate) fn around(self) -> usize {
        match self {
            Self::Isolinux => "BOOT_IMAGE=/vmlinuz ".len() + " initrd=/seed.cpio,/initrd".len(),
            Self::Grub => "BOOT_IMAGE=/vmlinuz ".len(),
            Self::Ipxe => "initrd=initrd.magic ".len(),
        }
    }

    /// The longest line of words that arrives whole. Measured with ISOLINUX: 2043 bytes in all arrive, 2053 are
    /// silently cut.
    #[must_use]
    pub(crate) fn max_length(self) -> usize {
        let all = if self == Self::Isolinux { 2043 } else { kernel::MAX_LINE };
        all - self.around()
    }

    /// The text for this loader's configuration: for ISOLINUX behind `APPEND`, for GRUB behind `linux /vmlinuz`,
    /// for iPXE behind `kernel URL`.
    ///
    /// # Errors
    /// What of the line this loader cannot carry.
    pub fn write(self, line: &str, os: Os) -> Result<String, Obstacle> {
        if let Some(obstacle) = self.obstacle(line, &split(line, os), os) {
            return Err(obstacle);
        }
        Ok(match self {
            Self::Isolinux => line.trim().to_owned(),
            Self::Grub => {
                split(line, os).iter().map(|w| grub_words(line, w, os)).collect::<Vec<_>>().join(" ")
            }
            Self::Ipxe => self.read(line),
        })
    }

    /// What of a line, taken apart into `words` as `os` does it, this loader cannot carry.
    pub(super) fn obstacle(self, line: &str, words: &[Word], os: Os) -> Option<Obstacle> {
        if let Some(at) = line.bytes().position(|b| matches!(b, b'\n' | b'\r' | 0)) {
            let reason = "a line break would end the loader's own line";
            return Some(Obstacle { span: at..at + 1, reason });
        }
        match self {
            Self::Isolinux => None,
            Self::Grub => grub_obstacle(line, words, os),
            Self::Ipxe => ipxe_obstacle(line, words, os),
        }
    }

    /// What the kernel receives of such a text, without what the loader adds at the ends.
    #[must_use]
    pub fn read(self, text: &str) -> String {
        match self {
            Self::Isolinux => text.trim().to_owned(),
            Self::Grub => grub_line(&grub_arguments(text)),
            Self::Ipxe => tokens(text).map(|t| &text[t]).collect::<Vec<_>>().join(" "),
        }
    }
}

/// The words of a line as its reader splits it.
fn split(line: &str, os: Os) -> Vec<Word> {
    match os.dialect() {
        Some(dialect) => line::words(line, dialect),
        None => {
            kernel::args(line).map(|a| Word { span: a.span.clone(), text: line[a.span].to_owned() }).collect()
        }
    }
}

fn is_ours(word: &Word, os: Os) -> bool {
    os.dialect().is_some_and(|d| word.path(d).is_some())
}

/// A word as words of a GRUB script.
fn grub_words(line: &str, word: &Word, os: Os) -> String {
    if is_ours(word, os) {
        // Each blank ends an argument, so that no argument has one and GRUB adds no quotes. The quotes get their
        // backslash, and the OS takes it off again.
        word.text.split(' ').map(grub_quote).collect::<Vec<_>>().join(" ")
    } else {
        grub_quote(&line[word.span.clone()].replace('"', ""))
    }
}

fn grub_text(line: &str, words: &[Word], os: Os) -> String {
    words.iter().map(|w| grub_words(line, w, os)).collect::<Vec<_>>().join(" ")
}

fn grub_obstacle(line: &str, words: &[Word], os: Os) -> Option<Obstacle> {
    if let Some(word) = words.iter().find(|w| !passes_grub(line, w, os)) {
        let reason = "GRUB puts a backslash before each quote and backslash, which is not undone here";
        return Some(Obstacle { span: word.span.clone(), reason });
    }
    // Quotes of the kernel's own words are set again, and may then group other words for the OS.
    let quoted = words.iter().find(|w| !is_ours(w, os) && w.text.contains(['"', '\'']))?;
    if same_to_os(line, &Target::Grub.read(&grub_text(line, words, os)), os) {
        return None;
    }
    let reason = "GRUB rewrites these quotes, and the words after them are then read differently";
    Some(Obstacle { span: quoted.span.clone(), reason })
}

fn passes_grub(line: &str, word: &Word, os: Os) -> bool {
    let raw = &line[word.span.clone()];
    let ours = is_ours(word, os);
    if arrives_by_nature(raw, ours, os) {
        return true;
    }
    let arrives = Target::Grub.read(&grub_words(line, word, os));
    if ours { same_to_os(raw, &arrives, os) } else { same_to_kernel(raw, &arrives) }
}

/// Whether GRUB's backslashes cannot matter: there are none, or the OS takes them off again.
fn arrives_by_nature(raw: &str, ours: bool, os: Os) -> bool {
    let marks = |b| matches!(b, b'"' | b'\'' | b'\\');
    !raw.bytes().any(marks) || (ours && !raw.contains('\\') && os.dialect().is_some_and(|d| d.unescape))
}

fn ipxe_obstacle(line: &str, words: &[Word], os: Os) -> Option<Obstacle> {
    if let Some(at) = line.find("${") {
        return Some(Obstacle { span: at..at + 2, reason: "iPXE takes `${` for the name of a setting" });
    }
    let ends = |t: &str| t.starts_with('#') || matches!(t, "||" | "&&" | ";");
    if let Some(span) = tokens(line).find(|t| ends(&line[t.clone()])) {
        return Some(Obstacle { span, reason: "iPXE takes this token for the end of the command" });
    }
    let arrives = Target::Ipxe.read(line);
    if arrives == line || (same_to_os(line, &arrives, os) && same_to_kernel(line, &arrives)) {
        return None;
    }
    let word = words.iter().find(|w| w.text != Target::Ipxe.read(&w.text));
    let span = word.map_or(0..line.len(), |w| w.span.clone());
    Some(Obstacle { span, reason: "iPXE makes one blank of several, even in quotes" })
}

/// iPXE's tokens: what stands between white space, which is ASCII.
fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let space = |at: usize| bytes.get(at).is_some_and(|b| matches!(b, b' ' | b'\t'..=b'\r'));
        while space(at) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && !space(at) {
            at += 1;
        }
        (at > start).then_some(start..at)
    })
}

/// As texts, since a NaN is not equal to itself.
pub fn same_to_os(a: &str, b: &str, os: Os) -> bool {
    let read = |line| line::parse(line, os).map(|tree| tree.to_json());
    read(a) == read(b)
}

fn same_to_kernel(a: &str, b: &str) -> bool {
    kernel::args(a).map(|a| (a.name, a.value)).eq(kernel::args(b).map(|b| (b.name, b.value)))
}

/// A word of a GRUB script that stands for exactly this argument.
fn grub_quote(argument: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@+,%".contains(&b);
    if !argument.is_empty() && argument.bytes().all(safe) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

/// The arguments of a GRUB command's text. Variables and patterns are left as they are.
#[must_use]
pub fn grub_arguments(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => arguments.extend(current.take()),
            '\'' => current.get_or_insert_default().extend(chars.by_ref().take_while(|c| *c != '\'')),
            '"' => grub_double_quoted(&mut chars, current.get_or_insert_default()),
            '\\' => current.get_or_insert_default().extend(chars.next()),
            c => current.get_or_insert_default().push(c),
        }
    }
    arguments.extend(current);
    arguments
}

fn grub_double_quoted(chars: &mut std::str::Chars<'_>, into: &mut String) {
    while let Some(c) = chars.next() {
        match c {
            '"' => return,
            '\\' => match chars.next() {
                Some(c @ ('"' | '\\' | '$')) => into.push(c),
                Some(c) => into.extend(['\\', c]),
                None => {}
            },
            c => into.push(c),
        }
    }
}

/// What GRUB hands to the kernel.
fn grub_line(arguments: &[String]) -> String {
    let argument = |a: &String| {
        let escaped: String = a
            .chars()
            .flat_map(|c| matches!(c, '\\' | '\'' | '"').then_some('\\').into_iter().chain([c]))
            .collect();
        if a.contains(' ') { format!("\"{escaped}\"") } else { escaped }
    };
    arguments.iter().map(argument).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OS: Os = Os::Smoke;

    #[test]
    fn grub_alone_makes_a_word_that_rancheros_ignores() {
        let arrives = Target::Grub.read(r#"rancher.a="b c" quiet"#);
        assert_eq!(arrives, r#""rancher.a=b c" quiet"#);
        assert_eq!(line::parse(&arrives, OS).unwrap().to_json(), "{}");
    }

    #[test]
    fn grub_is_given_words_that_the_os_reads_as_meant() {
        let line = r#"quiet rancher.a="b  c" cc.k=["ssh-rsa AA me@h"] dyndbg="file x +p" rancher.b=it's"#;
        let text = Target::Grub.write(line, OS).unwrap();
        assert_eq!(
            text,
            r#"quiet 'rancher.a="b' '' 'c"' 'cc.k=["ssh-rsa' AA 'me@h"]' 'dyndbg=file x +p' 'rancher.b=it'\''s'"#
        );
        let arrives = Target::Grub.read(&text);
        assert_eq!(
            arrives,
            r#"quiet rancher.a=\"b  c\" cc.k=[\"ssh-rsa AA me@h\"] "dyndbg=file x +p" rancher.b=it\'s"#
        );
        assert_eq!(line::parse(&arrives, OS), line::parse(line, OS));
    }

    #[test]
    fn what_a_loader_cannot_carry_is_named() {
        let span = |target: Target, line: &str, os: &str| {
            let obstacle = target.write(line, os.parse().unwrap()).unwrap_err();
            line[obstacle.span].to_owned()
        };
        assert_eq!(span(Target::Grub, r#"quiet rancher.a=b\c x"#, "smoke"), r"rancher.a=b\c");
        assert_eq!(span(Target::Grub, r#"rancher.a="007""#, "rancheros-0.5.0"), r#"rancher.a="007""#);
        assert_eq!(span(Target::Ipxe, "a=${x}", "linux"), "${");
        assert_eq!(span(Target::Ipxe, "a || b", "linux"), "||");
        assert_eq!(span(Target::Ipxe, "a #b", "linux"), "#b");
        assert_eq!(span(Target::Ipxe, "a rancher.b=\"c  d\"", "smoke"), "rancher.b=\"c  d\"");
        assert_eq!(span(Target::Isolinux, "a\nb", "smoke"), "\n");
    }

    proptest! {
        #[test]
        fn what_a_loader_is_given_arrives(words in prop::collection::vec("(rancher\\.[a-c]|cc\\.h|x)=[ -~]{0,8}", 0..4)) {
            let line = words.join(" ");
            for target in Target::ALL {
                if let Ok(text) = target.write(&line, OS) {
                    let arrives = target.read(&text);
                    prop_assert!(same_to_os(&arrives, &line, OS), "{:?}: {}", target, text);
                }
            }
        }
    }
}
