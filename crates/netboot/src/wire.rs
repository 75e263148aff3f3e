//! Moves answers from files to sockets, on Linux without copying them through this process, and counts.
//!
//! hyper writes what a body's buffers show it. Ours show a placeholder of the right length, kept in a queue
//! beside the connection; when hyper hands a slice of the placeholder to [`Stream`], the bytes of the file at
//! the queue's front are sent instead, by `sendfile`. So hyper still does all of HTTP, and one queue entry
//! is all that a connection costs however slow its reader is.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSlice},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::body::{Body, Buf, Bytes, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};

use super::{event::ClientEventKind, server::Hub};

/// Never written nor read, so the system gives it no memory. Its length bounds one `sendfile`, so that one
/// fast reader does not hold a thread for long.
static PLACEHOLDER: LazyLock<Vec<u8>> = LazyLock::new(|| vec![0; 1 << 20]);
/// A reader that waits and takes fewer bytes than this within the timeout reads too slowly.
const LEAST: usize = 64 << 10;
/// How often a transfer is told about.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// What a body's bytes are.
pub(super) enum BodySource {
    /// Part of a file.
    File(Arc<File>),
    /// Bytes made for the request.
    Bytes(Bytes),
}

/// Bytes to send.
pub(super) struct Segment {
    pub(super) source: BodySource,
    pub(super) offset: u64,
    pub(super) left: u64,
    pub(super) meter: Arc<Meter>,
}

/// Counts one answer's body, and tells its end however it comes.
pub(super) struct Meter {
    link: Arc<Link>,
    request: u64,
    total: u64,
    sent: AtomicU64,
    told: Mutex<Instant>,
}

impl Meter {
    pub(super) fn new(link: &Arc<Link>, request: u64, total: u64) -> Arc<Self> {
        let told = Mutex::new(Instant::now());
        Arc::new(Self { link: Arc::clone(link), request, total, sent: AtomicU64::new(0), told })
    }

    fn moved(&self, n: u64) {
        let sent = self.sent.fetch_add(n, Ordering::Relaxed) + n;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if sent == n || told.elapsed() >= TELL_EVERY {
            *told = Instant::now();
            self.tell();
        }
    }

    /// All that will be sent was sent. Of an answer that stalls on purpose, no more is told.
    fn stopped(&self) {
        if self.sent.load(Ordering::Relaxed) < self.total {
            self.tell();
        }
    }

    fn tell(&self) {
        self.link
            .tell(ClientEventKind::Moved { request: self.request, sent: self.sent.load(Ordering::Relaxed) });
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let sent = self.sent.load(Ordering::Relaxed);
        self.link.tell(ClientEventKind::Ended { request: self.request, sent, whole: sent == self.total });
    }
}

/// What the parts of the server that work for one connection share.
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) peer: IpAddr,
    pub(super) hub: Arc<Hub>,
    /// When bytes last moved, in milliseconds since the server started.
    last: AtomicU64,
    /// Cuts the connection.
    pub(super) cut: tokio::sync::Notify,
    queue: Mutex<VecDeque<Segment>>,
}

impl Link {
    pub(super) fn new(id: u64, peer: IpAddr, hub: Arc<Hub>) -> Arc<Self> {
        let link = Self {
            id,
            peer,
            hub,
            last: AtomicU64::new(0),
            cut: tokio::sync::Notify::new(),
            queue: Mutex::default(),
        };
        link.touch();
        Arc::new(link)
    }

    pub(super) fn tell(&self, what: ClientEventKind) {
        self.hub.tell(self.id, self.peer, what);
    }

    fn touch(&self) {
        self.last.store(self.hub.millis(), Ordering::Relaxed);
    }

    /// When something last moved, in milliseconds since the server started.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// For how long nothing moved.
    pub(super) fn silent(&self) -> Duration {
        Duration::from_millis(self.hub.millis().saturating_sub(self.last()))
    }
}

/// A response body: at most one segment, then the end, or nothing ever again.
pub(super) struct Reply {
    link: Arc<Link>,
    segment: Option<Segment>,
    len: u64,
    /// Kept while the answer stalls on purpose.
    stalled: Option<Arc<Meter>>,
}

impl Reply {
    /// `segment` may be shorter than `len`: the rest never comes.
    pub(super) fn new(link: &Arc<Link>, segment: Segment, len: u64) -> Self {
        let stalled = (segment.left < len).then(|| Arc::clone(&segment.meter));
        let segment = Some(segment).filter(|s| s.left > 0);
        Self { link: Arc::clone(link), segment, len, stalled }
    }
}

impl Body for Reply {
    type Data = Placeholder;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Placeholder>, Self::Error>>> {
        match self.segment.take() {
            Some(segment) => {
                let left = segment.left;
                self.link.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(segment);
                Poll::Ready(Some(Ok(Frame::data(Placeholder { left }))))
            }
            None if self.stalled.is_some() => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.segment.is_none() && self.stalled.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len)
    }
}

/// Stands for `left` bytes of the segment at the queue's front.
pub(super) struct Placeholder {
    left: u64,
}

