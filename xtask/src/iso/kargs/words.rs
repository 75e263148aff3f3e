//! Kernel arguments as loaders write them: words with their places, and edits that leave the others untouched.

use std::ops::Range;

use anyhow::Result;

use super::grub;
use crate::{
    error::{Failure, Kind},
    iso::room::Loader,
};

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
pub(super) struct Word {
    /// Where it stands in the loader's text.
    pub(super) range: Range<usize>,
    /// What the kernel gets, without quotes: `"a=b c"` and `a="b c"` are equal to the kernel.
    pub(super) value: String,
}

/// The words of `text`, arguments in the language of `loader`.
pub(super) fn words(loader: Loader, text: &str) -> Vec<Word> {
    match loader {
        Loader::Isolinux => kernel_words(text),
        Loader::Grub => grub::words(text),
    }
}

/// Splits as the kernel does (`next_arg` in lib/cmdline.c): at spaces outside of `"`; nothing else quotes.
pub(super) fn kernel_words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let (mut start, mut quoted) = (None, false);
    for (i, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let space = c.is_ascii_whitespace() && (!quoted || i == text.len());
        match (start, space) {
            (None, false) => start = Some(i),
            (Some(from), true) => {
                found.push(Word { range: from..i, value: unquoted(&text[from..i]) });
                start = None;
            }
            _ => {}
        }
        quoted ^= c == '"';
    }
    found
}

/// A word without the quotes that the kernel takes away.
pub(super) fn unquoted(word: &str) -> String {
    word.replace('"', "")
}

/// `text` after `edit`, or an error when nothing of it was found. [`Edit::Reset`] is not for single lines.
pub(super) fn edited(loader: Loader, text: &str, edit: &Edit) -> Result<Option<String>> {
    let mut text = text.to_owned();
    let mut changed = false;
    let wanted = match edit {
        Edit::Append(w) | Edit::Delete(w) | Edit::Replace(w) => w.as_slice(),
        Edit::Reset => &[],
    };
    for word in wanted {
        let next = match edit {
            Edit::Append(_) => Some(appended(loader, &text, word)?),
            Edit::Delete(_) => deleted(loader, &text, word),
            _ => replaced(loader, &text, word)?,
        };
        changed |= next.is_some();
        text = next.unwrap_or(text);
    }
    Ok(changed.then_some(text))
}

fn appended(loader: Loader, text: &str, word: &str) -> Result<String> {
    let word = escape(loader, word)?;
    let space = if text.is_empty() || text.ends_with([' ', '\t']) { "" } else { " " };
    Ok(format!("{text}{space}{word}"))
}

fn deleted(loader: Loader, text: &str, wanted: &str) -> Option<String> {
    let wanted = unquoted(wanted);
    let all = words(loader, text);
    let is_it = |w: &&Word| w.value == wanted || key(&w.value) == wanted;
    let gone: Vec<_> = all.iter().filter(is_it).map(|w| w.range.clone()).collect();
    let mut left = text.to_owned();
    for range in gone.iter().rev() {
        // The space in front goes too; at the start, the one behind.
        let front = text[..range.start].trim_end_matches([' ', '\t']).len();
        let back = text.len() - text[range.end..].trim_start_matches([' ', '\t']).len();
        left.replace_range(if front == 0 { 0..back } else { front..range.end }, "");
    }
    (!gone.is_empty()).then_some(left)
}

fn replaced(loader: Loader, text: &str, wanted: &str) -> Result<Option<String>> {
    let usage = |text: String| Failure::new(Kind::Usage, text);
    let plain = unquoted(wanted);
    let (key, rest) = plain.split_once('=').ok_or_else(|| {
        usage(format!("`{wanted}` is neither key=new nor key=old=new"))
            .help("`append` and `delete` take words without a value")
    })?;
    let all = words(loader, text);
    let of_key: Vec<&Word> = all.iter().filter(|w| self::key(&w.value) == key).collect();
    if of_key.is_empty() {
        return Ok(None);
    }
    // A value may have a `=` itself, so that which part is the old one is seen by what is there.
    let by_old = |w: &&&Word| rest.strip_prefix(value(&w.value)).is_some_and(|r| r.starts_with('='));
    let old: Vec<&&Word> = of_key.iter().filter(by_old).collect();
    let (word, new) = match (old.as_slice(), of_key.as_slice()) {
        ([word], _) => (*word, &rest[value(&word.value).len() + 1..]),
        ([], [word]) if !rest.contains('=') => (word, rest),
        ([], [_]) => {
            let text = format!("no `{key}` has the old value that `{wanted}` names");
            return Err(usage(text)
                .help(format!("to set a value that has `=` in it, `delete {key}` and `append {wanted}`"))
                .into());
        }
        _ => {
            let text = format!("`{key}` is there {} times, and `{wanted}` does not say which", of_key.len());
            return Err(usage(text).help(format!("{key}=OLD=NEW says it")).into());
        }
    };
    let space = new.contains(char::is_whitespace);
    let new = if space { format!("{key}=\"{new}\"") } else { format!("{key}={new}") };
    let mut text = text.to_owned();
    text.replace_range(word.range.clone(), &escape(loader, &new)?);
    Ok(Some(text))
}

