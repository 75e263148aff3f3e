//! Threads that share no work: each drives its connections from their first byte to their last.
//!
//! Threads that take work from each other, as tokio's usually do, wake each other for nearly every packet of a busy server.

use std::{io, thread::JoinHandle, time::Duration};

use tokio::{
    runtime::{Builder, Handle},
    sync::watch,
};

/// A network is full long before more threads are.
const MOST: usize = 4;
/// While one thread waits for a file that has left memory, others still serve, on a single processor too.
const LEAST: usize = 2;

/// Running threads. Dropping this cancels what they do and waits for their end.
pub(super) struct Workers {
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    /// Dropped to end them.
    running: Option<watch::Sender<()>>,
}

impl Workers {
    /// Starts a thread for each processor, within bounds.
    pub(super) fn start() -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(LEAST, usize::from).clamp(LEAST, MOST);
        let (running, stopped) = watch::channel(());
        let (mut handles, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let mut stopped = stopped.clone();
            let drive = move || {
                // Nothing is ever sent: it ends when the sender is dropped.
                _ = runtime.block_on(stopped.changed());
                // Only hashing a large file can take longer than an instant.
                runtime.shutdown_timeout(Duration::from_secs(5));
            };
            threads.push(std::thread::Builder::new().name("serve".to_owned()).spawn(drive)?);
        }
        Ok(Self { handles, threads, running: Some(running) })
    }

    /// Where work can be given to each of them.
    pub(super) fn handles(&self) -> &[Handle] {
        &self.handles
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        drop(self.running.take());
        for thread in self.threads.drain(..) {
            // One that panicked has ended as well.
            _ = thread.join();
        }
    }
}

/// The thread with the fewest connections.
pub(super) fn idlest(handles: &[Handle]) -> Option<&Handle> {
    handles.iter().min_by_key(|handle| handle.metrics().num_alive_tasks())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_goes_to_the_idlest_thread_and_ends_with_them() {
        let workers = Workers::start().unwrap();
        let handles = workers.handles();
        assert!(handles.len() >= LEAST);
        let (held, mut released) = tokio::sync::mpsc::channel::<()>(1);
        for _ in 0..handles.len() * 3 {
            let held = held.clone();
            idlest(handles).unwrap().spawn(async move {
                std::future::pending::<()>().await;
                drop(held);
            });
        }
        drop(held);
        let shares: Vec<usize> = handles.iter().map(|h| h.metrics().num_alive_tasks()).collect();
        assert!(shares.iter().all(|share| *share == 3), "{shares:?}");
        drop(workers);
        assert!(released.blocking_recv().is_none(), "a task outlives its thread");
    }
}
