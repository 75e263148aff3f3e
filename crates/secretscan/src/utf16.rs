//! UTF-16 as a stream.

use std::io::{self, Read};

const CHUNK: u64 = 8 << 10;
/// Stands in front of a text, and says nothing.
const MARK: char = '\u{FEFF}';

/// Which byte of a letter comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Endian {
    Little,
    Big,
}

/// Reads UTF-16 as UTF-8; what is not valid becomes U+FFFD.
pub(super) struct Utf16<R> {
    input: R,
    endian: Endian,
    text: io::Cursor<String>,
}

impl<R: Read> Utf16<R> {
    pub(super) fn new(input: R, endian: Endian) -> Self {
        Self { input, endian, text: io::Cursor::default() }
    }

    /// What the next bytes say, without marks of the byte order; `None` at the end.
    fn next(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        if self.input.by_ref().take(CHUNK).read_to_end(&mut bytes)? == 0 {
            return Ok(None);
        }
        let unit = match self.endian {
            Endian::Little => u16::from_le_bytes,
            Endian::Big => u16::from_be_bytes,
        };
        let units = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
        let letters = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
        Ok(Some(letters.filter(|c| *c != MARK).collect()))
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.text.position() == self.text.get_ref().len() as u64 {
            let Some(text) = self.next()? else { return Ok(0) };
            self.text = io::Cursor::new(text);
        }
        self.text.read(buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_are_read_whole_and_half_letters_are_marked() {
        let want = "password=hunter2 \u{1F600}\n".repeat(1000);
        let spelled = |to: fn(u16) -> [u8; 2]| want.encode_utf16().flat_map(to).collect::<Vec<_>>();
        for (endian, bytes) in
            [(Endian::Little, spelled(u16::to_le_bytes)), (Endian::Big, spelled(u16::to_be_bytes))]
        {
            let mut text = String::new();
            Utf16::new(bytes.as_slice(), endian).read_to_string(&mut text).unwrap();
            assert_eq!(text.matches("password=hunter2 ").count(), 1000);
        }
        let mut text = String::new();
        Utf16::new(&b"a\0\x00\xD8b\0c"[..], Endian::Little).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\u{FFFD}b");
        // More marks than are read at once end nothing.
        let marks = format!("{}a", MARK.to_string().repeat(5000));
        let bytes: Vec<u8> = marks.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(io::read_to_string(Utf16::new(bytes.as_slice(), Endian::Big)).unwrap(), "a");
    }
}
