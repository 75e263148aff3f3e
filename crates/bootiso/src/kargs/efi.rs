//! Programs of UEFI as far as they hold kernel arguments: unified kernel images, kernels, GRUB with its own files.
//!
//! The format is Microsoft's PE.

use crate::error::Result;

use super::{
    grub_modules::{self, BuiltIn},
    place::FilePlace,
};
use crate::Iso;

/// The headers of a program, which a unified kernel image with profiles has many of.
const HEAD: u64 = 1 << 16;
/// As much of a program's start as tells a kernel.
const FIRST: u64 = 1024;
/// The longest section that is read: GRUB with all its modules in it has some ten MiB.
const LONGEST: u64 = 64 << 20;
/// Sections of one program.
const MOST: usize = 256;
/// A built-in command line.
const LONGEST_TEXT: u64 = 1 << 20;

/// What a program is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EfiProgram {
    /// A unified kernel image or an addon of one, with the arguments that are built in.
    Unified(Option<String>),
    /// A kernel that can start by itself.
    Kernel,
    /// GRUB, with what is built in.
    Grub(BuiltIn),
    /// systemd-boot, which has no configuration within.
    SystemdBoot,
    /// A program of another kind.
    Other,
    /// No program of UEFI.
    None,
}

/// A part of the file.
struct Section {
    name: Vec<u8>,
    offset: u64,
    length: u64,
}

/// The start of a program, and its sections.
struct Headers {
    start: Vec<u8>,
    sections: Vec<Section>,
}

impl Headers {
    /// Nothing for what is not a program, or contradicts itself.
    fn read(iso: &Iso, place: &FilePlace) -> Result<Option<Self>> {
        let start = place.part(iso, 0, FIRST.min(place.size))?;
        let Some(pe) = le32(&start, 0x3C).filter(|_| start.starts_with(b"MZ")) else { return Ok(None) };
        let pe = (pe as u64).min(place.size);
        let head = place.part(iso, pe, HEAD.min(place.size - pe))?;
        Ok(sections(&head).map(|sections| Self { start, sections }))
    }

    fn of_name(&self, name: &'static str) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |s| s.name == name.as_bytes())
    }

    fn is_unified(&self) -> bool {
        self.of_name(".cmdline").chain(self.of_name(".linux")).next().is_some()
    }

    fn is_kernel(&self) -> bool {
        self.start.get(0x202..0x206) == Some(b"HdrS") || self.start.get(0x38..0x3C) == Some(b"ARM\x64")
    }
}

/// Whether a program takes arguments for Linux. A unified kernel image has its own, which the first word given would
/// replace.
pub(super) fn takes_arguments(iso: &Iso, place: &FilePlace, has_args: bool) -> Result<bool> {
    let headers = Headers::read(iso, place)?;
    Ok(headers.is_some_and(|h| if h.is_unified() { has_args } else { h.is_kernel() }))
}

/// Looks at the program at `place`.
pub(super) fn program(iso: &Iso, place: &FilePlace) -> Result<EfiProgram> {
    let Some(headers) = Headers::read(iso, place)? else { return Ok(EfiProgram::None) };
    if headers.is_unified() {
        let mut lines = Vec::new();
        for section in headers.of_name(".cmdline") {
            let bytes = read(iso, place, section, LONGEST_TEXT)?;
            let text = String::from_utf8_lossy(&bytes);
            lines.push(text.trim_end_matches('\0').trim().to_owned());
        }
        return Ok(EfiProgram::Unified((!lines.is_empty()).then(|| lines.join(" "))));
    }
    if let Some(section) = headers.of_name("mods").next() {
        let built_in = grub_modules::modules(&read(iso, place, section, LONGEST)?);
        return Ok(EfiProgram::Grub(built_in.unwrap_or_default()));
    }
    if headers.of_name(".sdmagic").next().is_some() {
        return Ok(EfiProgram::SystemdBoot);
    }
    Ok(if headers.is_kernel() { EfiProgram::Kernel } else { EfiProgram::Other })
}

fn read(iso: &Iso, place: &FilePlace, section: &Section, most: u64) -> Result<Vec<u8>> {
    let left = place.size.saturating_sub(section.offset);
    place.part(iso, section.offset.min(place.size), section.length.min(left).min(most))
}

fn le16(bytes: &[u8], at: usize) -> Option<usize> {
    let b = bytes.get(at..at.checked_add(2)?)?;
    Some(usize::from(u16::from_le_bytes([b[0], b[1]])))
}

