//! Spellings with an alphabet of their own: base32, base58, base85, uuencode, and letters of two or four bytes inside of other
//! bytes.

use std::sync::LazyLock;

use super::{
    decode::{regex, says_something},
    encoded::{self, NONE, Values, values},
};
use regex::bytes::Regex;

/// Fewer letters of two bytes each are a name or a message.
const SHORTEST_WIDE: usize = 16;

/// Longer numbers take too long to divide, and are longer than any key.
const LONGEST_58: usize = 1024;
/// What is decoded of a run to see whether it goes on to say something.
const TRIED: usize = 40;

/// What runs of base32 (RFC 4648, 6 and 7) spell, where that is text or something packed. A run goes on over line ends.
pub(super) fn base32_runs(text: &[u8], until: usize) -> Vec<Vec<u8>> {
    let alphabets = [&BASE32, &BASE32_SMALL, &BASE32_HEX];
    let runs = alphabets
        .into_iter()
        .flat_map(|values| encoded::runs(text, until, values).map(|run| base32(&run, values)));
    runs.filter(|bytes| bytes.len() >= 15 && says_something(bytes)).collect()
}

static BASE32: Values = values(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
static BASE32_SMALL: Values = values(b"abcdefghijklmnopqrstuvwxyz234567");
static BASE32_HEX: Values = values(b"0123456789ABCDEFGHIJKLMNOPQRSTUV");
static BASE58: Values = values(b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz");
static ASCII85: Values =
    values(b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstu");
static BASE85: Values =
    values(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~");
static Z85: Values =
    values(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#");

fn base32(run: &[u8], values: &Values) -> Vec<u8> {
    let (mut bits, mut held, mut bytes) = (0, 0u16, Vec::new());
    for b in run {
        (held, bits) = (held << 5 | u16::from(values[usize::from(*b)]), bits + 5);
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits).expect("at most seven bits were left before these five"));
            held &= (1 << bits) - 1;
        }
    }
    bytes
}

/// What runs of base58 spell: one large number each.
pub(super) fn base58_runs(text: &[u8], until: usize) -> Vec<Vec<u8>> {
    let runs = encoded::runs(text, until, &BASE58).filter(|run| run.len() <= LONGEST_58);
    runs.map(|run| base58(&run)).filter(|bytes| says_something(bytes)).collect()
}

fn base58(run: &[u8]) -> Vec<u8> {
    // Four bytes a place, the lowest first.
    let mut places: Vec<u32> = Vec::new();
    for b in run {
        let mut carry = u64::from(BASE58[usize::from(*b)]);
        for place in &mut places {
            carry += u64::from(*place) * 58;
            *place = (carry & 0xFFFF_FFFF) as u32;
            carry >>= 32;
        }
        if carry > 0 {
            places.push(carry as u32);
        }
    }
    let bytes: Vec<u8> = places.iter().rev().flat_map(|place| place.to_be_bytes()).collect();
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    bytes[zeros..].to_vec()
}

/// What base85 spells: btoa's and Adobe's alphabet, that of RFC 1924 (git, Python), and Z85.
pub(super) fn base85_runs(text: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for values in [&ASCII85, &BASE85, &Z85] {
        let mut at = 0;
        while at < text.len() {
            let run = run_of_85(&text[at..], values);
            at += run.len().max(1);
            if run.len() >= encoded::SHORTEST {
                found.extend(base85(run, values));
            }
        }
    }
    found
}

/// Up to a character that is none of the alphabet's; lines go on in the next.
fn run_of_85<'a>(text: &'a [u8], values: &Values) -> &'a [u8] {
    let mut end = 0;
    while end < text.len() && (values[usize::from(text[end])] != NONE || matches!(text[end], b'\n' | b'\r')) {
        end += 1;
    }
    &text[..end]
}

fn base85(run: &[u8], values: &Values) -> Option<Vec<u8>> {
    let run = run.strip_prefix(b"<~").unwrap_or(run);
    let digits: Vec<u8> = run.iter().map(|b| values[usize::from(*b)]).filter(|v| *v != NONE).collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(5) {
        let digit = |i: usize| u64::from(*group.get(i).unwrap_or(&84));
        let held = (0..5).fold(0, |held, i| held * 85 + digit(i));
        bytes.extend_from_slice(&u32::try_from(held).ok()?.to_be_bytes()[..group.len() - 1]);
        if bytes.len() == TRIED && !says_something(&bytes) {
            return None;
        }
    }
    says_something(&bytes).then_some(bytes)
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

/// Passages of UTF-16 and UTF-32 that are ASCII, inside of other bytes.
pub(super) fn wide_runs(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut runs = runs_of_width::<2>(bytes);
    runs.extend(runs_of_width::<4>(bytes));
    runs
}

fn runs_of_width<const WIDTH: usize>(bytes: &[u8]) -> Vec<Vec<u8>> {
    let shown = |b: u8| (b' '..0x7F).contains(&b) || b"\n\r\t".contains(&b);
    let (mut runs, mut at) = (Vec::new(), 0);
    while let Some(zero) = memchr::memchr(0, &bytes[at..]).map(|zero| at + zero) {
        // The letter may stand in front of the zeros or behind them: a run is taken from where it begins.
        let (start, letter) =
            if zero > at && shown(bytes[zero - 1]) { (zero - 1, 0) } else { (zero, WIDTH - 1) };
        let is_letter =
            |p: &&[u8; WIDTH]| shown(p[letter]) && p.iter().filter(|b| **b == 0).count() == WIDTH - 1;
        let run: Vec<u8> =
            bytes[start..].as_chunks::<WIDTH>().0.iter().take_while(is_letter).map(|p| p[letter]).collect();
        at = (start + WIDTH * run.len()).max(zero + 1);
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
            assert_eq!(base32_runs(text.as_bytes(), text.len()), std::slice::from_ref(&want), "{text}");
        }
        assert!(
            base32_runs(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA CONFIGURATIONSANDSETTINGSANDMORE", 72)
                .is_empty()
        );
    }

    #[test]
    fn base58_and_base85_are_decoded() {
        let want = "rancher.password=hunter2-and-more";
        let base58 = "ayjSRiVzmKh8Kj1rZGkrBwUmudpnCff3EEfsyiRwNfK72";
        assert_eq!(base58_runs(base58.as_bytes(), base58.len()), [want.as_bytes()]);
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
