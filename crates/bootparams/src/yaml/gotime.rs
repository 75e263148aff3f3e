//! Timestamps as candiedyaml reads them and Go prints them.

use std::fmt;

/// A moment with its offset. Fields out of range have been carried over, as Go's `time.Date` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoTime {
    /// Seconds of local time since 1970-01-01.
    seconds: i64,
    nanos: i64,
    /// Seconds east of Greenwich; `None` is UTC.
    offset: Option<i64>,
}

impl GoTime {
    /// `YYYY-M-D`, or with a time and a zone as YAML 1.1 writes them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut c = Cursor(text);
        let year = c.digits(4, 4)?;
        c.eat('-')?;
        let month = c.digits(1, 2)?;
        c.eat('-')?;
        let day = c.digits(1, 2)?;
        let midnight = days(year, month, day) * 86_400;
        if c.0.is_empty() {
            return Some(Self { seconds: midnight, nanos: 0, offset: None });
        }
        if !c.0.starts_with(['T', 't', ' ', '\t']) {
            return None;
        }
        if c.0.starts_with(['T', 't']) {
            c.0 = &c.0[1..];
        } else {
            c.blanks();
        }
        let hour = c.digits(1, 2)?;
        c.eat(':')?;
        let minute = c.digits(2, 2)?;
        c.eat(':')?;
        let second = c.digits(2, 2)?;
        let nanos = c.fraction();
        let offset = match c.zone()? {
            Zone::Utc => None,
            Zone::East(seconds) => Some(seconds),
        };
        let seconds = midnight + hour * 3600 + minute * 60 + second + nanos.div_euclid(1_000_000_000);
        Some(Self { seconds, nanos: nanos.rem_euclid(1_000_000_000), offset })
    }
}

impl GoTime {
    /// Go's RFC 3339 with as many digits of a second as are needed. It has none for a year of more than four digits.
    #[must_use]
    pub(crate) fn rfc3339(&self) -> Option<String> {
        let (year, ..) = date(self.seconds.div_euclid(86_400));
        if !(0..=9999).contains(&year) {
            return None;
        }
        let text = self.to_string();
        let mut words = text.split(' ');
        let mut next = || words.next().unwrap_or_default().to_owned();
        let (date, time, zone) = (next(), next(), next());
        let zone = match (self.offset, zone.as_str()) {
            (None | Some(0), _) => "Z".to_owned(),
            (_, zone) => format!("{}:{}", &zone[..3], &zone[3..]),
        };
        Some(format!("{date}T{time}{zone}"))
    }
}

struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    fn eat(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?;
        Some(())
    }

    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        let n = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if n < least {
            return None;
        }
        let (digits, rest) = self.0.split_at(n);
        self.0 = rest;
        digits.parse().ok()
    }

    fn blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    /// The digits behind the point are taken as whole milliseconds, however many there are; Go's
    /// multiplication wraps.
    fn fraction(&mut self) -> i64 {
        let Some(rest) = self.0.strip_prefix('.') else { return 0 };
        let n = rest.bytes().take_while(u8::is_ascii_digit).count();
        let millis = match &rest[..n] {
            "" => 0,
            digits => digits.parse().unwrap_or(i64::MAX),
        };
        self.0 = &rest[n..];
        millis.wrapping_mul(1_000_000)
    }

    /// `Z`, `+1`, `-01:30` or nothing; must be the end.
    fn zone(&mut self) -> Option<Zone> {
        if self.0.is_empty() {
            return Some(Zone::Utc);
        }
        self.blanks();
        if self.0 == "Z" {
            return Some(Zone::Utc);
        }
        let sign = match self.0.chars().next() {
            Some('-') => -1,
            Some('+') => 1,
            // Blanks alone are not followed by a zone, and are not allowed.
            _ => return None,
        };
        self.0 = &self.0[1..];
        let hours = self.digits(1, 2)?;
        let mut minutes = 0;
        if self.eat(':').is_some() && !self.0.is_empty() {
            minutes = self.digits(2, 2)?;
        }
        self.0.is_empty().then_some(Zone::East(sign * (hours * 60 + minutes) * 60))
    }
}

/// A time zone as it is written.
enum Zone {
    /// `Z`, or none.
    Utc,
    /// Seconds east of Greenwich.
    East(i64),
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar; months and days may overflow.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    // Years that begin in March have their leap day at the end (Howard Hinnant, "chrono-compatible
    // low-level date algorithms").
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year + day - 1 - 719_468
}

/// The date of a day, the inverse of [`days`].
fn date(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let m = (5 * of_year + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * m + 2) / 5 + 1)
}

/// Go's `2006-01-02 15:04:05.999999999 -0700 MST`.
impl fmt::Display for GoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.seconds.div_euclid(86_400));
        let s = self.seconds.rem_euclid(86_400);
        let sign = if year < 0 { "-" } else { "" };
        write!(f, "{sign}{:04}-{month:02}-{day:02} ", year.abs())?;
        write!(f, "{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)?;
        if self.nanos != 0 {
            write!(f, ".{}", format!("{:09}", self.nanos).trim_end_matches('0'))?;
        }
        let Some(offset) = self.offset else { return f.write_str(" +0000 UTC") };
        let sign = if offset < 0 { '-' } else { '+' };
        let minutes = offset.abs() / 60;
        // A zone without a name is named by its offset.
        let zone = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
        write!(f, " {zone} {zone}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{super::ConfigValue, plain};

    #[test]
    fn zones_are_read_as_they_are_written_and_shown_by_their_offset() {
        for (zone, shown) in [
            ("", "+0000 UTC"),
            ("Z", "+0000 UTC"),
            (" Z", "+0000 UTC"),
            ("+1", "+0100 +0100"),
            (" +01:30", "+0130 +0130"),
            ("-05", "-0500 -0500"),
            ("-00:45", "-0045 -0045"),
            ("+2:", "+0200 +0200"),
        ] {
            let ConfigValue::Time(time) = plain(&format!("2001-12-14 21:59:43{zone}")) else {
                panic!("{zone} does not make a time");
            };
            assert_eq!(time.to_string(), format!("2001-12-14 21:59:43 {shown}"), "{zone}");
        }
        for zone in ["+", "x", "+1:5", "+1:305", "+01:30x"] {
            let text = format!("2001-12-14 21:59:43{zone}");
            assert_eq!(plain(&text), ConfigValue::Str(text.clone()), "{zone}");
        }
    }
}
