//! An edit of a loader file, and how a file that gets longer finds its space: blanks, the rest of its last sector, comments, indents.

use super::{
    PlaceEdits, config,
    place::{ConfigFile, LengthField, joined},
    words::{ArgsReader, Edit},
};
use crate::error::{Error, Result};
use crate::{Iso, SECTOR};
use bootparams::Os;

impl ConfigFile {
    /// Adds what `edit` makes of this file.
    pub(super) fn change(&self, iso: &Iso, edit: &Edit, os: Os, change: &mut PlaceEdits) -> Result<()> {
        let mut replacements = Vec::new();
        for line in &self.config.lines {
            let reader = ArgsReader { loader: self.loader, os, is_value: line.is_value };
            let old = self.parts(line);
            let new = reader.edited_parts(&old, line.takes_words, edit)?;
            let Some(new) = new else {
                change.expected.push(joined(old));
                continue;
            };
            change.expected.push(joined(new.iter().map(String::as_str).collect()));
            let last = line.parts.len() - 1;
            for (i, (part, text)) in line.parts.iter().zip(new).enumerate() {
                let lead = if i == last && part.is_empty() { line.lead.as_str() } else { "" };
                let is_dash = text.is_empty() && line.dash && i == last;
                let text = if is_dash { "-".to_owned() } else { format!("{lead}{text}") };
                replacements.push((part.clone(), text));
            }
        }
        if replacements.is_empty() {
            return Ok(());
        }
        replacements.sort_by_key(|(part, _)| std::cmp::Reverse(part.start));
        let mut text = self.text.text.clone();
        for (part, new) in replacements {
            text.replace_range(part, &new);
        }
        let new = self.fitted(text, &self.slack(iso)?)?;
        let old = self.text.encode(&self.text.text)?;
        change.patches.extend(self.place.patches(iso, &old, &new)?);
        change.matched = true;
        Ok(())
    }

    /// How much the file may grow, or why it may not.
    pub(super) fn slack(&self, iso: &Iso) -> Result<Slack> {
        let room: u64 = self.place.extents.iter().map(|e| e.length).sum();
        if self.place.extents.is_empty() {
            return Ok(Slack::None("it has no sector of its own"));
        }
        if self.place.length_fields.iter().any(|f| matches!(f, LengthField::Iso(_))) {
            if let Some(other) = other_tree(iso)? {
                return Ok(Slack::None(other));
            }
            let Ok(all) = self.place.part(iso, 0, room) else {
                return Ok(Slack::None("the image ends with the file"));
            };
            if all[usize::try_from(self.place.size)?..].iter().any(|b| *b != 0) {
                return Ok(Slack::None("its last sector holds other data after it"));
            }
        }
        Ok(Slack::Bytes(room - self.place.size))
    }

    /// The new text at the old length if that can be, else longer within the slack, else without comments
    /// and indents.
    pub(super) fn fitted(&self, mut text: String, slack: &Slack) -> Result<Vec<u8>> {
        let old = usize::try_from(self.place.size)?;
        let more = if let Slack::Bytes(n) = slack { usize::try_from(*n)? } else { 0 };
        let line_end = config::line_end(&text);
        let padded = |mut bytes: Vec<u8>| {
            let missing = old.saturating_sub(bytes.len());
            // A pair that does not fit leaves a blank, which no loader minds in front of a line end.
            bytes.extend(std::iter::repeat_n(b' ', missing % line_end.len()));
            bytes.extend(line_end.bytes().cycle().take(missing - missing % line_end.len()));
            bytes
        };
        let shorter = self.text.encode(text.trim_end())?;
        let end = text.trim_end().len();
        if shorter.len() <= old {
            return Ok(padded(shorter));
        }
        text.truncate(end);
        text.push_str(line_end);
        let bytes = self.text.encode(&text)?;
        if bytes.len() <= old + more {
            return Ok(bytes);
        }
        let text = self.without_spare(&text, bytes.len() - old)?;
        let bytes = self.text.encode(text.trim_end())?;
        if bytes.len() <= old + more {
            return Ok(padded(bytes));
        }
        let missing = bytes.len() - old - more;
        let why =
            if let Slack::None(why) = slack { format!(", and it cannot grow: {why}") } else { String::new() };
        let text = format!("{} is {missing} bytes too small for this{why}", self.name);
        Err(Error::image(text).help("rebuild the image, or delete other arguments first"))
    }

    /// The text without its last comments, and then without its last indents, as many as have `bytes` bytes together.
    fn without_spare(&self, text: &str, bytes: usize) -> Result<String> {
        let config = config::parse(self.loader, text, false);
        let mut freed = 0;
        let mut gone = Vec::new();
        for spare in config.comments.into_iter().rev().chain(config.indents.into_iter().rev()) {
            if freed < bytes {
                freed += self.text.encode(&text[spare.clone()])?.len();
                gone.push(spare);
            }
        }
        gone.sort_by_key(|spare| spare.start);
        let mut left = String::new();
        let mut from = 0;
        for spare in gone {
            left += &text[from..spare.start];
            from = spare.end;
        }
        Ok(left + &text[from..])
    }
}

pub(super) enum Slack {
    Bytes(u64),
    None(&'static str),
}

/// Another file system over the same bytes, whose record of the length would be left behind.
fn other_tree(iso: &Iso) -> Result<Option<&'static str>> {
    // HFS keeps its header 1024 bytes into its volume, which is the image or a partition of it.
    let starts = iso.partitions()?.into_iter().map(|p| p.offset).chain([0]);
    let is_hfs = |id: Vec<u8>| matches!(&id[..], b"H+" | b"HX" | b"BD");
    if starts.filter_map(|at| iso.bytes(at.checked_add(1024)?, 2).ok()).any(is_hfs) {
        return Ok(Some("the image has an HFS tree too, which records the length"));
    }
    for sector in 17..64 {
        match iso.bytes(sector * SECTOR + 1, 5) {
            Ok(id) if id.starts_with(b"NSR") => {
                return Ok(Some("the image has a UDF tree too, which records the length"));
            }
            _ => {}
        }
    }
    Ok(None)
}
