//! Kernel arguments as loaders write them: words with their places, and edits that leave the others untouched.

use crate::error::{Error, ErrorKind, Result};
use std::ops::Range;

use super::grub_words;
use crate::embed::Loader;
use bootparams::{Os, Target};

/// A change of kernel arguments. Words are as the kernel reads them, with `"` around what has spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Puts words at the end, in this order.
    Append(Vec<String>),
    /// Removes each word that is exactly this, or whose key is this.
    Delete(Vec<String>),
    /// `key=new` gives the one word of this key another value; `key=old=new` the one with the old value.
    Replace(Vec<String>),
    /// Puts back the arguments, and the cloud-config, of the built image.
    Reset,
}

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfigWord {
    /// Where it stands in the loader's text.
    pub(super) range: Range<usize>,
    /// Its text without `"`: `"a=b c"` and `a="b c"` are equal to the kernel.
    pub(super) value: String,
}

/// Who takes the arguments: the loader first, then the system that it starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArgsReader {
    pub(super) loader: Loader,
    pub(super) os: Os,
    /// Whether the text is the value of a variable of GRUB, in which quotes mean nothing.
    pub(super) is_value: bool,
}

impl ArgsReader {
    fn target(self) -> Target {
        match self.loader {
            // systemd-boot hands its options over as they are, too.
            Loader::Isolinux | Loader::SystemdBoot => Target::Isolinux,
            Loader::Grub => Target::Grub,
        }
    }

    /// The words of `text`, arguments in the language of the loader.
    pub(super) fn words(self, text: &str) -> Vec<ConfigWord> {
        let word = |range: Range<usize>| ConfigWord { value: unquoted(&text[range.clone()]), range };
        match (self.loader, self.os.dialect()) {
            (Loader::Grub, _) if self.is_value => {
                bootparams::kernel::args(text).map(|a| word(a.span)).collect()
            }
            (Loader::Grub, _) => grub_words::words(text),
            (_, Some(dialect)) => {
                bootparams::words(text, dialect).into_iter().map(|w| word(w.span)).collect()
            }
            (_, None) => bootparams::kernel::args(text).map(|a| word(a.span)).collect(),
        }
    }

    /// A whole line, as the system is to read it, in the language of the loader.
    pub(super) fn write(self, line: &str) -> Result<String> {
        self.target().write(line, self.os).map_err(|o| {
            let word = shown(line.get(o.span).unwrap_or(line));
            Error::new(
                ErrorKind::Arguments,
                format!("{} cannot carry `{word}`: {}", self.target().name(), o.reason),
            )
        })
    }

    /// What the kernel gets of a loader's text.
    pub(super) fn read(self, text: &str) -> String {
        self.target().read(text)
    }

    /// Checks that `word` is one, and writes it in the language of the loader.
    fn escape(self, word: &str) -> Result<String> {
        let wrong = |what: &str| Error::new(ErrorKind::Arguments, format!("`{}` {what}", shown(word)));
        if word.chars().any(char::is_control) {
            return Err(wrong("contains a control character"));
        }
        let whole = Self { loader: Loader::Isolinux, ..self }.words(word);
        if !matches!(&whole[..], [w] if w.range == (0..word.len())) || word.matches('"').count() % 2 == 1 {
            let help = "put `\"` around a value with spaces, and give each word as an argument of its own";
            return Err(wrong("is not one word").help(help));
        }
        if self.is_value {
            return match word.contains(['"', '\'', '$', '\\', ' ']) {
                true => Err(wrong("cannot stand in a variable of GRUB")),
                false => Ok(word.to_owned()),
            };
        }
        self.write(word)
    }

    /// `text` after `edit`, or nothing when nothing of it was found. [`Edit::Reset`] is not for single lines.
    pub(super) fn edited(self, text: &str, edit: &Edit) -> Result<Option<String>> {
        Ok(self.edited_parts(&[text], true, edit)?.and_then(|mut parts| parts.pop()))
    }

    /// As [`ArgsReader::edited`], of a line that stands in several parts. Words are added to the last one, if the line
    /// `takes_words` at all.
    pub(super) fn edited_parts(
        self,
        parts: &[&str],
        takes_words: bool,
        edit: &Edit,
    ) -> Result<Option<Vec<String>>> {
        let mut parts: Vec<String> = parts.iter().map(|p| (*p).to_owned()).collect();
        let mut changed = false;
        let wanted = match edit {
            Edit::Append(_) if !takes_words => &[],
            Edit::Append(w) | Edit::Delete(w) | Edit::Replace(w) => w.as_slice(),
            Edit::Reset => &[],
        };
        for word in wanted {
            changed |= match (edit, parts.last_mut()) {
                (Edit::Append(_), Some(last)) => {
                    *last = self.appended(last, word)?;
                    true
                }
                (Edit::Delete(_), _) => self.delete(&mut parts, word),
                (_, _) => self.replace(&mut parts, word)?,
            };
        }
        Ok(changed.then_some(parts))
    }

