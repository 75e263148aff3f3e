//! Cuts a connection that brings next to nothing, whatever its bytes are.
//!
//! A wait for each read is not enough: a server that drips extensions of a chunk's size, or trailers, brings a byte in
//! time again and again, and the read of the body that waits for them never returns.

use std::{
    io,
    time::{Duration, Instant},
};

use ureq::{
    Error,
    unversioned::transport::{Buffers, NextTimeout, Transport},
};

use super::RetryPolicy;

/// A connection whose bytes are counted.
#[derive(Debug)]
pub(super) struct Paced<T> {
    inner: T,
    pace: Pace,
}

impl<T> Paced<T> {
    pub(super) fn new(inner: T, policy: &RetryPolicy) -> Self {
        let pace = Pace { stall: policy.stall, least: policy.least, waited: Duration::ZERO, came: 0 };
        Self { inner, pace }
    }
}

impl<T: Transport> Transport for Paced<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let (had, begin) = (self.inner.buffers().input().len(), Instant::now());
        let came = self.inner.await_input(timeout)?;
        let bytes = self.inner.buffers().input().len().saturating_sub(had);
        self.pace.count(begin.elapsed(), bytes as u64)?;
        Ok(came)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// Bytes, and the time that was spent waiting for them; what the disk takes is not the server's fault.
#[derive(Debug)]
struct Pace {
    stall: Duration,
    least: u64,
    waited: Duration,
    came: u64,
}

impl Pace {
    fn count(&mut self, waited: Duration, bytes: u64) -> io::Result<()> {
        self.waited += waited;
        self.came += bytes;
        if self.waited < self.stall {
            return Ok(());
        }
        if self.came < self.least {
            let text = format!("too slow: {} bytes in {:.0} s", self.came, self.waited.as_secs_f64());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        (self.waited, self.came) = (Duration::ZERO, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_spent_waiting_for_too_few_bytes_counts() {
        let second = Duration::from_secs(1);
        let mut pace = Pace { stall: 30 * second, least: 30_000, waited: Duration::ZERO, came: 0 };
        for _ in 0..100 {
            pace.count(second, 1000).unwrap();
        }
        let mut pace = Pace { waited: Duration::ZERO, came: 0, ..pace };
        assert!((0..29).all(|_| pace.count(second, 999).is_ok()));
        assert_eq!(pace.count(second, 999).unwrap_err().to_string(), "too slow: 29970 bytes in 30 s");
    }
}
