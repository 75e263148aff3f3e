//! Spellings with an alphabet of their own: base32, uuencode, and text of two bytes a letter inside of other bytes.

use std::sync::LazyLock;

use super::decode::{regex, says_something};
use regex::bytes::Regex;

/// Fewer letters of two bytes each are a name or a message.
const SHORTEST_WIDE: usize = 16;

/// What runs of base32 (RFC 4648, 6) spell, where that is text or something packed. A run goes on over line ends.
pub(super) fn base32_runs(text: &[u8]) -> Vec<Vec<u8>> {
    static RUNS: LazyLock<Regex> =
        LazyLock::new(|| regex(r"[A-Z2-7]{16,}(?:(?:\\n|\\?\r?\n[ \t]*)[A-Z2-7]{8,})*"));
    let runs = RUNS.find_iter(text).map(|run| base32(run.as_bytes()));
    runs.filter(|bytes| bytes.len() >= 15 && says_something(bytes)).collect()
}

fn base32(run: &[u8]) -> Vec<u8> {
    let (mut bits, mut held, mut bytes) = (0, 0u16, Vec::new());
    // An escaped line end has a small letter, which is no digit.
    for digit in run.iter().filter_map(|b| match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'2'..=b'7' => Some(b - b'2' + 26),
        _ => None,
    }) {
        (held, bits) = (held << 5 | u16::from(digit), bits + 5);
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits).expect("at most seven bits were left before these five"));
            held &= (1 << bits) - 1;
        }
    }
    bytes
}

/// What uuencode (POSIX) spells between its `begin` and the first line of another form.
pub(super) fn uuencoded(text: &[u8]) -> Vec<Vec<u8>> {
    static FILES: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?m)^begin [0-7]{3,4} [^\r\n]{1,255}\r?\n((?:[!-M][ -`]{1,84}\r?\n?)+)"));
    FILES.captures_iter(text).map(|file| file[1].split(|b| *b == b'\n').flat_map(uu_line).collect()).collect()
}

/// A line says how many bytes it has; blanks at its end may be gone.
fn uu_line(line: &[u8]) -> Vec<u8> {
    let six = |b: u8| u32::from(b.wrapping_sub(b' ') & 63);
    let Some((length, digits)) = line.strip_suffix(b"\r").unwrap_or(line).split_first() else {
        return Vec::new();
    };
    let groups = digits.chunks(4).flat_map(|group| {
        let digit = |i: usize| group.get(i).map_or(0, |b| six(*b));
        let held = digit(0) << 18 | digit(1) << 12 | digit(2) << 6 | digit(3);
        let [_, bytes @ ..] = held.to_be_bytes();
        bytes
    });
    groups.take(six(*length) as usize).collect()
}

/// Passages of UTF-16 that are ASCII, inside of other bytes.
pub(super) fn wide_runs(bytes: &[u8]) -> Vec<Vec<u8>> {
    let shown = |b: u8| (b' '..0x7F).contains(&b) || b"\n\r\t".contains(&b);
    let (mut runs, mut at) = (Vec::new(), 0);
    while let Some(zero) = memchr::memchr(0, &bytes[at..]).map(|zero| at + zero) {
        // The letter may stand in front of the zero or behind it: a run is taken from where it begins.
        let start = if zero > at && shown(bytes[zero - 1]) { zero - 1 } else { zero };
        let (empty, letter) = (zero - start, 1 - (zero - start));
        let pairs =
            bytes[start..].as_chunks::<2>().0.iter().take_while(|p| p[empty] == 0 && shown(p[letter]));
        let run: Vec<u8> = pairs.map(|p| p[letter]).collect();
        at = (start + 2 * run.len()).max(zero + 1);
        if run.len() >= SHORTEST_WIDE {
            runs.push(run);
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_decoded_over_line_ends() {
        let want = b"rancher.password=hunter2".to_vec();
        for text in [
            "OJQW4Y3IMVZC44DBONZXO33SMQ6WQ5LOORSXEMQ=",
            "x OJQW4Y3IMVZC44DBONZXO33S\n  MQ6WQ5LOORSXEMQ=\n",
            r"OJQW4Y3IMVZC44DBONZXO33S\nMQ6WQ5LOORSXEMQ=",
        ] {
            assert_eq!(base32_runs(text.as_bytes()), std::slice::from_ref(&want), "{text}");
        }
        assert!(
            base32_runs(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA CONFIGURATIONSANDSETTINGSANDMORE")
                .is_empty()
        );
    }

    #[test]
    fn uuencode_is_decoded_up_to_its_end() {
        let text = "x\nbegin 644 x\n8<F%N8VAE<BYP87-S=V]R9#UH=6YT97(R\n`\nend\n";
        assert_eq!(uuencoded(text.as_bytes()), [b"rancher.password=hunter2".to_vec()]);
        assert!(uuencoded(b"begin 644 of the story\n").is_empty());
    }

    #[test]
    fn letters_of_two_bytes_are_read_wherever_they_stand() {
        let wide = |order: fn(u16) -> [u8; 2]| "rancher.password=hunter2".encode_utf16().flat_map(order);
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            for front in [&b""[..], b"\xFF", b"\xFF\x01\x02\x03", b"\0\0", b"text\xFE"] {
                let bytes: Vec<u8> = front.iter().copied().chain(wide(order)).chain(*b"\xFF\xFE").collect();
                let found = wide_runs(&bytes);
                assert!(found.iter().any(|run| run.ends_with(b"ancher.password=hunter2")), "{bytes:?}");
            }
        }
        assert!(wide_runs(b"a\0b\0c\0\0\0\0").is_empty());
    }
}
