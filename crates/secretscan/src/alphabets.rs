//! Spellings with an alphabet of their own: base32, base58, base85, uuencode, and letters of two or four bytes inside of other
//! bytes.

use std::sync::LazyLock;

use super::{
    decode::{regex, says_something},
    encoded::{self, Alphabets, Decoded, NONE, SHOWN, Values, values},
};
use regex::bytes::Regex;

/// Fewer letters of two bytes each are a name or a message.
const SHORTEST_WIDE: usize = 16;

/// Longer numbers take too long to divide, and are longer than any key.
const LONGEST_58: usize = 512;
/// Digits that make up one factor: 58 to the fifth is less than four bytes.
const FACTOR_58: usize = 5;
/// What is decoded of a run to see whether it goes on to say something.
const TRIED: usize = 40;

/// The alphabets of base32: RFC 4648 6, the same in small letters, and RFC 4648 7.
pub(super) static BASE32: [Values; 3] = [
    values(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    values(b"abcdefghijklmnopqrstuvwxyz234567"),
    values(b"0123456789ABCDEFGHIJKLMNOPQRSTUV"),
];
pub(super) static BASE58: Values = values(b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz");

/// What digits spell that are all of these alphabets, where that is text or something packed.
pub(super) fn small(digits: &[u8], alphabets: Alphabets, hidden: &mut Decoded) {
    for (values, alphabet) in BASE32.iter().zip(encoded::IN_32) {
        if alphabets & alphabet != 0 && says_something(&base32(&digits[..digits.len().min(TRIED)], values)) {
            let bytes = base32(digits, values);
            if bytes.len() >= 15 && says_something(&bytes) {
                hidden.push((encoded::BASE32, bytes));
            }
        }
    }
    if alphabets & encoded::IN_58 != 0 && digits.len() <= LONGEST_58 {
        let bytes = base58(digits);
        if says_something(&bytes) {
            hidden.push((encoded::BASE58, bytes));
        }
    }
}

fn base32(digits: &[u8], values: &Values) -> Vec<u8> {
    let mut bytes = vec![0; digits.len() * 5 / 8];
    let (mut bits, mut held, mut digit, mut at) = (0, 0_u32, 0, 0);
    while at < bytes.len() {
        held = held << 5 | u32::from(values[usize::from(digits[digit])]);
        (digit, bits) = (digit + 1, bits + 5);
        if bits >= 8 {
            bits -= 8;
            bytes[at] = (held >> bits) as u8;
            at += 1;
        }
    }
    bytes
}

/// One large number.
fn base58(digits: &[u8]) -> Vec<u8> {
    // Four bytes a place, the lowest first.
    let mut places: Vec<u32> = Vec::new();
    for digits in digits.chunks(FACTOR_58) {
        let value = |number, b: &u8| number * 58 + u64::from(BASE58[usize::from(*b)]);
        let (factor, mut carry) = (58_u64.pow(digits.len() as u32), digits.iter().fold(0, value));
        let mut at = 0;
        while at < places.len() {
            carry += u64::from(places[at]) * factor;
            places[at] = (carry & 0xFFFF_FFFF) as u32;
            carry >>= 32;
            at += 1;
        }
        if carry > 0 {
            places.push(carry as u32);
        }
    }
    let bytes: Vec<u8> = places.iter().rev().flat_map(|place| place.to_be_bytes()).collect();
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    bytes[zeros..].to_vec()
}

/// The alphabets of base85: btoa's and Adobe's, that of RFC 1924 (git, Python), and Z85.
static BASE85: [Values; 3] = [
    values(b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstu"),
    values(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"),
    values(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"),
];
/// Those of which a byte is a digit, a bit each. Lines go on in the next.
static ALPHABETS_85: [u8; 256] = {
    let (mut table, mut b) = ([0; 256], 0);
    while b < 256 {
        let mut n = 0;
        while n < 3 {
            if BASE85[n][b] != NONE || matches!(b as u8, b'\n' | b'\r') {
                table[b] |= 1 << n;
            }
            n += 1;
        }
        b += 1;
    }
    table
};

/// What base85 spells in each of its alphabets.
pub(super) fn base85_runs(text: &[u8]) -> Vec<Vec<u8>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(start) =
        encoded::next_run(text, at, encoded::SHORTEST, |b| ALPHABETS_85[usize::from(b)] != 0)
    {
        let mut starts = [start; 3];
        at = start;
        loop {
            let alphabets = text.get(at).map_or(0, |b| ALPHABETS_85[usize::from(*b)]);
            if alphabets != 7 {
                for n in (0..3).filter(|n| alphabets & 1 << n == 0) {
                    if at - starts[n] >= encoded::SHORTEST {
                        found.extend(base85(&text[starts[n]..at], &BASE85[n]));
                    }
                    starts[n] = at + 1;
                }
            }
            if alphabets == 0 {
                break;
            }
            at += 1;
        }
    }
    found
}

fn base85(run: &[u8], values: &Values) -> Option<Vec<u8>> {
    let run = run.strip_prefix(b"<~").unwrap_or(run);
    let (mut bytes, mut held, mut digits, mut at) = (Vec::new(), 0_u64, 0, 0);
    while at < run.len() {
        let value = values[usize::from(run[at])];
        at += 1;
        if value == NONE {
            continue;
        }
        (held, digits) = (held * 85 + u64::from(value), digits + 1);
        if digits == 5 {
            bytes.extend_from_slice(&u32::try_from(held).ok()?.to_be_bytes());
            (held, digits) = (0, 0);
            if bytes.len() == TRIED && !says_something(&bytes) {
                return None;
            }
        }
    }
    if digits > 0 {
        let held = (digits..5).fold(held, |held, _| held * 85 + 84);
        bytes.extend_from_slice(&u32::try_from(held).ok()?.to_be_bytes()[..digits - 1]);
    }
    says_something(&bytes).then_some(bytes)
}

/// What uuencode (POSIX) spells between its `begin` and the first line of another form.
pub(super) fn uuencoded(text: &[u8]) -> Vec<Vec<u8>> {
    static FILES: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?m)^begin [0-7]{3,4} [^\r\n]{1,255}\r?\n((?:[!-M][ -`]{1,84}\r?\n?)+)"));
    if memchr::memmem::find(text, b"begin ").is_none() {
        return Vec::new();
    }
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

/// Passages of UTF-16 and UTF-32 that are ASCII, inside of other bytes.
pub(super) fn wide_runs(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut runs = runs_of_width::<2>(bytes);
    runs.extend(runs_of_width::<4>(bytes));
    runs
}

fn runs_of_width<const WIDTH: usize>(bytes: &[u8]) -> Vec<Vec<u8>> {
    // In a run that is long enough, one of these places is, and the bytes there are a letter and zeros in some order.
    let step = WIDTH * SHORTEST_WIDE / 2;
    let (mut runs, mut from, mut at) = (Vec::new(), 0, 0);
    while at + WIDTH <= bytes.len() {
        let place = at;
        at += step;
        let Some(letter) = only_letter(&bytes[place..place + WIDTH]) else { continue };
        let (mut start, mut end) = (place + letter, place + letter);
        while start >= from + WIDTH && only_letter(&bytes[start - WIDTH..start]) == Some(0) {
            start -= WIDTH;
        }
        while end + WIDTH < bytes.len() && only_letter(&bytes[end + 1..=end + WIDTH]) == Some(WIDTH - 1) {
            end += WIDTH;
        }
        if end - start >= WIDTH * (SHORTEST_WIDE - 1) {
            runs.push(bytes[start..=end].iter().step_by(WIDTH).copied().collect());
        }
        from = end + 1;
        at = at.max(from);
    }
    runs
}

/// Where the letter is among bytes that are zero but for it.
fn only_letter(bytes: &[u8]) -> Option<usize> {
    let (mut letter, mut at) = (None, 0);
    while at < bytes.len() {
        if bytes[at] != 0 {
            if letter.is_some() || !SHOWN[usize::from(bytes[at])] {
                return None;
            }
            letter = Some(at);
        }
        at += 1;
    }
    letter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str, alphabet: &str) -> Vec<Vec<u8>> {
        let mut hidden = Vec::new();
        encoded::spellings(text.as_bytes(), text.len(), &mut hidden);
        hidden.into_iter().filter(|(name, _)| *name == alphabet).map(|(_, bytes)| bytes).collect()
    }

    #[test]
    fn base32_is_decoded_over_line_ends() {
        let want = b"rancher.password=hunter2".to_vec();
        for text in [
            "OJQW4Y3IMVZC44DBONZXO33SMQ6WQ5LOORSXEMQ=",
            "x OJQW4Y3IMVZC44DBONZXO33S\n  MQ6WQ5LOORSXEMQ=\n",
            r"OJQW4Y3IMVZC44DBONZXO33S\nMQ6WQ5LOORSXEMQ=",
        ] {
            assert_eq!(spelled(text, encoded::BASE32), std::slice::from_ref(&want), "{text}");
        }
        let none = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA CONFIGURATIONSANDSETTINGSANDMORE";
        assert!(spelled(none, encoded::BASE32).is_empty());
    }

    #[test]
    fn base58_and_base85_are_decoded() {
        let want = "rancher.password=hunter2-and-more";
        let base58 = "ayjSRiVzmKh8Kj1rZGkrBwUmudpnCff3EEfsyiRwNfK72";
        assert_eq!(spelled(base58, encoded::BASE58), [want.as_bytes()]);
        for text in [
            r##"Ea`iqBOu3:E+*g/GAhM44_StUFCfJJ/R`O-/T#EHAM,Sf"##,
            r##"<~Ea`iqBOu3:E+*g/GAhM44_StUFCfJJ/R`O-/T#EHAM,Sf~>"##,
            r##"x = "a$#;`Xk~IPaA9+EcW-iJJ!o}qbY*ffEn#kCEp2adWiBo*""##,
            r##"A:-&}xK#ipAa9*eCw?Ijj.O$QBy/FFeN-KceP2ADwIbO/"##,
        ] {
            assert!(base85_runs(text.as_bytes()).contains(&format!("{want}...").into_bytes()), "{text}");
        }
        assert!(base85_runs(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ").is_empty());
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
