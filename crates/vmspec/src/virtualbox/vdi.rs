//! The header of a VDI image, as far as it tells whether the image is whole.
//!
//! VirtualBox opens an image whose last block is missing and lets the guest meet the hole; one that ends in its block
//! table it calls inaccessible. The layout is that of VirtualBox's `VDICore.h`, version 1.1.

/// How much of an image [`damage`] has to see.
pub const HEADER: usize = 0x188;

const SIGNATURE: u32 = 0xbeda_107f;

/// What is wrong with an image of `length` bytes that starts with `header`; `None` when nothing is.
#[must_use]
pub fn damage(header: &[u8], length: u64) -> Option<String> {
    let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let Some((Some(SIGNATURE), Some(table), Some(data), Some(size), Some(blocks), Some(used))) = header
        .get(..HEADER)
        .map(|_| (word(0x40), word(0x154), word(0x158), word(0x178), word(0x180), word(0x184)))
    else {
        return Some(format!("its {length} bytes do not start with the header of a VDI image"));
    };
    let [table, data, size, blocks, used] = [table, data, size, blocks, used].map(u64::from);
    let end = (table + 4 * blocks).max(data + size.saturating_mul(used));
    (length < end).then(|| format!("it ends at byte {length}, and its blocks at {end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with 20 blocks of 1 MiB, of which `used` are in the file.
    fn header(used: u32) -> Vec<u8> {
        let mut header = vec![0; HEADER];
        let words = [(0x40, SIGNATURE), (0x154, 0x10_0000), (0x158, 0x20_0000)];
        for (at, word) in words.into_iter().chain([(0x178, 0x10_0000), (0x180, 20), (0x184, used)]) {
            header[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        header
    }

    #[test]
    fn an_image_is_whole_when_its_table_and_its_blocks_are_there() {
        assert_eq!(damage(&header(0), 0x10_0000 + 80 + 0x10_0000), None);
        assert_eq!(damage(&header(3), 0x50_0000), None);
        let short = damage(&header(3), 0x4f_ffff).unwrap();
        assert_eq!(short, "it ends at byte 5242879, and its blocks at 5242880");
        assert!(damage(&header(0), 0x10_0000).unwrap().starts_with("it ends at byte 1048576"));
    }

    #[test]
    fn what_is_no_image_is_told_apart() {
        for bytes in [&[][..], &[0; 600], &header(0)[..HEADER - 1]] {
            assert!(damage(bytes, 600).unwrap().contains("do not start with"), "{}", bytes.len());
        }
    }
}
