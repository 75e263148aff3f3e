//! How bytes are packed, told from how they begin.

use std::io::{self, BufRead, Read};

use super::utf16::Endian;
use bootiso::SECTOR;

/// Bytes that [`packed`] wants to see: up to the first descriptor of an ISO, and to the mark of btrfs.
pub(super) const HEAD: usize = BTRFS + 8;
/// Where btrfs has its mark.
const BTRFS: usize = 0x1_0040;
/// More than `xz -9` needs to unpack, and less than a machine has.
const MEMORY: u64 = 1 << 30;

/// How the bytes that come next are packed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Packed {
    Gzip,
    Xz,
    Lzma,
    Zstd,
    Zlib,
    Cpio,
    Tar,
    Ar,
    Utf16(Endian),
    Iso,
    Fat,
    /// A disk with a table of partitions.
    Disk,
    Squashfs,
    Unknown(&'static str),
    Plain,
}

/// What is known by a word at a place, and not unpacked here.
const UNKNOWN: &[(usize, &[u8], &str)] = &[
    (0, b"BZh", "bzip2"),
    (0, b"\x02\x21\x4C\x18", "lz4"),
    (0, b"\x04\x22\x4D\x18", "lz4"),
    (0, b"\x89LZO\0", "lzo"),
    (0, b"LZIP\x01", "lzip"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"7z\xBC\xAF\x27\x1C", "7z"),
    (0, b"Rar!\x1A\x07", "rar"),
    (0, b"MSCF\0\0\0\0", "cab"),
    (0, b"MSWIM\0\0\0", "wim"),
    (0, b"\xED\xAB\xEE\xDB", "rpm"),
    (0, b"sqsh", "squashfs"),
    (0, b"-rom1fs-", "romfs"),
    (0, b"\x45\x3D\xCD\x28", "cramfs"),
    (0, b"XFSB\0\0", "xfs"),
    (0, b"QFI\xFB", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"LUKS\xBA\xBE", "LUKS"),
    (0x40, b"\x7F\x10\xDA\xBE", "vdi"),
    (1024, b"\xE2\xE1\xF5\xE0", "erofs"),
    (BTRFS, b"_BHRfS_M", "btrfs"),
    (1024, b"\x10\x20\xF5\xF2", "f2fs"),
    (1024, b"H+\0\x04", "hfs+"),
    (1024, b"HX\0\x05", "hfs+"),
    (4096 + 24, b"\xC6\x85\x73\xF6\x4E\x1A\x45\xCA", "bcachefs"),
    (3, b"NTFS    ", "ntfs"),
    (3, b"EXFAT   ", "exfat"),
    (0, b"UBI#", "ubi"),
    (0, b"\x31\x18\x10\x06", "ubifs"),
    (0, b"\x85\x19\x01\xE0", "jffs2"),
    (0, b"\x85\x19\x02\xE0", "jffs2"),
    (0, b"\x85\x19\x03\x20", "jffs2"),
    (0, b"DWARFS", "dwarfs"),
    (512, b"LABELONE", "LVM"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (0, b"EVF\x09\x0D\x0A\xFF\0", "ewf"),
    (0, b"\x3A\xFF\x26\xED", "sparse"),
    (0, b"\x37\xE4\x53\x96\xC9\xDB\xD6\x07", "zisofs"),
    (0, b"\x1F\x9D\x90", "compress"),
    (0, b"LRZI", "lrzip"),
    (0, b"xar!", "xar"),
    (0, b"\xFF\x06\0\0sNaPpY", "snappy"),
    (0, b"\0ZCK1", "zchunk"),
    (20, b"\xDC\xA7\xC4\xFD", "zoo"),
    (2, b"-lh1-", "lha"),
    (2, b"-lh5-", "lha"),
    (2, b"-lh6-", "lha"),
    (2, b"-lh7-", "lha"),
];

/// What `head` begins, of which [`HEAD`] bytes are shown unless there are fewer.
pub(super) fn packed(head: &[u8]) -> Packed {
    let at = |from: usize, word: &[u8]| head.get(from..from + word.len()) == Some(word);
    if at(16 * SECTOR as usize + 1, b"CD001") {
        return Packed::Iso;
    }
    let stream = compressed(head);
    if stream != Packed::Plain {
        return stream;
    }
    if at(0, b"!<arch>\n") {
        return Packed::Ar;
    }
    if let Some((_, _, name)) = UNKNOWN.iter().find(|(from, word, name)| {
        at(*from, word) && (*name != "bzip2" || at(4, b"1AY&SY") || at(4, b"\x17\x72\x45\x38\x50\x90"))
    }) {
        return Packed::Unknown(name);
    }
    match head {
        [b'h', b's', b'q', b's', ..] => Packed::Squashfs,
        _ if is_tar(head) => Packed::Tar,
        _ if is_ext(head) => Packed::Unknown("ext"),
        _ if is_fat(head) => Packed::Fat,
        _ if is_disk(head) => Packed::Disk,
        [0x5D, 0, 0, ..] if survives(lzma(head)) => Packed::Lzma,
        [0x78, 0x01 | 0x5E | 0x9C | 0xDA, ..] if survives(Ok(zlib(head))) => Packed::Zlib,
        _ => utf16(head).map_or(Packed::Plain, Packed::Utf16),
    }
}

/// Whether `bytes` begin something compressed.
pub(super) fn is_packed(bytes: &[u8]) -> bool {
    compressed(bytes) != Packed::Plain
}

/// ELF, or a kernel of boot protocol 2.08 and later (`Documentation/arch/x86/boot.rst`; iPXE's is older). A kernel may be packed with lz4, which shows parts of it as they
/// are, and has whole archives in it to test itself with.
pub(super) fn is_program(head: &[u8]) -> bool {
    let kernel =
        head.get(0x202..0x206) == Some(b"HdrS") && head.len() > 0x207 && (head[0x207], head[0x206]) >= (2, 8);
    head.starts_with(b"\x7FELF") || kernel
}

/// What may also stand in the middle of other bytes.
fn compressed(head: &[u8]) -> Packed {
    match head {
        [0x1F, 0x8B, 8, ..] => Packed::Gzip,
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Packed::Xz,
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Packed::Zstd,
        [b'0', b'7', b'0', b'7', b'0', b'1' | b'2' | b'7', ..] => Packed::Cpio,
        _ => Packed::Plain,
    }
}

/// How the words of [`compressed`] begin, to search for.
pub(super) const WORDS: &[&[u8]] = &[
    b"\x1F\x8B\x08",
    b"\xFD7zXZ\0",
    b"\x28\xB5\x2F\xFD",
    b"070701",
    b"070702",
    b"070707",
    b"PK\x03\x04",
    b"BZh",
];

/// Whether an archive really begins here, in the middle of other bytes: programs have such words in them, and what
/// follows does not unpack then.
pub(super) fn begins(bytes: &[u8]) -> bool {
    match compressed(bytes) {
        // Reserved flags are zero.
        Packed::Gzip => bytes.get(3).is_some_and(|f| f & 0xE0 == 0) && survives(Ok(gzip(bytes))),
        Packed::Xz => survives(xz(bytes)),
        // So are these, and in x86 code that compares with the word, they are not.
        Packed::Zstd => bytes.get(4).is_some_and(|f| f & 0x18 == 0) && survives(zstd(bytes)),
        Packed::Cpio if bytes[5] == b'7' => {
            bytes.get(..76).is_some_and(|h| h.iter().all(|b| (b'0'..=b'7').contains(b)))
        }
        Packed::Cpio => bytes.get(..110).is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit)),
        _ => is_packed_zip(bytes) || is_bzip2(bytes),
    }
}

