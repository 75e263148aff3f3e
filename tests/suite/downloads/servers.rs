//! Servers with every fault that these tests know, one answer a connection.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How long the file is.
pub(super) const LENGTH: usize = 100_000;

/// A request as a server of these tests sees it.
pub(super) struct Ask<'a> {
    /// 0 for the first request to this server.
    pub(super) number: usize,
    /// Where the wanted part begins.
    from: Option<usize>,
    /// What the client takes the file for.
    if_range: Option<String>,
    /// The file.
    pub(super) bytes: &'a [u8],
    /// Where the fault is.
    at: usize,
}

pub(super) type ServerAnswer = fn(&Ask<'_>, &mut TcpStream) -> std::io::Result<()>;

/// A server; its thread ends with the test's process.
pub(super) struct BadServer {
    pub(super) url: String,
    asked: Arc<AtomicUsize>,
}

impl BadServer {
    pub(super) fn new(bytes: &[u8], at: usize, answer: ServerAnswer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, bytes) = (Arc::clone(&asked), Arc::<[u8]>::from(bytes));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (count, bytes) = (Arc::clone(&count), Arc::clone(&bytes));
                std::thread::spawn(move || {
                    // A client that goes away in the middle is its own affair.
                    _ = serve(stream.unwrap(), &count, &bytes, at, answer);
                });
            }
        });
        Self { url, asked }
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(
    mut stream: TcpStream,
    count: &AtomicUsize,
    bytes: &[u8],
    at: usize,
    answer: ServerAnswer,
) -> std::io::Result<()> {
    let mut ask = Ask { number: 0, from: None, if_range: None, bytes, at };
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else {
            if line.is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                ask.from = value.strip_prefix("bytes=").and_then(|v| v.strip_suffix('-')?.parse().ok())
            }
            "if-range" => ask.if_range = Some(value.to_owned()),
            _ => {}
        }
    }
    ask.number = count.fetch_add(1, Ordering::SeqCst);
    answer(&ask, &mut stream)
}

/// Sends a head with `Connection: close` and a body.
pub(super) fn send(to: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    write!(to, "HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n")?;
    to.write_all(body)
}

pub(super) fn length(n: usize) -> String {
    format!("Content-Length: {n}\r\n")
}

/// What a server should do.
pub(super) fn honest(ask: &Ask<'_>, to: &mut TcpStream) -> std::io::Result<()> {
    honest_with(ask, to, "", usize::MAX)
}

/// An honest answer with more headers, that ends after `most` bytes.
fn honest_with(ask: &Ask<'_>, to: &mut TcpStream, more: &str, most: usize) -> std::io::Result<()> {
    let Some(from) = ask.from.filter(|from| *from < ask.bytes.len()) else {
        let body = &ask.bytes[..most.min(ask.bytes.len())];
        return send(to, "200 OK", &format!("{}{more}", length(ask.bytes.len())), body);
    };
    part(ask, to, more, from, from, most)
}

/// The part from `from`, said to be from `said`.
fn part(
    ask: &Ask<'_>,
    to: &mut TcpStream,
    more: &str,
    from: usize,
    said: usize,
    most: usize,
) -> std::io::Result<()> {
    let rest = &ask.bytes[from.min(ask.bytes.len())..];
    let range = format!("Content-Range: bytes {said}-{}/{}\r\n", ask.bytes.len() - 1, ask.bytes.len());
    let headers = format!("{}{range}{more}", length(rest.len()));
    send(to, "206 Partial Content", &headers, &rest[..most.min(rest.len())])
}

/// The first answer breaks off; then `next`.
fn broken(ask: &Ask<'_>, to: &mut TcpStream, next: ServerAnswer) -> std::io::Result<()> {
    if ask.number == 0 { honest_with(ask, to, "", ask.at) } else { next(ask, to) }
}

/// The file with other bytes.
fn other(ask: &Ask<'_>) -> Vec<u8> {
    ask.bytes.iter().map(|b| !b).collect()
}