impl Buf for Placeholder {
    fn remaining(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    fn chunk(&self) -> &[u8] {
        &PLACEHOLDER[..self.remaining().min(PLACEHOLDER.len())]
    }

    fn advance(&mut self, n: usize) {
        self.left -= n as u64;
    }
}

fn stands_for_file(slice: &IoSlice<'_>) -> bool {
    !slice.is_empty() && PLACEHOLDER.as_ptr_range().contains(&slice.as_ptr())
}

/// A socket that sends segments for placeholders, and fails when its reader takes next to nothing for too long.
pub(super) struct Stream {
    tcp: TcpStream,
    link: Arc<Link>,
    timeout: Duration,
    /// Is there from when the socket took nothing until it took enough again.
    waiting: Option<Waiting>,
}

struct Waiting {
    /// When the timeout ends.
    end: Pin<Box<Sleep>>,
    /// The pause before it is told how far the reader came.
    pause: Pin<Box<Sleep>>,
    told: bool,
    taken: usize,
}

impl Waiting {
    fn new(timeout: Duration) -> Self {
        let sleep = |time| Box::pin(tokio::time::sleep(time));
        Self { end: sleep(timeout), pause: sleep(TELL_EVERY), told: false, taken: 0 }
    }
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, link: Arc<Link>, timeout: Duration) -> Self {
        Self { tcp, link, timeout, waiting: None }
    }

    /// Counts what the reader took.
    fn took(&mut self, n: usize) {
        self.link.touch();
        let idle = self.link.queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if let Some(waiting) = &mut self.waiting {
            waiting.taken += n;
            waiting.told = false;
            waiting.pause.as_mut().reset(tokio::time::Instant::now() + TELL_EVERY);
            if waiting.taken >= LEAST || idle {
                self.waiting = None;
            }
        }
    }

    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let plain = slices.iter().take_while(|s| !stands_for_file(s)).count();
        if slices[..plain].iter().any(|s| !s.is_empty()) {
            return self.tcp.try_write_vectored(&slices[..plain]);
        }
        slices.get(plain).map_or(Ok(0), |s| self.send_segment(s.len()))
    }

    fn send_segment(&self, max: usize) -> io::Result<usize> {
        let mut queue = self.link.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let segment = queue.front_mut().ok_or_else(|| io::Error::other("a placeholder without a segment"))?;
        let max = usize::try_from(segment.left).unwrap_or(max).min(max);
        let n = match &segment.source {
            BodySource::Bytes(bytes) => {
                let from = usize::try_from(segment.offset).map_err(io::Error::other)?;
                self.tcp.try_write(&bytes[from..from + max])?
            }
            BodySource::File(file) => send_file(&self.tcp, file, segment.offset, max)?,
        };
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        segment.offset += n as u64;
        segment.left -= n as u64;
        segment.meter.moved(n as u64);
        if segment.left == 0 {
            segment.meter.stopped();
            queue.pop_front();
        }
        Ok(n)
    }

    /// Whether the reader's time is up. Soon after it stopped, its progress is reported: it may be the last report.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timeout = self.timeout;
        let waiting = self.waiting.get_or_insert_with(|| Waiting::new(timeout));
        if !waiting.told && waiting.pause.as_mut().poll(cx).is_ready() {
            waiting.told = true;
            if let Some(segment) = self.link.queue.lock().unwrap_or_else(PoisonError::into_inner).front() {
                segment.meter.tell();
            }
        }
        let up = waiting.end.as_mut().poll(cx);
        up.map(|()| io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly"))
    }
}

impl Drop for Stream {
    /// What is left in the queue points back at it; unless it is emptied, neither would ever end.
    fn drop(&mut self) {
        let unsent = std::mem::take(&mut *self.link.queue.lock().unwrap_or_else(PoisonError::into_inner));
        drop(unsent);
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.tcp.poll_write_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return self.poll_timeout(cx).map(Err),
            }
            match self.send(slices) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                sent => {
                    self.took(*sent.as_ref().unwrap_or(&0));
                    return Poll::Ready(sent);
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.link.touch();
        }
        Poll::Ready(Ok(()))
    }
}

/// Sends up to `max` bytes of `file` from `offset`. What is not in the page cache blocks this thread for a disk read, as it
/// does in nginx, a placeholder's length at a time; its first request read all of it on another thread, for its digest.
///
/// Less than `max` means that the socket is full: tokio is told so at once, without a call that could only fail. The system
/// reports the next room in any case, since it was asked for more than it had.
#[cfg(target_os = "linux")]
fn send_file(tcp: &TcpStream, file: &File, offset: u64, max: usize) -> io::Result<usize> {
    let mut sent = 0;
    let send = || {
        sent = rustix::fs::sendfile(tcp, file, Some(&mut { offset }), max)?;
        if sent < max { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    };
    match tcp.try_io(tokio::io::Interest::WRITABLE, send) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock && sent > 0 => Ok(sent),
        result => result.map(|()| sent),
    }
}

#[cfg(not(target_os = "linux"))]
fn send_file(tcp: &TcpStream, file: &File, offset: u64, max: usize) -> io::Result<usize> {
    let mut buffer = [0; 1 << 15];
    let len = buffer.len().min(max);
    let n = read_at(file, &mut buffer[..len], offset)?;
    tcp.try_write(&buffer[..n])
}

/// Reads at an offset, leaving the file's cursor alone where the system can.
pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_at(file, buf, offset);
    #[cfg(windows)]
    return std::os::windows::fs::FileExt::seek_read(file, buf, offset);
}
