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
        put(&mut bytes, 446, &mbr_entry(0x80, 0, BlockRange { first: 0, blocks: self.blocks }));
        if let Some(efi) = self.efi {
            put(&mut bytes, 462, &mbr_entry(0, 0xef, efi));
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

/// A GUID of version 8 (RFC 9562): what it is made of is the maker's affair.
fn guid(mut id: [u8; 16], number: u8) -> [u8; 16] {
    id[15] = id[15].wrapping_add(number);
    // The third field is in little-endian order.
    id[7] = id[7] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

fn mbr_entry(status: u8, kind: u8, part: BlockRange) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = status;
    bytes[1..4].copy_from_slice(&cylinders(part.first));
    bytes[4] = kind;
    bytes[5..8].copy_from_slice(&cylinders(part.first + part.blocks - 1));
    let number = |n: u64| u32::try_from(n).expect("the image is below 2 TiB").to_le_bytes();
    bytes[8..12].copy_from_slice(&number(part.first));
    bytes[12..16].copy_from_slice(&number(part.blocks));
    bytes
}

/// Head, sector, cylinder, for 64 heads of 32 sectors; the largest that can be written for what lies beyond.
fn cylinders(block: u64) -> [u8; 3] {
    let (cylinder, head, sector) = (block / 2048, block / 32 % 64, block % 32 + 1);
    if cylinder > 1023 {
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