/// A file of a zip whose contents do not stand there as they are, with a possible version, method and name (APPNOTE 4.3.7).
fn is_packed_zip(bytes: &[u8]) -> bool {
    let Some(head) = bytes.get(..30).filter(|h| h.starts_with(b"PK\x03\x04")) else { return false };
    let number = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let name = bytes.get(30..30 + number(26)).unwrap_or_default();
    (10..=63).contains(&number(4))
        && matches!(number(8), 1..=19 | 93..=99)
        && number(28) <= 1024
        && !name.is_empty()
        && std::str::from_utf8(name).is_ok_and(|name| !name.contains(char::is_control))
}

/// A block behind the mark that is not randomised, and begins inside of itself.
fn is_bzip2(bytes: &[u8]) -> bool {
    let [
        b'B',
        b'Z',
        b'h',
        level @ b'1'..=b'9',
        b'1',
        b'A',
        b'Y',
        b'&',
        b'S',
        b'Y',
        _,
        _,
        _,
        _,
        a,
        b,
        c,
        d,
        ..,
    ] = bytes
    else {
        return false;
    };
    let begins = u32::from_be_bytes([*a, *b, *c, *d]) >> 7;
    begins < u32::from(level - b'0') * 100_000
}

/// Whether something comes out before an error does.
fn survives(reader: io::Result<impl Read>) -> bool {
    let Ok(mut reader) = reader else { return false };
    let (mut got, mut buffer) = (0, [0; 4096]);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return true,
            Ok(n) if got + n > 1 << 16 => return true,
            Ok(n) => got += n,
            Err(_) => return got > 0,
        }
    }
}