    /// Puts a word at the end; before a `--`, behind which a kernel reads nothing and hands all to init.
    fn appended(self, text: &str, word: &str) -> Result<String> {
        let word = self.escape(word)?;
        let is_end = |w: &ConfigWord| w.value == "--" && self.os.dialect().is_none();
        if let Some(end) = self.words(text).into_iter().find(is_end) {
            let (front, back) = text.split_at(end.range.start);
            return Ok(format!("{front}{word} {back}"));
        }
        let space = if text.is_empty() || text.ends_with([' ', '\t']) { "" } else { " " };
        Ok(format!("{text}{space}{word}"))
    }

    fn delete(self, parts: &mut [String], wanted: &str) -> bool {
        let wanted = unquoted(wanted);
        let mut found = false;
        for part in parts {
            let is_it = |w: &ConfigWord| w.value == wanted || key(&w.value) == wanted;
            let gone: Vec<_> = self.words(part).into_iter().filter(is_it).map(|w| w.range).collect();
            found |= !gone.is_empty();
            let text = part.clone();
            for range in gone.into_iter().rev() {
                // The space in front goes too; at the start, the one behind.
                let front = text[..range.start].trim_end_matches([' ', '\t']).len();
                let back = text.len() - text[range.end..].trim_start_matches([' ', '\t']).len();
                part.replace_range(if front == 0 { 0..back } else { front..range.end }, "");
            }
        }
        found
    }

    fn replace(self, parts: &mut [String], wanted: &str) -> Result<bool> {
        let usage = |text: String| Error::new(ErrorKind::Request, text);
        let (key, rest) = wanted.split_once('=').ok_or_else(|| {
            let help = "`append` and `delete` take words without a value";
            usage(format!("`{wanted}` is neither key=new nor key=old=new")).help(help)
        })?;
        let all = parts.iter().enumerate().flat_map(|(i, p)| self.words(p).into_iter().map(move |w| (i, w)));
        let of_key: Vec<_> = all.filter(|(_, w)| self::key(&w.value) == key).collect();
        if of_key.is_empty() {
            return Ok(false);
        }
        // A value may have a `=` itself, so that which part is the old one is seen by what is there.
        let by_old = |w: &&(usize, ConfigWord)| new_value(rest, &w.1.value).is_some();
        let old: Vec<_> = of_key.iter().filter(by_old).collect();
        let ((part, word), new) = match (old.as_slice(), of_key.as_slice()) {
            ([it], _) => (*it, new_value(rest, &it.1.value).unwrap_or(rest)),
            ([], [it]) if !rest.contains('=') => (it, rest),
            ([], [_]) => {
                let text = format!("no `{key}` has the old value that `{wanted}` names");
                let help = format!("to set a value that has `=` in it, `delete {key}` and `append {wanted}`");
                return Err(usage(text).help(help));
            }
            _ => {
                let text =
                    format!("`{key}` is there {} times, and `{wanted}` does not say which", of_key.len());
                return Err(usage(text).help(format!("{key}=OLD=NEW says it")));
            }
        };
        let new = self.escape(&format!("{key}={new}"))?;
        parts[*part].replace_range(word.range.clone(), &new);
        Ok(true)
    }
}

/// A word without the quotes that the kernel takes away.
fn unquoted(word: &str) -> String {
    word.replace('"', "")
}

