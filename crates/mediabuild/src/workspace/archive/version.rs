//! Debian's order of versions: deb-version(7).

use std::cmp::Ordering;

/// Compares two versions, `[epoch:]upstream[-revision]`.
#[must_use]
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (parts(a), parts(b));
    a.0.cmp(&b.0).then_with(|| part(a.1, b.1)).then_with(|| part(a.2, b.2))
}

/// Epoch, upstream version, revision. What is not a number is not an epoch.
fn parts(version: &str) -> (u64, &str, &str) {
    let split = version.split_once(':').and_then(|(epoch, rest)| Some((epoch.parse().ok()?, rest)));
    let (epoch, rest) = split.unwrap_or((0, version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Runs of other characters and runs of digits, in turn.
fn part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, text_b) = (take(&mut a, false), take(&mut b, false));
        let order = text(text_a, text_b).then_with(|| number(take(&mut a, true), take(&mut b, true)));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// The digits, or what is none, that `rest` begins with; taken off.
fn take<'s>(rest: &mut &'s str, digits: bool) -> &'s str {
    let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
    let (head, tail) = rest.split_at(end);
    *rest = tail;
    head
}

/// `~` comes before the end, the end before letters, letters before all else.
fn text(a: &str, b: &str) -> Ordering {
    let rank = |c: Option<char>| match c {
        Some('~') => 0,
        None => 1,
        Some(c) if c.is_ascii_alphabetic() => 2 + u32::from(c),
        Some(c) => 256 + u32::from(c),
    };
    let (mut a, mut b) = (a.chars(), b.chars());
    loop {
        let (left, right) = (a.next(), b.next());
        let order = rank(left).cmp(&rank(right));
        if order.is_ne() || left.is_none() {
            return order;
        }
    }
}

/// Numbers of any length.
fn number(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_that_dpkg_has_them_in() {
        let ascending = [
            "0.9~rc1-1",
            "0.9",
            "0.9-0",
            "0.9-1",
            "0.9-1+deb13u1",
            "0.9-1+deb13u2",
            "0.9-1+deb13u10",
            "0.9a-1",
            "0.9+dfsg-1",
            "0.10",
            "0.10.1",
            "26.1.5+dfsg1-9+deb13u1",
            "26.1.5+dfsg1-9+deb13u1+b1",
            "1:0.1~~",
            "1:0.1~",
            "1:0.1",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                // `-0` is the same revision as none.
                let same = [a, b].iter().all(|v| matches!(**v, "0.9" | "0.9-0"));
                let expected = if same { Ordering::Equal } else { i.cmp(&j) };
                assert_eq!(compare(a, b), expected, "{a} and {b}");
            }
        }
        assert_eq!(compare("1.00", "1.0"), Ordering::Equal);
        assert_eq!(compare("99999999999999999999999", "100000000000000000000000"), Ordering::Less);
    }
}