pub(super) fn gzip<R: BufRead>(reader: R) -> flate2::bufread::GzDecoder<R> {
    flate2::bufread::GzDecoder::new(reader)
}

pub(super) fn zlib<R: BufRead>(reader: R) -> flate2::bufread::ZlibDecoder<R> {
    flate2::bufread::ZlibDecoder::new(reader)
}

pub(super) fn xz<R: BufRead>(reader: R) -> io::Result<impl Read> {
    let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY, 0)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(reader, stream))
}

pub(super) fn lzma<R: BufRead>(reader: R) -> io::Result<impl Read> {
    let stream = liblzma::stream::Stream::new_lzma_decoder(MEMORY)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(reader, stream))
}

pub(super) fn zstd<R: Read>(reader: R) -> io::Result<impl Read> {
    ruzstd::decoding::StreamingDecoder::new(reader).map_err(io::Error::other)
}

/// The checksum of a tar header, its own field counted as spaces, is in it (POSIX.1-1988 ustar).
fn is_tar(head: &[u8]) -> bool {
    let Some(block) = head.get(..512) else { return false };
    let header = tar::Header::from_byte_slice(block);
    let sum = |range: &[u8]| range.iter().map(|b| u32::from(*b)).sum::<u32>();
    block[0] != 0
        && header.cksum().ok() == Some(sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]))
}

/// A superblock of ext2 to ext4 with a block size and a revision that exist.
fn is_ext(head: &[u8]) -> bool {
    let at = |i: usize| head.get(1024 + i).copied().unwrap_or(0xFF);
    (at(56), at(57)) == (0x53, 0xEF) && at(24) <= 6 && at(25) == 0 && at(76) <= 1 && at(77) == 0
}

/// A boot sector whose fields are possible (Microsoft's FAT specification 1.03).
fn is_fat(head: &[u8]) -> bool {
    let Some(s) = head.get(..512) else { return false };
    let sector = u16::from_le_bytes([s[11], s[12]]);
    s[510..] == [0x55, 0xAA]
        && (s[0] == 0xE9 || s[0] == 0xEB && s[2] == 0x90)
        && [512, 1024, 2048, 4096].contains(&sector)
        && s[13].is_power_of_two()
        && (s[14], s[15]) != (0, 0)
        && matches!(s[16], 1 | 2)
        && (s[21] == 0xF0 || s[21] >= 0xF8)
}

/// A first sector with a table of partitions; a kernel for BIOS has the same mark at its end, and another one behind.
fn is_disk(head: &[u8]) -> bool {
    let Some(s) = head.get(..512) else { return false };
    let entries = || s[446..510].chunks_exact(16);
    s[510..] == [0x55, 0xAA]
        && head.get(514..518) != Some(b"HdrS")
        && entries().all(|e| e[0] & 0x7F == 0)
        && entries().any(|e| e[4] != 0 && e[8..12] != [0; 4] && e[12..16] != [0; 4])
}

/// A mark, or letters with a zero each.
fn utf16(head: &[u8]) -> Option<Endian> {
    let pairs = |letter: usize| {
        let (chunks, rest) = head[..head.len().min(64)].as_chunks::<2>();
        let text = |p: &[u8; 2]| {
            (p[letter].is_ascii_graphic() || p[letter].is_ascii_whitespace()) && p[1 - letter] == 0
        };
        rest.is_empty() && chunks.len() >= 8 && chunks.iter().all(text)
    };
    match head {
        [0xFF, 0xFE, _, 0, ..] => Some(Endian::Little),
        [0xFE, 0xFF, 0, _, ..] => Some(Endian::Big),
        _ if pairs(0) => Some(Endian::Little),
        _ if pairs(1) => Some(Endian::Big),
        _ => None,
    }
}
