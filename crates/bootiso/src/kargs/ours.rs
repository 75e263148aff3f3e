//! Images that we built: regions and the config initrd, as `/media.json` lists them.

use super::{
    PlaceEdits, Slot,
    patch::Patch,
    words::{ArgsReader, Edit},
};
use crate::Entry;
use crate::Iso;
use crate::config_initrd;
use crate::embed::{self, ConfigArea, Loader, MediaLayout, Region};
use crate::error::{Error, Result};
use bootparams::Os;

/// The layout is a few KiB, unless the built cloud-config is in it.
const LONGEST: u64 = 1 << 20;
/// Regions of one image; ours have two.
const MOST: usize = 64;

/// An image with embed areas.
pub(super) struct Ours {
    pub(super) layout: MediaLayout,
    /// The bytes of each region, in the layout's order, with where they are in the image.
    regions: Vec<(u64, Vec<u8>)>,
    config_initrd: Option<(u64, Vec<u8>)>,
    os: Os,
}

/// Reads the layout and what is in the regions; nothing when the image has no layout. `os` goes before what the
/// image says of itself.
pub(super) fn open(iso: &Iso, os: Option<Os>) -> Result<Option<Ours>> {
    let Some(entry) = iso.find_opt(embed::LAYOUT)? else { return Ok(None) };
    let layout = MediaLayout::from_json(&iso.read(&entry, LONGEST)?)?;
    if layout.regions.len() > MOST {
        return Err(Error::image(format!("{} lists more than {MOST} regions", embed::LAYOUT)));
    }
    let mut files: Vec<Entry> = Vec::new();
    let mut file = |name: &str| -> Result<Entry> {
        if let Some(known) = files.iter().find(|e| e.path == name) {
            return Ok(known.clone());
        }
        let entry = iso.find(name)?;
        files.push(entry.clone());
        Ok(entry)
    };
    let mut regions = Vec::new();
    for region in &layout.regions {
        let entry = file(&region.file)?;
        regions.push(area(iso, &entry, region.offset, region.length)?);
    }
    let config_initrd = match &layout.config_initrd {
        Some(s) => Some(area(iso, &file(&s.file)?, 0, s.length)?),
        None => None,
    };
    let mut ends: Vec<_> =
        regions.iter().chain(&config_initrd).map(|(at, b)| (*at, *at + b.len() as u64)).collect();
    ends.sort_unstable();
    if ends.windows(2).any(|w| w[0].1 > w[1].0) {
        return Err(Error::image(format!("{} lists areas that overlap", embed::LAYOUT)));
    }
    let os = os.or_else(|| layout.os.as_ref()?.parse().ok()).unwrap_or(Os::Linux);
    Ok(Some(Ours { layout, regions, config_initrd, os }))
}

/// A part of a file, with where it is in the image.
fn area(iso: &Iso, entry: &Entry, offset: u64, length: u64) -> Result<(u64, Vec<u8>)> {
    let end = offset.checked_add(length);
    let ([extent], true) =
        (entry.extents.as_slice(), end.is_some_and(|e| e <= entry.size && length <= LONGEST))
    else {
        let text = format!(
            "{} says {length} bytes at {offset} of {}, which has {}",
            embed::LAYOUT,
            entry.path,
            entry.size
        );
        return Err(Error::image(text));
    };
    let at = extent.offset + offset;
    Ok((at, iso.bytes(at, length)?))
}

impl Ours {
    /// The arguments of each region. A region that is torn shows as an error.
    pub(super) fn slots(&self) -> Result<Vec<Slot>> {
        let slot = |(region, (_, bytes)): (&Region, &(u64, Vec<u8>))| {
            let args = embed::args(bytes).ok_or_else(|| torn(&region.file, region.offset))?;
            let file = region.file.clone();
            Ok(Slot { file, entry: String::new(), loader: region.loader, args: args.to_owned() })
        };
        self.layout.regions.iter().zip(&self.regions).map(slot).collect()
    }

