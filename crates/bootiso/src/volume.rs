//! Volume descriptors: where the trees of names and the boot catalog begin (ECMA-119, 8; Joliet; El Torito).

use super::{
    SECTOR, bad,
    dir::Extent,
    source::{self, Field, ReadAt},
};
use crate::error::{Error, Result};

/// Real images have three or four descriptors.
const MOST_DESCRIPTORS: u64 = 64;

/// What the descriptors say.
pub(super) struct Volumes {
    pub(super) label: String,
    /// The root folder of the primary tree.
    pub(super) primary: Extent,
    /// The root folder of the tree with Unicode names.
    pub(super) joliet: Option<Extent>,
    /// The root folders of further trees, which repeat the primary one by other rules of names (ISO 9660:1999).
    pub(super) others: Vec<Extent>,
    /// The sectors of El Torito catalogs: firmware may take another one than the first.
    pub(super) catalogs: Vec<u32>,
}

pub(super) fn read(source: &dyn ReadAt) -> Result<Volumes> {
    if source.size()? < (16 + 1) * SECTOR {
        return Err(no_image("too short"));
    }
    let (mut primary, mut joliet) = (None, None);
    let (mut others, mut catalogs) = (Vec::new(), Vec::new());
    for sector in 16..16 + MOST_DESCRIPTORS {
        let at = sector * SECTOR;
        let bytes = source::bytes(source, at, SECTOR)?;
        let field = Field::new(&bytes, at);
        if field.part(1, 5)?.bytes != b"CD001" {
            return Err(match sector {
                16 => no_image(&format!("no volume descriptor (`CD001`) at byte {}", at + 1)),
                _ => bad(at + 1, "no volume descriptor (`CD001`) is here"),
            });
        }
        match field.byte(0)? {
            0 if field.part(7, 23)?.bytes == b"EL TORITO SPECIFICATION" => {
                catalogs.push(field.le32(71)?);
            }
            1 if primary.is_none() => primary = Some((label(field)?, root(source, field)?)),
            2 if joliet.is_none() && is_joliet(field)? => joliet = Some(root(source, field)?),
            2 if !is_joliet(field)? => others.push(root(source, field)?),
            255 => {
                let (label, primary) = primary.ok_or_else(|| bad(at, "no primary volume descriptor"))?;
                others.retain(|root| *root != primary);
                return Ok(Volumes { label, primary, joliet, others, catalogs });
            }
            _ => {}
        }
    }
    Err(bad(16 * SECTOR, format!("{MOST_DESCRIPTORS} volume descriptors without a terminator")))
}

fn no_image(why: &str) -> Error {
    Error::image(format!("not an ISO image: {why}"))
}

/// Checks a descriptor's sizes and hands back its root folder.
fn root(source: &dyn ReadAt, field: Field<'_>) -> Result<Extent> {
    let block = field.both16(128)?;
    if u64::from(block) != SECTOR {
        return Err(bad(
            field.at + 128,
            format!("logical blocks have {block} bytes, only {SECTOR} is known"),
        ));
    }
    let length = u64::from(field.both32(80)?) * SECTOR;
    let real = source.size()?;
    if length > real {
        let text = format!("the volume says {length} bytes, the file has {real}: it is truncated");
        return Err(bad(field.at + 80, text));
    }
    let record = field.part(156, 34)?;
    if record.byte(25)? & 2 == 0 {
        return Err(bad(record.at + 25, "the root is not a folder"));
    }
    let offset = u64::from(record.both32(2)?) * SECTOR;
    let extent = Extent { offset, length: u64::from(record.both32(10)?) };
    source::inside(source, extent.offset, extent.length)?;
    Ok(extent)
}

fn label(field: Field<'_>) -> Result<String> {
    Ok(String::from_utf8_lossy(field.part(40, 32)?.bytes).trim_end_matches([' ', '\0']).to_owned())
}

/// UCS-2 levels 1 to 3.
fn is_joliet(field: Field<'_>) -> Result<bool> {
    let escapes = field.part(88, 32)?.bytes;
    Ok([b"%/@", b"%/C", b"%/E"].iter().any(|e| escapes.starts_with(*e)))
}