/// A first answer out of another file of the same length, which breaks off, with these headers; later `headers`.
fn changed(ask: &Ask<'_>, to: &mut TcpStream, first: &str, later: &str) -> std::io::Result<()> {
    if ask.number == 0 {
        let old = other(ask);
        return honest_with(&Ask { bytes: &old, if_range: None, ..*ask }, to, first, ask.at);
    }
    let named = ask.if_range.as_ref().is_none_or(|v| later.contains(v.as_str()));
    let from = ask.from.filter(|_| named);
    honest_with(&Ask { from, if_range: None, ..*ask }, to, later, usize::MAX)
}

fn chunked(to: &mut TcpStream, pieces: &[&[u8]]) -> std::io::Result<()> {
    send(to, "200 OK", "Transfer-Encoding: chunked\r\n", b"")?;
    for piece in pieces.iter().filter(|p| !p.is_empty()) {
        write!(to, "{:x}\r\n", piece.len())?;
        to.write_all(piece)?;
        to.write_all(b"\r\n")?;
    }
    Ok(())
}

fn stall(to: &mut TcpStream) -> std::io::Result<()> {
    to.flush()?;
    std::thread::sleep(Duration::from_secs(60));
    Ok(())
}

const OLD: &str = "ETag: \"old\"\r\n";
const NEW: &str = "ETag: \"new\"\r\n";
const DATES: &str = "Last-Modified: Fri, 31 Dec 1999 00:00:00 GMT\r\nDate: Fri, 31 Dec 1999 23:59:59 GMT\r\n";