/// A word for a message, which may go to a terminal.
fn shown(word: &str) -> String {
    word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn key(word: &str) -> &str {
    word.split_once('=').map_or(word, |(k, _)| k)
}

/// The new value in `OLD=NEW`, when OLD is the value of `word`; OLD may be quoted.
fn new_value<'r>(rest: &'r str, word: &str) -> Option<&'r str> {
    let old = word.split_once('=').map_or("", |(_, v)| v);
    let quoted = format!("\"{old}\"");
    [old, &quoted].into_iter().find_map(|o| rest.strip_prefix(o)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    const ISOLINUX: ArgsReader = ArgsReader { loader: Loader::Isolinux, os: Os::Linux, is_value: false };
    const GRUB: ArgsReader = ArgsReader { loader: Loader::Grub, os: Os::Linux, is_value: false };
    const SMOKE: ArgsReader = ArgsReader { loader: Loader::Isolinux, os: Os::Smoke, is_value: false };

    fn isolinux(text: &str, edit: Edit) -> Option<String> {
        ISOLINUX.edited(text, &edit).unwrap()
    }

    #[test]
    fn words_are_appended_deleted_and_replaced_in_order() {
        let text = "quiet console=tty0 console=ttyS0 a=\"b c\"";
        assert_eq!(isolinux("", Edit::Append(list(&["a", "b"]))).unwrap(), "a b");
        assert_eq!(isolinux(text, Edit::Delete(list(&["console"]))).unwrap(), "quiet a=\"b c\"");
        assert_eq!(isolinux(text, Edit::Delete(list(&["quiet"]))).unwrap(), &text[6..]);
        assert_eq!(isolinux(text, Edit::Delete(list(&["a=\"b c\""]))).unwrap(), &text[..text.len() - 8]);
        assert_eq!(isolinux("a", Edit::Delete(list(&["a"]))).unwrap(), "");
        assert_eq!(isolinux(text, Edit::Delete(list(&["other"]))), None);
        let one = isolinux(text, Edit::Replace(list(&["console=tty0=tty1"]))).unwrap();
        assert_eq!(one, text.replace("tty0", "tty1"));
        assert_eq!(isolinux("a=b", Edit::Replace(list(&["a=\"x y\""]))).unwrap(), "a=\"x y\"");
        assert_eq!(
            isolinux(text, Edit::Replace(list(&["a=\"b c\"=d"]))).unwrap(),
            text.replace("\"b c\"", "d")
        );
        assert_eq!(isolinux("d=LABEL=X", Edit::Replace(list(&["d=LABEL=X=LABEL=Y"]))).unwrap(), "d=LABEL=Y");
    }

    #[test]
    fn what_a_replacement_leaves_open_is_refused() {
        let wrong = |text: &str, word: &str| {
            ISOLINUX.edited(text, &Edit::Replace(list(&[word]))).unwrap_err().to_string()
        };
        assert!(wrong("console=a console=b", "console=c").contains("is there 2 times"));
        assert!(wrong("a=b", "a=x=y").contains("no `a` has the old value"));
        assert!(wrong("a=b", "a").contains("neither key=new"));
    }

    #[test]
    fn grub_keeps_what_it_can_and_refuses_the_rest() {
        let grub = |t: &str, w: &str| GRUB.edited(t, &Edit::Append(list(&[w]))).map(Option::unwrap);
        assert_eq!(grub("quiet", "a=b").unwrap(), "quiet a=b");
        assert_eq!(grub("quiet", "a=$x;y").unwrap(), "quiet 'a=$x;y'");
        assert_eq!(grub("quiet", "a=\"b c\"").unwrap(), "quiet 'a=b c'");
        assert!(grub("quiet", "a=it's").unwrap_err().to_string().contains("GRUB cannot carry `a=it's`"));
        assert_eq!(GRUB.edited("x 'a=b c' y", &Edit::Delete(list(&["a=b c"]))).unwrap().unwrap(), "x y");
    }

    #[test]
    fn a_word_is_what_the_system_takes_for_one() {
        let keys = "cc.ssh_authorized_keys=[ssh-rsa AAAA me@host]";
        assert!(ISOLINUX.edited("", &Edit::Append(list(&[keys]))).is_err());
        let text = SMOKE.edited("quiet", &Edit::Append(list(&[keys]))).unwrap().unwrap();
        assert_eq!(text, format!("quiet {keys}"));
        let gone = SMOKE.edited(&text, &Edit::Delete(list(&["cc.ssh_authorized_keys"]))).unwrap();
        assert_eq!(gone.unwrap(), "quiet");
        for word in ["", "a b", "a\nb", "a=\"b", "\u{7}", " a"] {
            assert!(ISOLINUX.edited("", &Edit::Append(list(&[word]))).is_err(), "{word:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_appended_can_be_deleted(
            line in prop::collection::vec("[a-m][a-m.]{0,5}(=[!#-~]{0,6})?", 0..5),
            word in "[n-z]{1,5}=[!#-~]{0,8}",
        ) {
            let line = line.join(" ");
            for reader in [ISOLINUX, GRUB, SMOKE] {
                let Ok(text) = reader.write(&line) else { continue };
                let Ok(longer) = reader.edited(&text, &Edit::Append(vec![word.clone()])) else { continue };
                let back = reader.edited(&longer.unwrap(), &Edit::Delete(list(&[key(&word)]))).unwrap();
                // A quote in the line may take the new word into an old one, which the check of parameters reports.
                prop_assert!(line.contains(['\'', '[']) || back == Some(text));
            }
        }
    }
}
