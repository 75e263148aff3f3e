//! What a stick's first and last blocks say: the boot sector, its partitions, and a GPT for the UEFI part.

use flate2::Crc;

/// Bytes of code in the boot sector.
pub(super) const CODE: usize = 432;
/// Bytes of a block.
const BLOCK: usize = 512;
/// Entries of a partition table, and their length.
const ENTRIES: usize = 128;
const ENTRY: usize = 128;
/// Blocks that the entries take.
const TABLE: u64 = (ENTRIES * ENTRY / BLOCK) as u64;
/// Microsoft's basic data: what isohybrid images have there, so that no system hides the part.
const BASIC_DATA: [u8; 16] =
    [0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7];
/// Read-only, and needed by the platform.
const ATTRIBUTES: u64 = 1 << 60 | 1;

/// Sectors of a track, for BIOSes that count so; they take the numbers of heads and sectors from where the first
/// partition ends, so that it ends with a cylinder.
const SECTORS: u64 = 32;
/// Heads, the fewest first: a cylinder of 16 heads is 256 KiB, one of 64, as isohybrid has it, 1 MiB.
const HEADS: [u64; 3] = [16, 32, 64];
/// Cylinders that such a BIOS can count.
const CYLINDERS: u64 = 1024;

/// The heads of a disk of so many blocks.
fn heads(blocks: u64) -> u64 {
    HEADS.into_iter().find(|heads| blocks <= heads * SECTORS * CYLINDERS).unwrap_or(HEADS[2])
}

/// The size of an image of so many bytes: the copy of the table at its end, and whole cylinders. Nothing else follows: what
/// padding on a CD is for, a kernel that reads ahead of the last file, reads our images through the firmware.
pub(super) fn whole_cylinders(used: u64) -> u64 {
    let needed = used + (TABLE + 1) * BLOCK as u64;
    let cylinder = heads(needed.div_ceil(BLOCK as u64)) * SECTORS * BLOCK as u64;
    needed.next_multiple_of(cylinder)
}

/// Consecutive blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockRange {
    pub(super) first: u64,
    pub(super) blocks: u64,
}

/// An image as a disk.
#[derive(Debug)]
pub(super) struct DiskLayout {
    pub(super) id: [u8; 16],
    pub(super) blocks: u64,
    /// Where ISOLINUX's program begins.
    pub(super) bios: u64,
    pub(super) efi: Option<BlockRange>,
}

impl DiskLayout {
    /// The first 32 KiB.
    pub(super) fn head(&self, code: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64 * BLOCK];
        bytes[..code.len()].copy_from_slice(code);
        put(&mut bytes, 432, &self.bios.to_le_bytes());
        put(&mut bytes, 440, &self.id[..4]);
        // The whole image is the active partition, since BIOSes want one; it has no type.
        put(&mut bytes, 446, &self.mbr_entry(0x80, 0, BlockRange { first: 0, blocks: self.blocks }));
        if let Some(efi) = self.efi {
            put(&mut bytes, 462, &self.mbr_entry(0, 0xef, efi));
            put(&mut bytes, BLOCK, &self.header(efi, 1, self.blocks - 1, 2));
            put(&mut bytes, 2 * BLOCK, &self.entries(efi));
        }
        put(&mut bytes, 510, &[0x55, 0xaa]);
        bytes
    }

    /// The copy of the table, at the very end.
    pub(super) fn backup(&self, tail: &mut [u8]) {
        let Some(efi) = self.efi else { return };
        let at = tail.len() - BLOCK * (1 + ENTRIES * ENTRY / BLOCK);
        put(tail, at, &self.entries(efi));
        let last = self.blocks - 1;
        let at = tail.len() - BLOCK;
        put(tail, at, &self.header(efi, last, 1, last - TABLE));
    }

    fn header(&self, efi: BlockRange, own: u64, other: u64, table: u64) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK];
        put(&mut bytes, 0, b"EFI PART\0\0\x01\0");
        put(&mut bytes, 12, &92_u32.to_le_bytes());
        // Behind the table; the last usable block is the one in front of its copy.
        let numbers = [own, other, 2 + TABLE, self.blocks - 2 - TABLE];
        for (at, number) in numbers.into_iter().enumerate() {
            put(&mut bytes, 24 + 8 * at, &number.to_le_bytes());
        }
        put(&mut bytes, 56, &guid(self.id, 0));
        put(&mut bytes, 72, &table.to_le_bytes());
        put(&mut bytes, 80, &u32::try_from(ENTRIES).expect("it is 128").to_le_bytes());
        put(&mut bytes, 84, &u32::try_from(ENTRY).expect("it is 128").to_le_bytes());
        put(&mut bytes, 88, &crc(&self.entries(efi)).to_le_bytes());
        let sum = crc(&bytes[..92]);
        put(&mut bytes, 16, &sum.to_le_bytes());
        bytes
    }

    fn entries(&self, efi: BlockRange) -> Vec<u8> {
        let mut bytes = vec![0; ENTRIES * ENTRY];
        put(&mut bytes, 0, &BASIC_DATA);
        put(&mut bytes, 16, &guid(self.id, 1));
        put(&mut bytes, 32, &efi.first.to_le_bytes());
        put(&mut bytes, 40, &(efi.first + efi.blocks - 1).to_le_bytes());
        put(&mut bytes, 48, &ATTRIBUTES.to_le_bytes());
        let name: Vec<u8> = "UEFI".encode_utf16().flat_map(u16::to_le_bytes).collect();
        put(&mut bytes, 56, &name);
        bytes
    }
}

