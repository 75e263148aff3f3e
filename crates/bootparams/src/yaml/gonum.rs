//! Numbers as Go 1.13 and later read them. The vectors were made with such a Go; RancherOS itself was built
//! with Go 1.8, which leaves `0b101` and hexadecimal floats as texts.

/// candiedyaml's integer: underscores dropped, a sign, then `0x`, `0o`, `0b`, octal after `0`, or decimal.
pub(crate) fn int(text: &str) -> Option<i64> {
    let text = text.replace('_', "");
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text.as_str()),
    };
    let value = unsigned(digits)?;
    if negative { 0_i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

fn unsigned(digits: &str) -> Option<u64> {
    let parse = |text: &str, radix| {
        // Rust lets a sign in here, Go does not.
        if text.starts_with(['+', '-']) { None } else { u64::from_str_radix(text, radix).ok() }
    };
    if digits == "0" {
        return Some(0);
    }
    if let Some(rest) = digits.strip_prefix("0o") {
        return parse(rest, 8);
    }
    let Some(rest) = digits.strip_prefix('0') else { return parse(digits, 10) };
    let radix = match rest.as_bytes() {
        [b'b' | b'B', _, ..] => 2,
        [b'o' | b'O', _, ..] => 8,
        [b'x' | b'X', _, ..] => 16,
        _ => return parse(rest, 8),
    };
    parse(&rest[1..], radix)
}

/// candiedyaml's float: underscores dropped, a sign, then `.inf`, `.nan` or what Go's `ParseFloat` takes,
/// which may bring a second sign of its own (`--5` is 5).
pub(crate) fn float(text: &str) -> Option<f64> {
    let text = text.replace('_', "");
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text.as_str()),
    };
    // Go lowers the whole text, but only ASCII letters occur in these words.
    match rest.to_lowercase().as_str() {
        ".inf" => Some(sign * f64::INFINITY),
        ".nan" => Some(f64::NAN),
        _ => parse_float(rest).map(|f| f * sign),
    }
}

/// Go's `strconv.ParseFloat(text, 64)`; `None` for its errors, "out of range" included.
fn parse_float(text: &str) -> Option<f64> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let signed = |f: f64| if negative { -f } else { f };
    match rest.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => return Some(signed(f64::INFINITY)),
        "nan" if rest.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let value = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => hexadecimal(&rest[2..])?,
        _ => decimal(rest)?,
    };
    value.is_finite().then(|| signed(value))
}

fn decimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    exponent.map_or(Some(0), exponent_value)?;
    is_mantissa(mantissa, |b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Digits with at most one point among them, and at least one digit.
fn is_mantissa(text: &str, digit: impl Fn(u8) -> bool) -> bool {
    let points = text.bytes().filter(|b| *b == b'.').count();
    let digits = text.bytes().filter(|b| digit(*b)).count();
    points <= 1 && digits > 0 && points + digits == text.len()
}

/// A signed decimal exponent, saturating.
fn exponent_value(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = digits.bytes().fold(0_i32, |n, b| (n * 10 + i32::from(b - b'0')).min(20_000));
    Some(if text.starts_with('-') { -value } else { value })
}

/// `1.8p3` behind `0x`; the exponent is not optional.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let mut exponent = exponent_value(exponent)?;
    if !is_mantissa(mantissa, |b| b.is_ascii_hexdigit()) {
        return None;
    }
    // 60 bits are kept; what falls below them only has to be known as "something", for rounding.
    let (mut bits, mut after_point) = (0_u64, false);
    for c in mantissa.chars() {
        let Some(digit) = c.to_digit(16) else {
            after_point = true;
            continue;
        };
        if bits >> 56 == 0 {
            bits = bits << 4 | u64::from(digit);
            exponent -= if after_point { 4 } else { 0 };
        } else {
            bits |= u64::from(digit != 0);
            exponent += if after_point { 0 } else { 4 };
        }
    }
    Some(scale(bits, exponent))
}

#[expect(clippy::cast_precision_loss, reason = "rounding to the nearest float is what is wanted")]
fn scale(bits: u64, exponent: i32) -> f64 {
    let half = exponent.clamp(-3000, 3000) / 2;
    let rest = exponent.clamp(-3000, 3000) - half;
    if bits == 0 {
        return 0.0;
    }
    // In two steps, since neither the exponents nor the result of one step need fit.
    bits as f64 * 2_f64.powi(half) * 2_f64.powi(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Go's `strconv.ParseFloat` reads them.
    #[test]
    fn floats_are_read_as_go_reads_them() {
        for (text, value) in [
            ("1", 1.0),
            ("-2.5e3", -2500.0),
            ("+.5E-1", 0.05),
            ("5.", 5.0),
            ("-inf", f64::NEG_INFINITY),
            ("+Infinity", f64::INFINITY),
            ("0x1p0", 1.0),
            ("0x1.8p3", 12.0),
            ("0x.8p1", 1.0),
            ("0X10P-2", 4.0),
            ("-0xAp+1", -20.0),
            ("0x0p9", 0.0),
            ("0x10000000000000001p0", 18_446_744_073_709_551_616.0),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000001p0", 1.000_000_000_000_000_2),
            ("0x1p1023", f64::MAX / (2.0 - f64::EPSILON)),
            ("0x1p-1074", 5e-324),
        ] {
            assert_eq!(parse_float(text), Some(value), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "e1",
            "1e",
            "1e+",
            "1.2.3",
            "+nan",
            "1e999",
            "0x1",
            "0xp1",
            "0x1p",
            "0x1.2.3p1",
            "0xgp1",
            "0x1p1024",
        ] {
            assert_eq!(parse_float(text), None, "{text}");
        }
        assert!(parse_float("NaN").is_some_and(f64::is_nan));
    }
}