    /// The cloud-config in the config initrd, when there is one.
    pub(super) fn config(&self) -> Result<Option<String>> {
        let (Some((_, bytes)), Some(layout)) = (&self.config_initrd, &self.layout.config_initrd) else {
            return Ok(None);
        };
        let files = config_initrd::list(bytes)?;
        let config = files.into_iter().find(|f| f.path == layout.path);
        Ok(config.map(|f| String::from_utf8_lossy(&f.bytes).into_owned()))
    }

    /// Whether all regions say the same.
    pub(super) fn agrees(&self) -> Result<bool> {
        let slots = self.slots()?;
        let line = self.line(&slots);
        Ok(slots.iter().all(|s| self.is_written_as(s, &line)))
    }

    fn reader(&self, loader: Loader) -> ArgsReader {
        ArgsReader { loader, os: self.os, is_value: false }
    }

    /// The list that the image's arguments were built from: ISOLINUX has it word for word.
    fn line(&self, slots: &[Slot]) -> String {
        let slot = slots.iter().find(|s| s.loader == Loader::Isolinux).or(slots.first());
        slot.map_or_else(String::new, |s| self.reader(s.loader).read(&s.args))
    }

    /// Whether a place says what the others do.
    fn is_written_as(&self, slot: &Slot, line: &str) -> bool {
        self.reader(slot.loader).write(line).is_ok_and(|text| text == slot.args)
    }

    /// Whether regions and config initrd are those of the built image.
    pub(super) fn is_pristine(&self) -> Result<bool> {
        Ok(self.change(&Edit::Reset)?.patches.is_empty())
    }

    /// What `edit` makes of the regions, and of the config initrd when it is a reset.
    ///
    /// The image was built from one list, so the list is edited, and each loader is given it in its own language.
    /// A region that somebody has changed alone is edited by itself.
    pub(super) fn change(&self, edit: &Edit) -> Result<PlaceEdits> {
        let mut change = PlaceEdits::default();
        if *edit == Edit::Reset {
            for (region, area) in self.layout.regions.iter().zip(&self.regions) {
                change.region(area, &region.args)?;
            }
            if let (Some((offset, old)), Some(area)) = (&self.config_initrd, &self.layout.config_initrd) {
                let new = area.archive(area.config.as_deref())?;
                change.patches.push(Patch::new(*offset, old.clone(), new));
            }
        } else {
            let slots = self.slots()?;
            let line = self.line(&slots);
            let new_line = self.reader(Loader::Isolinux).edited(&line, edit)?;
            for (slot, area) in slots.iter().zip(&self.regions) {
                let reader = self.reader(slot.loader);
                let new = if self.is_written_as(slot, &line) {
                    new_line.as_ref().map(|l| reader.write(l)).transpose()?
                } else {
                    reader.edited(&slot.args, edit)?
                };
                change.region(area, new.as_ref().unwrap_or(&slot.args))?;
                change.matched |= new.is_some();
            }
        }
        change.patches.retain(|p| p.old != p.new);
        Ok(change)
    }

    /// The patch that puts another cloud-config into the config initrd.
    pub(super) fn embed(&self, config: &str) -> Result<Patch> {
        let (Some((offset, old)), Some(area)) = (&self.config_initrd, &self.layout.config_initrd) else {
            let text = "the image has no area for a cloud-config";
            return Err(Error::image(text).help("build it with a cloud-config area"));
        };
        Ok(Patch::new(*offset, old.clone(), ConfigArea::archive(area, Some(config))?))
    }
}

fn torn(file: &str, offset: u64) -> Error {
    let text = format!(
        "the embed area for kernel arguments at byte {offset} of {file} is damaged: an edit was interrupted"
    );
    Error::image(text).help("`cargo xtask kargs reset` restores the arguments of the built image")
}

impl PlaceEdits {
    fn region(&mut self, (offset, old): &(u64, Vec<u8>), args: &str) -> Result<()> {
        self.patches.push(Patch::new(*offset, old.clone(), embed::region(args, old.len())?.into()));
        self.expected.push(args.to_owned());
        Ok(())
    }
}