impl DiskLayout {
    fn mbr_entry(&self, status: u8, kind: u8, part: BlockRange) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[0] = status;
        bytes[1..4].copy_from_slice(&cylinders(part.first, heads(self.blocks)));
        bytes[4] = kind;
        bytes[5..8].copy_from_slice(&cylinders(part.first + part.blocks - 1, heads(self.blocks)));
        let number = |n: u64| u32::try_from(n).expect("the image is below 2 TiB").to_le_bytes();
        bytes[8..12].copy_from_slice(&number(part.first));
        bytes[12..16].copy_from_slice(&number(part.blocks));
        bytes
    }
}

/// A GUID of version 8 (RFC 9562): what it is made of is the maker's affair.
fn guid(mut id: [u8; 16], number: u8) -> [u8; 16] {
    id[15] = id[15].wrapping_add(number);
    // The third field is in little-endian order.
    id[7] = id[7] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

/// Head, sector, cylinder; the largest that can be written for what lies beyond.
fn cylinders(block: u64, heads: u64) -> [u8; 3] {
    let (track, sector) = (block / SECTORS, block % SECTORS + 1);
    let (cylinder, head) = (track / heads, track % heads);
    if cylinder >= CYLINDERS {
        return [0xfe, 0xff, 0xff];
    }
    let byte = |n: u64| u8::try_from(n & 0xff).expect("it is masked");
    [byte(head), byte(sector | cylinder >> 2 & 0xc0), byte(cylinder)]
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..at + what.len()].copy_from_slice(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_ends_with_a_cylinder_that_the_boot_sector_can_name() {
        const MIB: u64 = 1 << 20;
        for used in [1, 17_000_000, 255 * MIB, 256 * MIB, 300 * MIB, 511 * MIB, 600 * MIB, 1023 * MIB] {
            let size = whole_cylinders(used);
            assert!(size >= used + 33 * 512 && size - used < MIB + 33 * 512, "{used}: {size}");
            let disk = DiskLayout { id: [0; 16], blocks: size / 512, bios: 0, efi: None };
            let end = &disk.head(&[])[446 + 5..446 + 8];
            let heads = u64::from(end[0]) + 1;
            assert!(HEADS.contains(&heads) && u64::from(end[1] & 0x3f) == SECTORS, "{used}: {end:?}");
            let cylinder = u64::from(end[1] & 0xc0) << 2 | u64::from(end[2]);
            assert_eq!((cylinder + 1) * heads * SECTORS * 512, size, "{used}");
        }
    }

    #[test]
    fn a_small_image_is_padded_by_less_than_a_quarter_of_a_mebibyte() {
        assert_eq!(whole_cylinders(1), 256 << 10);
        assert_eq!(whole_cylinders((256 << 10) - 33 * 512), 256 << 10);
        assert_eq!(whole_cylinders((256 << 10) - 33 * 512 + 1), 512 << 10);
    }

    #[test]
    fn what_cannot_be_counted_is_the_largest_number() {
        let disk = DiskLayout { id: [0; 16], blocks: whole_cylinders(2000 << 20) / 512, bios: 0, efi: None };
        assert_eq!(disk.head(&[])[446 + 5..446 + 8], [0xfe, 0xff, 0xff]);
    }
}
