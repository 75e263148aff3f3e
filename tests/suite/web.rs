//! A web server for one test: answers by path, breaks off where it is told to, and remembers what was asked.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// A file that is offered.
#[derive(Clone)]
pub(crate) struct OfferedFile {
    bytes: Vec<u8>,
    /// The first answer ends after so many bytes.
    breaks_at: Option<usize>,
}

impl OfferedFile {
    pub(crate) fn whole(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), breaks_at: None }
    }

    pub(crate) fn broken_once(bytes: impl Into<Vec<u8>>, at: usize) -> Self {
        Self { bytes: bytes.into(), breaks_at: Some(at) }
    }
}

/// The server. Its thread ends with the test's process.
pub(crate) struct Web {
    address: std::net::SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    offers: BTreeMap<String, OfferedFile>,
    asked: Vec<String>,
}

impl Web {
    pub(crate) fn new(offers: &[(&str, OfferedFile)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let offers = offers.iter().map(|(path, offer)| ((*path).to_owned(), offer.clone())).collect();
        let state = Arc::new(Mutex::new(State { offers, asked: Vec::new() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away in the middle is its own affair.
                _ = answer(stream.unwrap(), &shared);
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Offers something else from now on.
    pub(crate) fn offer(&self, path: &str, offer: OfferedFile) {
        self.state.lock().unwrap().offers.insert(path.to_owned(), offer);
    }

    /// Paths that were asked for since the last call, each with the range that was wanted.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = request.split(' ').nth(1).unwrap_or("").to_owned();
    let mut from = None;
    for line in lines.by_ref() {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        from = from.or_else(|| line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    }
    let mut state = state.lock().unwrap();
    let range = from.map(|n| format!(" from {n}")).unwrap_or_default();
    state.asked.push(format!("{path}{range}"));
    let Some(offer) = state.offers.get_mut(&path) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let end = offer.breaks_at.take().unwrap_or(offer.bytes.len());
    let bytes = offer.bytes.clone();
    drop(state);
    let start = from.unwrap_or(0);
    let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
    let length = bytes.len() - start;
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&bytes[start..end])
}
