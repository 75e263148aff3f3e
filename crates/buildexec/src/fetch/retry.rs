//! When a download is tried again: how often, the lowest rate, and what a busy server asks for.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{because, is_final, pause};
use crate::ctx::Ctx;

/// What a source may cost.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// A server that sends nothing for this long has stalled; one that sends less than `least` bytes is too slow.
    pub stall: Duration,
    /// Bytes in `stall` at least: 1 kB a second.
    pub least: u64,
    /// Tries in a row that bring nothing.
    pub tries: u32,
    /// Before the second try; twice that before the third, and so on.
    pub first_pause: Duration,
    /// How long a server may ask to be left alone, all its wishes together.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(30),
            least: 30_000,
            tries: 4,
            first_pause: Duration::from_secs(1),
            longest_wait: Duration::from_secs(120),
        }
    }
}

/// Tries of one source in all, whatever they bring.
const MOST: u32 = 1000;

/// The tries of one source.
pub(super) struct Tries<'p> {
    policy: &'p RetryPolicy,
    in_row: u32,
    all: u32,
    /// The most bytes that there were.
    best: u64,
    /// When the rate was last looked at, and bytes that came since.
    since: Instant,
    came: u64,
    /// What the server's last answer asked for, and what was granted so far.
    wait: Option<Duration>,
    waited: Duration,
}

impl<'p> Tries<'p> {
    pub(super) fn new(policy: &'p RetryPolicy, have: u64) -> Self {
        Self {
            policy,
            in_row: 0,
            all: 0,
            best: have,
            since: Instant::now(),
            came: 0,
            wait: None,
            waited: Duration::ZERO,
        }
    }

    /// Counts bytes.
    ///
    /// # Errors
    /// When they come too slowly.
    pub(super) fn came(&mut self, bytes: usize) -> Result<()> {
        self.came += bytes as u64;
        self.check_rate()
    }

    fn check_rate(&mut self) -> Result<()> {
        if self.since.elapsed() < self.policy.stall {
            return Ok(());
        }
        if self.came < self.policy.least {
            return Err(TooSlow(self.came, self.since.elapsed().as_secs_f64()).into());
        }
        (self.since, self.came) = (Instant::now(), 0);
        Ok(())
    }

    /// The server asked to be left alone, maybe for a certain time.
    pub(super) fn asked_to_wait(&mut self, wait: Option<Duration>) {
        self.wait = wait;
    }

    /// Pauses after the failure `e` when another try is worth it. The count of tries restarts when there is more than ever.
    ///
    /// # Errors
    /// `e` when it is not, and [`failure::Kind::Interrupted`].
    pub(super) fn after(&mut self, ctx: &Ctx, e: anyhow::Error, have: u64) -> Result<()> {
        if is_final(&e) {
            return Err(e);
        }
        if let Err(slow) = self.check_rate() {
            return Err(because(e, slow.to_string()));
        }
        let moved = have > self.best;
        if moved {
            (self.best, self.in_row) = (have, 0);
        } else {
            self.in_row += 1;
        }
        self.all += 1;
        if self.in_row >= self.policy.tries || self.all >= MOST {
            return Err(e);
        }
        if let Some(wait) = self.wait.take() {
            self.waited = self.waited.saturating_add(wait);
            if self.waited > self.policy.longest_wait {
                return Err(because(e, format!("the server asks to try again in {} s", wait.as_secs())));
            }
            pause(ctx, wait.max(self.policy.first_pause / 10))?;
            (self.since, self.came) = (Instant::now(), 0);
            return Ok(());
        }
        match moved {
            true => pause(ctx, self.policy.first_pause / 10),
            false => pause(ctx, self.policy.first_pause * 2u32.pow((self.in_row - 1).min(10))),
        }
    }
}

/// A source gave so many bytes in so many seconds.
#[derive(Debug, thiserror::Error)]
#[error("too slow: {0} bytes in {1:.0} s")]
struct TooSlow(u64, f64);

/// A server that is busy or a line that broke; not a file that is not there or a name that is unknown.
pub(super) fn can_get_better(e: &anyhow::Error) -> bool {
    match e.downcast_ref::<ureq::Error>() {
        Some(ureq::Error::StatusCode(code)) => matches!(code, 408 | 429 | 500 | 502 | 503 | 504),
        // A refused connection will be refused a few seconds later, too.
        Some(ureq::Error::Io(e)) => {
            e.kind() != std::io::ErrorKind::ConnectionRefused && !unknown_name(e) && !refused_certificate(e)
        }
        Some(ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed) => true,
        // A line that broke in the middle of a head looks like a server that speaks no HTTP.
        Some(ureq::Error::Protocol(_)) => true,
        Some(_) => false,
        None => {
            e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() != std::io::ErrorKind::StorageFull)
        }
    }
}

/// rustls says it within an error of the connection. Who answered is not whom the address names, and will not be.
fn refused_certificate(e: &std::io::Error) -> bool {
    e.to_string().starts_with("invalid peer certificate")
}

/// `EAI_NONAME` in the words of glibc, musl, macOS and Windows; std gives it no kind of its own.
fn unknown_name(e: &std::io::Error) -> bool {
    let said = e.to_string();
    ["Name or service not known", "Name does not resolve", "nodename nor servname", "No such host"]
        .iter()
        .any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    #[test]
    fn only_what_may_be_otherwise_in_a_moment_is_tried_again() {
        let io =
            |kind, text: &str| can_get_better(&ureq::Error::Io(Error::new(kind, text.to_owned())).into());
        assert!(io(ErrorKind::ConnectionReset, "connection reset by peer"));
        assert!(io(ErrorKind::InvalidData, "received corrupt message of type InvalidContentType"));
        for (kind, text) in [
            (ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer"),
            (ErrorKind::InvalidData, "invalid peer certificate: certificate expired"),
            (ErrorKind::ConnectionRefused, "connection refused"),
            (ErrorKind::Other, "failed to lookup address information: Name or service not known"),
        ] {
            assert!(!io(kind, text), "{text}");
        }
        for (code, better) in [(503, true), (404, false), (403, false)] {
            assert_eq!(can_get_better(&ureq::Error::StatusCode(code).into()), better, "{code}");
        }
    }
}
