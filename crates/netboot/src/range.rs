//! Conditional and range requests (RFC 9110, sections 13 and 14) as one decision. Pure.
//!
//! Several ranges in one request are answered with the whole file, which the RFC allows: no boot loader asks
//! for them, and a multipart answer is a known way to make a server send far more than the file.

use std::{
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The header fields that take part; each is absent or as the client sent it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RangeHeaders<'a> {
    /// `Range`; give it for GET only, other methods have no ranges.
    pub(super) range: Option<&'a str>,
    /// `If-Range`.
    pub(super) if_range: Option<&'a str>,
    /// `If-Match`.
    pub(super) if_match: Option<&'a str>,
    /// `If-None-Match`.
    pub(super) if_none_match: Option<&'a str>,
    /// `If-Modified-Since`.
    pub(super) if_modified_since: Option<&'a str>,
    /// `If-Unmodified-Since`.
    pub(super) if_unmodified_since: Option<&'a str>,
}

/// What the file is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current<'a> {
    /// Its strong entity tag, with quotes.
    pub(super) etag: &'a str,
    /// When it changed; `None` for texts made for the request.
    pub(super) modified: Option<SystemTime>,
    /// Its length in bytes.
    pub(super) len: u64,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RangeAnswer {
    /// 200 with everything.
    Whole,
    /// 206 with these bytes.
    Part(Range<u64>),
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 416.
    Unsatisfiable,
}

/// Applies the conditions in the RFC's order, then the range.
pub(super) fn decide(asked: &RangeHeaders<'_>, current: &Current<'_>) -> RangeAnswer {
    let unmet = match (asked.if_match, asked.if_unmodified_since) {
        (Some(tags), _) => !matches(tags, current.etag, false),
        (None, Some(date)) => changed_since(date, current.modified).unwrap_or(false),
        (None, None) => false,
    };
    if unmet {
        return RangeAnswer::Failed;
    }
    let same = match (asked.if_none_match, asked.if_modified_since) {
        (Some(tags), _) => matches(tags, current.etag, true),
        (None, Some(date)) => changed_since(date, current.modified).is_some_and(|changed| !changed),
        (None, None) => false,
    };
    if same {
        return RangeAnswer::NotModified;
    }
    match asked.range {
        Some(range) if asked.if_range.is_none_or(|v| still_is(v, current)) => part(range, current.len),
        _ => RangeAnswer::Whole,
    }
}

/// Whether the list of tags holds ours. Ours are strong, so a weak one matches only where `weak` allows.
fn matches(tags: &str, etag: &str, weak: bool) -> bool {
    tags.trim() == "*"
        || tags.split(',').map(str::trim).any(|t| t == etag || (weak && t.strip_prefix("W/") == Some(etag)))
}

/// Whether the file changed after `date`; `None` when the date or the file's time is not known.
fn changed_since(date: &str, modified: Option<SystemTime>) -> Option<bool> {
    let date = httpdate::parse_http_date(date).ok()?;
    Some(whole_seconds(modified?) > date)
}

/// Whether an `If-Range` value names the file as it is: a strong tag or the exact date.
fn still_is(value: &str, current: &Current<'_>) -> bool {
    let value = value.trim();
    if value.starts_with('"') || value.starts_with("W/") {
        return value == current.etag;
    }
    let date = httpdate::parse_http_date(value).ok();
    date.is_some() && date == current.modified.map(whole_seconds)
}

/// HTTP dates have no fractions.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// One `bytes=` range; anything malformed or multiple is ignored, as the RFC asks.
fn part(range: &str, len: u64) -> RangeAnswer {
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|r| r.split_once('-')) else {
        return RangeAnswer::Whole;
    };
    match (bound(first), bound(last)) {
        (Bound::None, Bound::At(0)) => RangeAnswer::Unsatisfiable,
        (Bound::None, Bound::At(_)) if len == 0 => RangeAnswer::Unsatisfiable,
        (Bound::None, Bound::At(suffix)) => RangeAnswer::Part(len.saturating_sub(suffix)..len),
        (Bound::At(first), Bound::At(last)) if last < first => RangeAnswer::Whole,
        (Bound::At(first), Bound::None | Bound::At(_)) if first >= len => RangeAnswer::Unsatisfiable,
        (Bound::At(first), Bound::None) => RangeAnswer::Part(first..len),
        (Bound::At(first), Bound::At(last)) => RangeAnswer::Part(first..last.saturating_add(1).min(len)),
        _ => RangeAnswer::Whole,
    }
}