fn key(word: &str) -> &str {
    word.split_once('=').map_or(word, |(k, _)| k)
}

fn value(word: &str) -> &str {
    word.split_once('=').map_or("", |(_, v)| v)
}

/// A whole line, as the kernel is to read it, in the language of `loader`.
pub(super) fn write(loader: Loader, line: &str) -> Result<String> {
    match loader {
        Loader::Isolinux => Ok(line.trim().to_owned()),
        Loader::Grub => {
            let words = kernel_words(line).into_iter().map(|w| escape(loader, &line[w.range]));
            Ok(words.collect::<Result<Vec<_>>>()?.join(" "))
        }
    }
}

/// What the kernel reads of a loader's text.
pub(super) fn read(loader: Loader, text: &str) -> String {
    match loader {
        Loader::Isolinux => text.trim().to_owned(),
        Loader::Grub => grub::line(text),
    }
}

/// A word in the language of `loader`.
pub(super) fn escape(loader: Loader, word: &str) -> Result<String> {
    let wrong = |what: &str| Failure::new(Kind::Params, format!("`{}` {what}", word.escape_debug()));
    if word.chars().any(char::is_control) {
        return Err(wrong("has a control character in it").into());
    }
    if kernel_words(word).len() != 1 || word.matches('"').count() % 2 == 1 {
        let help = "put `\"` around a value with spaces, and give each word as an argument of its own";
        return Err(wrong("is not one word to the kernel").help(help).into());
    }
    match loader {
        Loader::Isolinux => Ok(word.to_owned()),
        Loader::Grub => grub::escape(word).ok_or_else(|| {
            wrong("cannot pass through GRUB, which puts a `\\` before quotes and backslashes").into()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    fn edit(loader: Loader, text: &str, e: &Edit) -> Option<String> {
        edited(loader, text, e).unwrap()
    }

    #[test]
    fn the_kernel_splits_at_spaces_outside_of_double_quotes_only() {
        let values: Vec<_> =
            kernel_words(" a  b='x y' c=\"d e\" \"f=g h\"").into_iter().map(|w| w.value).collect();
        assert_eq!(values, ["a", "b='x", "y'", "c=d e", "f=g h"]);
    }

    #[test]
    fn words_are_appended_deleted_and_replaced_in_order() {
        let isolinux = |t: &str, e: Edit| edit(Loader::Isolinux, t, &e);
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
        assert_eq!(isolinux("d=LABEL=X", Edit::Replace(list(&["d=LABEL=X=LABEL=Y"]))).unwrap(), "d=LABEL=Y");
    }

    #[test]
    fn what_a_replacement_leaves_open_is_refused() {
        let wrong = |text: &str, word: &str| {
            edited(Loader::Isolinux, text, &Edit::Replace(list(&[word]))).unwrap_err().to_string()
        };
        assert!(wrong("console=a console=b", "console=c").contains("is there 2 times"));
        assert!(wrong("a=b", "a=x=y").contains("no `a` has the old value"));
        assert!(wrong("a=b", "a").contains("neither key=new"));
    }

    #[test]
    fn grub_keeps_what_it_can_and_refuses_the_rest() {
        let grub = |t: &str, w: &str| edited(Loader::Grub, t, &Edit::Append(list(&[w]))).map(Option::unwrap);
        assert_eq!(grub("quiet", "a=b").unwrap(), "quiet a=b");
        assert_eq!(grub("quiet", "a=$x;y").unwrap(), "quiet 'a=$x;y'");
        assert_eq!(grub("quiet", "a=\"b c\"").unwrap(), "quiet 'a=b c'");
        assert!(grub("quiet", "a=it's").unwrap_err().to_string().contains("cannot pass through GRUB"));
        let e = Edit::Delete(list(&["a=b c"]));
        assert_eq!(edit(Loader::Grub, "x 'a=b c' y", &e).unwrap(), "x y");
    }

    #[test]
    fn a_word_that_is_none_is_refused() {
        for word in ["", "a b", "a\nb", "a=\"b", "\u{7}"] {
            assert!(escape(Loader::Isolinux, word).is_err(), "{word:?}");
        }
    }
}
