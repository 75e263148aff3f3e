//! Power cuts, survived by a guest that counts its boots on the state disk.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use anyhow::Result;

use super::{Outcome, Trial, failed, outside};
use vmspec::boot::BootEnd;

impl Trial<'_> {
    /// Cuts the power so many times in a row, at the same moments in each run.
    pub(super) fn power_cuts(&mut self, cuts: u64) -> Result<Outcome> {
        let counter = match self.counted_cuts(cuts, moment, false)? {
            Ok(counter) => counter,
            Err(failure) => return Ok(failure),
        };
        Ok(Outcome::Passed { note: Some(format!("{cuts} cuts, counter at {counter}")) })
    }

    /// As [`Self::power_cuts`], at random moments; and the file system is looked at after each.
    pub(super) fn torture(&mut self, cuts: u64) -> Result<Outcome> {
        let random = RandomState::new();
        let counter = match self.counted_cuts(cuts, |cut| random_moment(random.hash_one(cut), cut), true)? {
            Ok(counter) => counter,
            Err(failure) => return Ok(failure),
        };
        let note = format!("{cuts} cuts, counter at {counter}, file system clean after each");
        Ok(Outcome::Passed { note: Some(note) })
    }

    /// The counter after the last of these boots, each but that one cut at its moment; or the first failure.
    fn counted_cuts(
        &mut self,
        cuts: u64,
        moment: impl Fn(u64) -> (&'static str, Duration),
        looks: bool,
    ) -> Result<Result<u64, Outcome>> {
        let mut counter = 0;
        // The first boot formats. RancherOS never touches a disk again whose formatting was cut off, so that one
        // is let through to its counter.
        for cut in 0..=cuts {
            let last = cut == cuts;
            let (line, delay) = moment(cut);
            let (mut session, verdict) = self.boot((!last).then_some(line))?;
            if !last && verdict == BootEnd::Up {
                std::thread::sleep(delay);
                session.cut()?;
                session.look(None, &mut |_, _| {})?;
            } else if let failure @ Outcome::Failed { .. } = self.judge(&mut session, verdict) {
                return Ok(Err(failure));
            }
            session.cut()?;
            self.cases.tried += u64::from(!last);
            self.report(self.cases.tried, cuts);
            let wrong = match looks {
                true => outside::check_disk(self.ctx, &self.dir.join("disk0.raw"))?,
                false => None,
            };
            let next = next_count(counter, session.boot().boots(), session.boot().said("state"), cut);
            match wrong.map_or(next, Err) {
                Ok(next) => (counter, self.cases.held) = (next, self.cases.tried),
                Err(why) => {
                    let moment = format!("{delay:?} after `{line}`");
                    let text = format!("after {cut} power cuts, the last {moment}: {why}");
                    return Ok(Err(failed(&mut session, text)));
                }
            }
        }
        Ok(Ok(counter))
    }
}

/// A moment by a random number. Every other one is while the guest writes: the counter is written behind the line about
/// the state. The first boot formats, and is let through to its counter.
fn random_moment(random: u64, cut: u64) -> (&'static str, Duration) {
    let (line, within) = match random % 6 {
        _ if cut == 0 => ("media: boots ", 1),
        0..3 => ("media: state ", 200),
        3 => ("media: up", 3000),
        4 => ("media: boots ", 300),
        _ => ("media: network ", 500),
    };
    (line, Duration::from_millis((random >> 8) % within))
}

/// When to cut: after which line, and how long after it. Every other cut comes with the counter's line, the
/// others anywhere between the first process and the end of the boot.
fn moment(cut: u64) -> (&'static str, Duration) {
    if cut.is_multiple_of(2) {
        ("media: boots ", Duration::ZERO)
    } else {
        ("media: up", Duration::from_millis(97 * cut))
    }
}

/// The counter after a boot that said so much.
///
/// A boot that was cut before it counted says nothing, and may have counted all the same: the line comes after
/// the write. So the counter may be higher than what was heard of, never lower.
fn next_count(before: u64, said: Option<u64>, state: Option<&str>, cut: u64) -> Result<u64, String> {
    if cut > 0 && state.is_some_and(|s| !s.starts_with("mounted")) {
        return Err(format!("state {}", state.unwrap_or_default()));
    }
    match said {
        None => Ok(before),
        Some(now) if now > before && now <= cut + 1 => Ok(now),
        Some(now) => Err(format!("the counter says {now} after {before}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_may_be_silent_and_never_goes_back() {
        assert_eq!(next_count(0, Some(1), Some("formatted /dev/vda"), 0), Ok(1));
        assert_eq!(next_count(1, None, None, 1), Ok(1));
        assert_eq!(next_count(1, Some(3), Some("mounted /dev/vda"), 2), Ok(3));
        assert!(next_count(3, Some(3), Some("mounted /dev/vda"), 5).is_err());
        assert!(next_count(3, Some(9), Some("mounted /dev/vda"), 5).is_err());
        assert!(next_count(3, Some(1), Some("formatted /dev/vda"), 4).is_err());
        assert!(next_count(3, None, Some("none"), 4).is_err());
    }
}