/// One end of a range.
enum Bound {
    None,
    At(u64),
    Malformed,
}

/// Digits alone. A number beyond 64 bits is as good as the largest.
fn bound(text: &str) -> Bound {
    match text.trim() {
        "" => Bound::None,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => Bound::At(digits.parse().unwrap_or(u64::MAX)),
        _ => Bound::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
    const LATER: &str = "Wed, 21 Oct 2015 07:28:01 GMT";

    fn with(asked: RangeHeaders<'_>, len: u64) -> RangeAnswer {
        let modified = httpdate::parse_http_date(DATE).unwrap() + Duration::from_millis(400);
        decide(&asked, &Current { etag: "\"a\"", modified: Some(modified), len })
    }

    fn range(range: &str, len: u64) -> RangeAnswer {
        with(RangeHeaders { range: Some(range), ..RangeHeaders::default() }, len)
    }

    #[test]
    fn one_range_is_cut_to_the_file() {
        assert_eq!(range("bytes=0-0", 10), RangeAnswer::Part(0..1));
        assert_eq!(range("bytes=3-", 10), RangeAnswer::Part(3..10));
        assert_eq!(range("bytes=3-99", 10), RangeAnswer::Part(3..10));
        assert_eq!(range("bytes=-4", 10), RangeAnswer::Part(6..10));
        assert_eq!(range("bytes=-40", 10), RangeAnswer::Part(0..10));
        assert_eq!(range("bytes=0-18446744073709551615", 10), RangeAnswer::Part(0..10));
    }

    #[test]
    fn a_range_behind_the_end_is_unsatisfiable() {
        for (r, len) in [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)] {
            assert_eq!(range(r, len), RangeAnswer::Unsatisfiable, "{r}");
        }
        assert_eq!(range("bytes=99999999999999999999999-", 10), RangeAnswer::Unsatisfiable);
    }

    #[test]
    fn a_malformed_or_multiple_range_is_ignored() {
        for r in
            ["bytes=5-4", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=+1-2", "0-1"]
        {
            assert_eq!(range(r, 10), RangeAnswer::Whole, "{r}");
        }
    }

    #[test]
    fn if_range_sends_the_whole_file_unless_it_names_the_one_we_have() {
        let ask = |v| {
            with(RangeHeaders { range: Some("bytes=1-2"), if_range: Some(v), ..RangeHeaders::default() }, 10)
        };
        for good in ["\"a\"", DATE] {
            assert_eq!(ask(good), RangeAnswer::Part(1..3), "{good}");
        }
        for other in ["\"b\"", "W/\"a\"", LATER, "nonsense", ""] {
            assert_eq!(ask(other), RangeAnswer::Whole, "{other}");
        }
    }

    #[test]
    fn conditions_are_applied_in_the_order_of_the_rfc() {
        let none = RangeHeaders::default();
        assert_eq!(
            with(RangeHeaders { if_none_match: Some("\"x\", W/\"a\""), ..none }, 1),
            RangeAnswer::NotModified
        );
        assert_eq!(with(RangeHeaders { if_none_match: Some("*"), ..none }, 1), RangeAnswer::NotModified);
        assert_eq!(with(RangeHeaders { if_modified_since: Some(DATE), ..none }, 1), RangeAnswer::NotModified);
        let both = RangeHeaders { if_none_match: Some("\"b\""), if_modified_since: Some(DATE), ..none };
        assert_eq!(with(both, 1), RangeAnswer::Whole, "the tag wins over the date");
        assert_eq!(with(RangeHeaders { if_match: Some("\"b\""), ..none }, 1), RangeAnswer::Failed);
        assert_eq!(with(RangeHeaders { if_match: Some("W/\"a\""), ..none }, 1), RangeAnswer::Failed);
        assert_eq!(with(RangeHeaders { if_match: Some("\"a\""), ..none }, 1), RangeAnswer::Whole);
        assert_eq!(with(RangeHeaders { if_unmodified_since: Some(DATE), ..none }, 1), RangeAnswer::Whole);
        let old = "Wed, 21 Oct 2015 07:27:59 GMT";
        assert_eq!(with(RangeHeaders { if_unmodified_since: Some(old), ..none }, 1), RangeAnswer::Failed);
        let cached = RangeHeaders { if_none_match: Some("\"a\""), range: Some("bytes=0-"), ..none };
        assert_eq!(with(cached, 1), RangeAnswer::NotModified);
    }
}