/// Faults: the name, whether this server alone gives the right bytes in the end, what it does.
pub(super) const FAULTS: &[(&str, bool, ServerAnswer)] = &[
    ("no fault", true, honest),
    ("hints at what follows first", true, |a, s| {
        // In one piece with the answer, as a fast server's arrives.
        let hint = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(3);
        let head = format!("{hint}HTTP/1.1 200 OK\r\n{}Connection: close\r\n\r\n", length(a.bytes.len()));
        s.write_all(&[head.as_bytes(), a.bytes].concat())
    }),
    ("hints for ever", false, |_, s| {
        loop {
            s.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")?;
        }
    }),
    ("breaks off once", true, |a, s| broken(a, s, honest)),
    ("breaks off at each answer", true, |a, s| honest_with(a, s, "", 9000)),
    ("breaks off at each answer, for long", true, |a, s| honest_with(a, s, "", 2500)),
    ("gives one byte an answer", false, |a, s| honest_with(a, s, "", 1)),
    ("breaks off, then ignores ranges", true, |a, s| {
        broken(a, s, |a, s| honest(&Ask { from: None, if_range: None, ..*a }, s))
    }),
    ("breaks off, then gives the part from 0", true, |a, s| {
        broken(a, s, |a, s| match a.from {
            Some(_) => part(a, s, "", 0, 0, usize::MAX),
            None => honest(a, s),
        })
    }),
    ("breaks off, then gives a later part", true, |a, s| {
        broken(a, s, |a, s| match a.from {
            Some(from) => part(a, s, "", from + 1, from + 1, usize::MAX),
            None => honest(a, s),
        })
    }),
    ("says another part than it gives", true, |a, s| {
        broken(a, s, |a, s| match a.from {
            Some(from) => part(a, s, "", from / 2, from, usize::MAX),
            None => honest(a, s),
        })
    }),
    ("a part that says no range", true, |a, s| {
        broken(a, s, |a, s| match a.from {
            Some(from) => send(s, "206 Partial Content", &length(a.bytes.len() - from), &a.bytes[from..]),
            None => honest(a, s),
        })
    }),
    ("a part with an unreadable range", true, |a, s| {
        broken(a, s, |a, s| match a.from {
            Some(from) => send(s, "206 OK", "Content-Range: bytes all/most\r\n", &a.bytes[from..]),
            None => honest(a, s),
        })
    }),
    ("a part of a longer file", false, |a, s| {
        broken(a, s, |a, s| match a.from {
            Some(from) => send(
                s,
                "206 OK",
                &format!("Content-Range: bytes {from}-999999/1000000\r\n"),
                &a.bytes[from..],
            ),
            None => honest(a, s),
        })
    }),
    ("a part as multipart", true, |a, s| {
        broken(a, s, |a, s| match a.from {
            Some(_) => {
                send(s, "206 OK", "Content-Type: multipart/byteranges; boundary=x\r\n", b"--x\r\n\r\n--x--")
            }
            None => honest(a, s),
        })
    }),
    ("a part when the whole was asked for", false, |a, s| part(a, s, "", 10, 10, usize::MAX)),
    ("breaks off, then 416", true, |a, s| {
        broken(a, s, |a, s| match a.from {
            Some(_) => send(s, "416 Range Not Satisfiable", "Content-Length: 0\r\n", b""),
            None => honest(a, s),
        })
    }),
    ("416 for ever", false, |_, s| send(s, "416 Range Not Satisfiable", "Content-Length: 0\r\n", b"")),
    ("short parts", true, |a, s| {
        let from = a.from.unwrap_or(0);
        let to = (from + 12_345).min(a.bytes.len());
        let headers =
            format!("{}Content-Range: bytes {from}-{}/{}\r\n", length(to - from), to - 1, a.bytes.len());
        send(s, "206 OK", &headers, &a.bytes[from..to])
    }),
    ("changes between two tries", true, |a, s| changed(a, s, "", "")),
    ("changes, and names it", true, |a, s| changed(a, s, OLD, NEW)),
    ("changes, and names it as before", true, |a, s| changed(a, s, OLD, OLD)),
    ("changes, and has dates", true, |a, s| changed(a, s, DATES, DATES)),
    ("changes, and names it weakly", true, |a, s| changed(a, s, "ETag: W/\"x\"\r\n", "ETag: W/\"x\"\r\n")),
    ("busy once", true, |a, s| match a.number {
        0 => send(s, "503 Busy", "Content-Length: 0\r\n", b""),
        _ => honest(a, s),
    }),
    ("busy once, until now", true, |a, s| match a.number {
        0 => send(s, "503 Busy", "Retry-After: 0\r\nContent-Length: 0\r\n", b""),
        _ => honest(a, s),
    }),
    ("busy once, until long ago", true, |a, s| match a.number {
        0 => send(s, "429 Slowly", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", b""),
        _ => honest(a, s),
    }),
    ("busy for years", false, |_, s| send(s, "503 Busy", "Retry-After: 99999999999999\r\n", b"")),
    ("busy until nonsense", true, |a, s| match a.number {
        0 => send(s, "503 Busy", "Retry-After: tomorrow\r\n", b""),
        _ => honest(a, s),
    }),
    ("500 for ever", false, |_, s| send(s, "500 Oh", "Content-Length: 0\r\n", b"")),
    ("404", false, |_, s| send(s, "404 Not Found", "Content-Length: 0\r\n", b"")),
    ("403 with a page", false, |_, s| send(s, "403 No", &length(4), b"page")),
    ("a login page", false, |_, s| send(s, "200 OK", &length(6), b"<html>")),
    ("a page of the right length", false, |a, s| {
        let page = vec![b' '; a.bytes.len()];
        send(s, "200 OK", &format!("Content-Type: text/html\r\n{}", length(page.len())), &page)
    }),
    ("a page without a length", false, |_, s| {
        send(s, "200 OK", "Content-Type: text/html\r\n", b"<html>log in</html>")
    }),
    ("no head at all", false, |a, s| s.write_all(a.bytes)),
    ("thousands of headers", false, |a, s| send(s, "200 OK", &"X-Header: x\r\n".repeat(30_000), a.bytes)),
    ("cookies", true, |a, s| honest_with(a, s, "Set-Cookie: a=b\r\n", usize::MAX)),
    ("leads to a page that it wants a cookie for", false, |_, s| {
        send(s, "302 Found", "Set-Cookie: a=b\r\nLocation: /file\r\nContent-Length: 0\r\n", b"")
    }),
    ("leads in a circle", false, |_, s| send(s, "302 Found", "Location: /file\r\n", b"")),
    ("leads nowhere", false, |_, s| send(s, "302 Found", "Content-Length: 0\r\n", b"")),
    ("leads to a file of this machine", false, |_, s| {
        send(s, "302 Found", "Location: file:///etc/passwd\r\n", b"")
    }),
    ("hangs up", false, |_, _| Ok(())),
    ("hangs up once", true, |a, s| if a.number == 0 { Ok(()) } else { honest(a, s) }),
    ("hangs up in the head", false, |_, s| s.write_all(b"HTTP/1.1 200 OK\r\nContent-")),
    ("speaks no HTTP", false, |_, s| s.write_all(b"220 ftp.example ready\r\n")),
    ("a head without an end", false, |_, s| {
        s.write_all(b"HTTP/1.1 200 OK\r\n")?;
        (0..100_000).try_for_each(|n| write!(s, "X-{n}: {n}\r\n"))
    }),
    ("remarks without an end", false, |_, s| {
        (0..100_000).try_for_each(|_| s.write_all(b"HTTP/1.1 100 Continue\r\n\r\n"))
    }),
    ("more than it says", true, |a, s| {
        send(s, "200 OK", &length(a.bytes.len()), &[a.bytes, b"more"].concat())
    }),
    ("says a shorter length", false, |a, s| send(s, "200 OK", &length(a.at), a.bytes)),
    ("says a longer length", false, |a, s| send(s, "200 OK", &length(a.bytes.len() + 9), a.bytes)),
    ("says a length below nothing", false, |a, s| send(s, "200 OK", "Content-Length: -1\r\n", a.bytes)),
    ("says a length beyond counting", false, |a, s| {
        send(s, "200 OK", "Content-Length: 99999999999999999999999\r\n", a.bytes)
    }),
    ("in chunks", true, |a, s| {
        chunked(s, &[&a.bytes[..a.at], &a.bytes[a.at..]])?;
        s.write_all(b"0\r\n\r\n")
    }),
    ("a chunk that breaks off", false, |a, s| chunked(s, &[&a.bytes[..a.at]])),
    ("a chunk of no size", false, |_, s| {
        send(s, "200 OK", "Transfer-Encoding: chunked\r\n", b"zz\r\nab\r\n")
    }),
    ("chunks without an end", false, |_, s| chunked(s, &[[b'x'; 50_000].as_slice(); 100])),
    ("until it hangs up", true, |a, s| send(s, "200 OK", "", a.bytes)),
    ("hangs up early, and says no length", false, |a, s| send(s, "200 OK", "", &a.bytes[..a.at])),
    ("one bit is wrong", false, |a, s| {
        let mut bytes = a.bytes.to_vec();
        bytes[a.at.min(LENGTH - 1)] ^= 1;
        honest(&Ask { bytes: &bytes, if_range: None, ..*a }, s)
    }),
    ("breaks off, then one bit is wrong", true, |a, s| match a.number {
        0 => honest_with(a, s, "", a.at),
        1 => {
            let mut bytes = a.bytes.to_vec();
            bytes[LENGTH - 1] ^= 1;
            honest(&Ask { bytes: &bytes, if_range: None, ..*a }, s)
        }
        _ => honest(a, s),
    }),
    ("nothing", false, |_, s| send(s, "200 OK", "Content-Length: 0\r\n", b"")),
    ("no content", false, |_, s| send(s, "204 No Content", "", b"")),
    ("a status beyond all", false, |_, s| send(s, "999 What", "Content-Length: 0\r\n", b"")),
    ("stalls in the body", false, |a, s| {
        honest_with(&Ask { from: None, if_range: None, ..*a }, s, "", a.at)?;
        stall(s)
    }),
    ("stalls in the head", false, |_, s| {
        s.write_all(b"HTTP/1.1 200 OK\r\n")?;
        stall(s)
    }),
    ("says nothing", false, |_, s| stall(s)),
    ("trickles", false, |a, s| {
        send(s, "200 OK", &length(a.bytes.len()), b"")?;
        a.bytes.iter().try_for_each(|b| {
            std::thread::sleep(Duration::from_millis(20));
            s.write_all(&[*b])
        })
    }),
    ("old HTTP", true, |a, s| {
        s.write_all(b"HTTP/1.0 200 OK\r\n\r\n")?;
        s.write_all(a.bytes)
    }),
    ("drips the head", false, |_, s| {
        s.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
        drip(s, b"x")
    }),
    ("drips hints", false, |_, s| drip(s, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")),
    ("drips before the first chunk", false, |_, s| {
        chunked(s, &[])?;
        s.write_all(b"1;")?;
        drip(s, b"x")
    }),
    ("drips trailers", false, |a, s| {
        chunked(s, &[a.bytes])?;
        s.write_all(b"0\r\n")?;
        drip(s, b"X: y\r\n")
    }),
    ("drips redirects", false, |a, s| {
        std::thread::sleep(Duration::from_millis(300));
        send(s, "302 Found", &format!("Location: /{}\r\nContent-Length: 0\r\n", a.number), b"")
    }),
    ("hints first", true, |a, s| {
        s.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")?;
        std::thread::sleep(Duration::from_millis(100));
        honest(a, s)
    }),
    ("trailers behind chunks", true, |a, s| {
        chunked(s, &[a.bytes])?;
        s.write_all(b"0\r\nContent-Length: 3\r\nX: y\r\n\r\n")
    }),
    ("packs what was asked for as it is", false, |a, s| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(a.bytes)?;
        let packed = packed.finish()?;
        send(s, "200 OK", &format!("{}Content-Encoding: gzip\r\n", length(packed.len())), &packed)
    }),
    ("says that it packed what it did not", true, |a, s| {
        honest_with(a, s, "Content-Encoding: gzip\r\n", usize::MAX)
    }),
    ("says two lengths", false, |a, s| {
        send(s, "200 OK", &format!("{}{}", length(a.at), length(a.bytes.len())), &a.bytes[..a.at])
    }),
    ("says a length and sends chunks", true, |a, s| {
        send(s, "200 OK", &format!("{}Transfer-Encoding: chunked\r\n", length(a.at)), b"")?;
        write!(s, "{:x}\r\n", a.bytes.len())?;
        s.write_all(a.bytes)?;
        s.write_all(b"\r\n0\r\n\r\n")
    }),
    ("chunks that wrap around", false, |_, s| {
        send(s, "200 OK", "Transfer-Encoding: chunked\r\n", b"10000000000000005\r\nabcde\r\n0\r\n\r\n")
    }),
    ("leads to another scheme", false, |a, s| {
        let to =
            ["ftp://127.0.0.1/x", "data:,x", "javascript:x", "gopher://127.0.0.1/x", "ws://127.0.0.1:1/x"];
        send(s, "302 Found", &format!("Location: {}\r\n", to[a.number % to.len()]), b"")
    }),
    ("leads to what is not an address", false, |a, s| {
        let to: [&[u8]; 6] =
            [b"//", b"http://", b"\xff\xfe", b"http://[::1", b"http://a b/", b"http://x:99999/"];
        s.write_all(&[b"HTTP/1.1 301 Moved\r\nLocation: ", to[a.number % to.len()], b"\r\n\r\n"].concat())
    }),
];

/// Sends the same for longer than anyone should wait, so that no single wait is long.
fn drip(to: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for _ in 0..600 {
        to.write_all(bytes)?;
        std::thread::sleep(Duration::from_millis(300));
    }
    Ok(())
}