pub(super) fn le32(bytes: &[u8], at: usize) -> Option<usize> {
    let b = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])).ok()
}

/// The table of sections behind the headers that begin with `head`; nothing without one.
fn sections(head: &[u8]) -> Option<Vec<Section>> {
    if !head.starts_with(b"PE\0\0") {
        return None;
    }
    let count = le16(head, 6)?.min(MOST);
    let table = 24 + le16(head, 20)?;
    let section = |i: usize| {
        let entry = head.get(table + 40 * i..table + 40 * (i + 1))?;
        let name = entry[..8].split(|b| *b == 0).next().unwrap_or_default().to_vec();
        // The file may have more than the section, for its alignment.
        let (virtual_size, size) = (le32(entry, 8)? as u64, le32(entry, 16)? as u64);
        let length = if virtual_size == 0 { size } else { size.min(virtual_size) };
        Some(Section { name, offset: le32(entry, 20)? as u64, length })
    };
    Some((0..count).map_while(section).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Extent;

    /// A program with these sections.
    pub(crate) fn image(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3C] = 0x80;
        bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
        bytes[0x86] = u8::try_from(sections.len()).unwrap();
        for (i, (name, content)) in sections.iter().enumerate() {
            let at = 0x80 + 24 + 40 * i;
            bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
            let length = u32::try_from(content.len()).unwrap().to_le_bytes();
            let offset = u32::try_from(bytes.len()).unwrap().to_le_bytes();
            bytes[at + 8..at + 12].copy_from_slice(&length);
            bytes[at + 16..at + 20].copy_from_slice(&length);
            bytes[at + 20..at + 24].copy_from_slice(&offset);
            bytes.extend_from_slice(content);
        }
        bytes
    }

    fn seen(bytes: Vec<u8>) -> EfiProgram {
        let size = bytes.len() as u64;
        let place = FilePlace {
            size,
            extents: vec![Extent { offset: 24 * 2048, length: size }],
            length_fields: vec![],
            is_packed: false,
        };
        let mut image = vec![0; 24 * 2048];
        image[16 * 2048..16 * 2048 + 6].copy_from_slice(b"\x01CD001");
        image[16 * 2048 + 128..16 * 2048 + 132].copy_from_slice(&[0, 8, 8, 0]);
        image[16 * 2048 + 156 + 25] = 2;
        image[17 * 2048..17 * 2048 + 6].copy_from_slice(b"\xFFCD001");
        image.extend(bytes);
        program(&Iso::over(Arc::new(image)).unwrap(), &place).unwrap()
    }

    #[test]
    fn arguments_that_are_built_into_a_kernel_image_are_read() {
        let unified = image(&[(".linux", b"kernel"), (".cmdline", b"quiet root=x\n\0")]);
        assert_eq!(seen(unified), EfiProgram::Unified(Some("quiet root=x".to_owned())));
        assert_eq!(seen(image(&[(".linux", b"kernel")])), EfiProgram::Unified(None));
        assert_eq!(seen(image(&[(".text", b"x")])), EfiProgram::Other);
        assert_eq!(seen(b"#!/bin/sh".to_vec()), EfiProgram::None);
        let mut kernel = image(&[]);
        kernel[0x202..0x206].copy_from_slice(b"HdrS");
        assert_eq!(seen(kernel), EfiProgram::Kernel);
    }

    #[test]
    fn configurations_that_are_built_into_grub_are_read() {
        let object = |kind: u32, content: &[u8]| {
            let size = u32::try_from(content.len() + 8).unwrap();
            [&kind.to_le_bytes()[..], &size.to_le_bytes(), content].concat()
        };
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        builder.append_data(&mut header, "boot/grub/grub.cfg", &b"text"[..]).unwrap();
        let memdisk = builder.into_inner().unwrap();
        let objects =
            [object(2, b"configfile /x.cfg\0"), object(3, b"/boot/grub\0"), object(1, &memdisk)].concat();
        let total = (24 + objects.len()) as u64;
        let wide = [&b"mimg\0\0\0\0"[..], &24u64.to_le_bytes(), &total.to_le_bytes(), &objects].concat();
        let expected = vec![
            (String::new(), "configfile /x.cfg".to_owned()),
            ("boot/grub/grub.cfg".to_owned(), "text".to_owned()),
        ];
        let expected = BuiltIn { texts: expected, has_unread: false };
        assert_eq!(seen(image(&[("mods", &wide)])), EfiProgram::Grub(expected));
        for cut in 0..wide.len().min(200) {
            seen(image(&[("mods", &wide[..cut])]));
        }
    }
}
