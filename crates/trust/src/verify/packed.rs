//! iPXE's programs for BIOS, as its `zbin` packs them: some blocks, each a length, a raw LZMA stream and its CRC.

use flate2::Crc;
use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};

/// A shorter stream holds no script.
const LEAST: usize = 1024;
/// More than any iPXE unpacks to.
const MOST: usize = 16 << 20;
/// `LZMA_PRESET_DEFAULT | LZMA_PRESET_EXTREME` of zbin.
const PRESET: u32 = 6 | 1 << 31;

/// What all blocks of a program unpack to, one after the other; nothing for a program without any.
pub(super) fn unpacked(program: &[u8]) -> Vec<u8> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < program.len() && all.len() < MOST {
        match block(&program[at..]) {
            Some((bytes, length)) => {
                all.extend(bytes);
                at += length;
            }
            None => at += 1,
        }
    }
    all
}

/// The block that `bytes` begin with, and its length.
fn block(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let packed = rest.get(..length).filter(|packed| packed.len() >= LEAST)?;
    let (stream, sum) = packed.split_last_chunk()?;
    let mut crc = Crc::new();
    crc.update(stream);
    // zbin leaves out the last step of CRC-32.
    (crc.sum() == !u32::from_le_bytes(*sum))
        .then(|| decoded(stream))
        .flatten()
        .map(|bytes| (bytes, 4 + length))
}

fn decoded(stream: &[u8]) -> Option<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(PRESET).ok()?;
    options.literal_context_bits(2).literal_position_bits(0).position_bits(0);
    let mut filters = Filters::new();
    filters.lzma1(&options);
    let mut decoder = Stream::new_raw_decoder(&filters).ok()?;
    let mut bytes = Vec::with_capacity(stream.len() * 4);
    while bytes.len() < MOST {
        let from = usize::try_from(decoder.total_in()).ok()?;
        bytes.reserve(1 << 16);
        let status = decoder.process_vec(stream.get(from..)?, &mut bytes, Action::Run).ok()?;
        if status == Status::StreamEnd || decoder.total_in() == stream.len() as u64 {
            return Some(bytes);
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As zbin packs.
    pub(in super::super) fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut options = LzmaOptions::new_preset(PRESET).unwrap();
        options.literal_context_bits(2).literal_position_bits(0).position_bits(0);
        let mut filters = Filters::new();
        filters.lzma1(&options);
        let mut encoder = Stream::new_raw_encoder(&filters).unwrap();
        let mut stream = Vec::with_capacity(bytes.len() * 2 + 1000);
        assert_eq!(encoder.process_vec(bytes, &mut stream, Action::Finish).unwrap(), Status::StreamEnd);
        let mut crc = Crc::new();
        crc.update(&stream);
        let sum = (!crc.sum()).to_le_bytes();
        let length = u32::try_from(stream.len() + 4).unwrap().to_le_bytes();
        [&length[..], &stream, &sum].concat()
    }

    pub(in super::super) fn noise(length: u32) -> Vec<u8> {
        (0..length).flat_map(|n| n.wrapping_mul(0x9E37_79B9).rotate_left(9).to_le_bytes()).collect()
    }

    #[test]
    fn every_block_of_a_program_is_unpacked_wherever_it_begins() {
        let (one, two) = (noise(3000), noise(1000));
        let program = [&[0x90; 513], &packed(&one)[..], &[0; 7], &packed(&two), &[1; 100]].concat();
        assert_eq!(unpacked(&program), [one, two].concat());
    }

    #[test]
    fn a_damaged_block_is_none() {
        let mut program = packed(&noise(3000));
        program[700] ^= 1;
        assert!(unpacked(&program).is_empty());
        assert!(unpacked(b"MZ").is_empty());
    }
}
