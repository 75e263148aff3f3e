//! Servers that break off, lie, stall and change their files: whatever they do, the right bytes arrive from the next
//! source, and wrong ones from none.

#![expect(clippy::disallowed_methods, reason = "the long run is asked for by the environment")]
#![expect(clippy::disallowed_macros, reason = "a long run says on its own output how many cases there were")]

use std::{
    io::{BufRead as _, Write as _},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use buildexec::{
    ctx::{Ctx, Env, Globals},
    fetch::{RetryPolicy, fetch},
};
use buildplan::{Arg, Digest, FetchSource, FetchSpec};
use camino::{Utf8Path, Utf8PathBuf};
use mediabuild::builtin::BUILTINS;

use self::servers::{BadServer, FAULTS, LENGTH, ServerAnswer, honest, length, send};

mod servers;

/// As [`RetryPolicy::default`], in a hurry.
fn hurry() -> RetryPolicy {
    RetryPolicy {
        stall: Duration::from_secs(3),
        least: 3000,
        first_pause: Duration::from_millis(40),
        longest_wait: Duration::from_secs(1),
        ..RetryPolicy::default()
    }
}

struct DownloadLab {
    ctx: Ctx,
    dir: tempfile::TempDir,
}

impl DownloadLab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = crate::repository();
        let target = dir.path().to_str().unwrap().to_owned();
        let env = Env::of(&[("MEDIA_ROOT", root.as_str()), ("CARGO_TARGET_DIR", &target)]);
        let globals = Globals { quiet: true, ..Globals::default() };
        Self { ctx: Ctx::new(globals, env, BUILTINS).unwrap(), dir }
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.dir.path()).unwrap().join(name)
    }

    fn fetch(&self, bytes: &[u8], size: bool, urls: &[&str], to: &str) -> anyhow::Result<()> {
        let spec = FetchSpec {
            to: Arg::Out("file".to_owned()),
            sources: urls.iter().map(|u| FetchSource::Url((*u).to_owned())).collect(),
            sha256: Digest::of(bytes),
            size: size.then_some(bytes.len() as u64),
            limit: 1 << 20,
            purl: None,
        };
        fetch(&self.ctx, &spec, &self.path(to), "file", &hurry())
    }
}

/// Other bytes for each case, so that none goes on with another's beginning.
fn bytes(case: usize) -> Vec<u8> {
    (0..LENGTH).map(|i| (i.wrapping_mul(case * 2 + 3) >> 5) as u8 ^ (case as u8)).collect()
}

/// What went wrong with a fault, if anything did.
fn case(
    lab: &DownloadLab,
    number: usize,
    fault: &(&str, bool, ServerAnswer),
    at: usize,
    size: bool,
) -> Option<String> {
    let (name, alone, answer) = *fault;
    let bytes = bytes(number);
    let begin = Instant::now();
    let wrong = |what: &str| Some(format!("{name} at {at}, size known: {size}: {what}"));
    let server = BadServer::new(&bytes, at, answer);
    let to = format!("{number}.alone");
    let came = lab.fetch(&bytes, size, &[&server.url], &to);
    let there = fs_err::read(lab.path(&to)).ok();
    if came.is_ok() != there.is_some() || there.is_some_and(|t| t != bytes) {
        return wrong("not the right bytes");
    }
    if let (true, Err(e)) = (alone, &came) {
        return wrong(&format!("{e:#}"));
    }
    if !alone {
        let (server, next) = (BadServer::new(&bytes, at, answer), BadServer::new(&bytes, 0, honest));
        let to = format!("{number}.next");
        if let Err(e) = lab.fetch(&bytes, size, &[&server.url, &next.url], &to) {
            return wrong(&format!("the next source did not help: {e:#}"));
        }
        if fs_err::read(lab.path(&to)).unwrap() != bytes {
            return wrong("not the right bytes from the next source");
        }
    }
    (begin.elapsed() > Duration::from_secs(90)).then(|| wrong("it took long")).flatten()
}

/// Tries every fault at every offset, and returns how many cases there were and what did not hold.
fn attack(offsets: &[usize]) -> (usize, Vec<String>) {
    let lab = DownloadLab::new();
    let cases: Vec<_> = FAULTS
        .iter()
        .flat_map(|fault| offsets.iter().flat_map(move |at| [(fault, *at, true), (fault, *at, false)]))
        .collect();
    let next = AtomicUsize::new(0);
    let broken = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                while let Some((n, (fault, at, size))) = {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    cases.get(n).map(|case| (n, case))
                } {
                    let found = case(&lab, n, fault, *at, *size);
                    broken.lock().unwrap().extend(found);
                }
            });
        }
    });
    (cases.len(), broken.into_inner().unwrap())
}

#[test]
fn whatever_a_server_does_only_the_right_bytes_arrive() {
    // `cargo xtask test --long` asks for every offset.
    let long = std::env::var("MEDIA_LONG").is_ok();
    let offsets: &[usize] =
        if long { &[1, 2, 511, 4096, 9001, 16_384, 50_000, 65_536, 99_998, 99_999] } else { &[1, 65_537] };
    let (tried, broken) = attack(offsets);
    println!("reliability: downloads: {tried} tried, {} held", tried - broken.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(FAULTS.len() >= 40 && tried >= 2 * FAULTS.len() * offsets.len());
}

#[test]
fn a_server_that_asks_for_a_moment_gets_it() {
    let lab = DownloadLab::new();
    let bytes = bytes(1);
    let server = BadServer::new(&bytes, 0, |a, s| match a.number {
        0 => send(s, "503 Busy", "Retry-After: 1\r\nContent-Length: 0\r\n", b""),
        _ => honest(a, s),
    });
    let begin = Instant::now();
    lab.fetch(&bytes, true, &[&server.url], "to").unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.asked(), 2);
}

#[test]
fn a_page_is_called_one_and_what_is_of_no_use_goes() {
    let lab = DownloadLab::new();
    let bytes = bytes(5);
    let left = || fs_err::read_dir(lab.path("media/downloads")).unwrap().count();
    let said = |answer, size| {
        let server = BadServer::new(&bytes, 50_000, answer);
        let e = lab.fetch(&bytes, size, &[&server.url], "to").unwrap_err();
        format!("{e:?}")
    };
    let with_length: ServerAnswer = |_, s| {
        let headers = "Content-Type: text/html; charset=utf-8\r\nContent-Length: 33\r\n";
        send(s, "200 OK", headers, b"<html>Welcome to our hotel</html>")
    };
    let without: ServerAnswer =
        |_, s| send(s, "200 OK", "Content-Type: text/html\r\n", b"<html>Welcome to our hotel</html>");
    let right_length: ServerAnswer = |a, s| {
        send(
            s,
            "200 OK",
            &format!("Content-Type: text/html\r\n{}", length(LENGTH)),
            &vec![b' '; a.bytes.len()],
        )
    };
    for (answer, size) in [(with_length, true), (with_length, false), (without, false), (right_length, true)]
    {
        let text = said(answer, size);
        assert!(text.contains("a web page, such as a network's login page"), "{text}");
        assert_eq!(left(), 0, "{text}");
    }
    // The beginning of the file is worth keeping, and is said to be.
    let cut: ServerAnswer = |a, s| match a.number {
        0 => send(s, "200 OK", &length(a.bytes.len()), &a.bytes[..50_000]),
        _ => send(s, "404 Not Found", &length(0), b""),
    };
    let text = said(cut, true);
    assert!(text.contains("50.0 kB of it are kept: the next run goes on from there"), "{text}");
    assert_eq!(left(), 1);
}

#[test]
fn two_downloads_of_the_same_bytes_at_once_do_not_disturb_each_other() {
    let lab = DownloadLab::new();
    let bytes = bytes(2);
    let slow: ServerAnswer = |a, s| {
        send(s, "200 OK", &length(a.bytes.len()), b"")?;
        a.bytes.chunks(10_000).try_for_each(|piece| {
            std::thread::sleep(Duration::from_millis(20));
            s.write_all(piece)
        })
    };
    let server = BadServer::new(&bytes, 0, slow);
    std::thread::scope(|scope| {
        for to in ["a", "b", "c", "d"] {
            let (lab, bytes, server) = (&lab, &bytes, &server);
            scope.spawn(move || lab.fetch(bytes, false, &[&server.url], to).unwrap());
        }
    });
    for to in ["a", "b", "c", "d"] {
        assert!(fs_err::read(lab.path(to)).unwrap() == bytes, "{to}");
    }
}

#[test]
fn what_an_earlier_run_downloaded_whole_is_not_asked_for_again() {
    let lab = DownloadLab::new();
    let bytes = bytes(3);
    let server = BadServer::new(&bytes, 0, honest);
    fs_err::create_dir_all(lab.path("media/downloads")).unwrap();
    fs_err::write(lab.path(&format!("media/downloads/{}.part", Digest::of(&bytes))), &bytes).unwrap();
    lab.fetch(&bytes, false, &[&server.url], "to").unwrap();
    assert_eq!(server.asked(), 0);
}

/// What `first` is asked for with a name and password leads to `second`, which must not hear of them.
#[test]
fn a_password_for_one_server_is_not_told_to_the_next() {
    let lab = DownloadLab::new();
    let bytes = bytes(4);
    let second = std::net::TcpListener::bind("[::1]:0")
        .or_else(|_| std::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let first = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, next) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    let heads = std::thread::scope(|scope| {
        let answer = |listener: std::net::TcpListener, status: String, body: Vec<u8>| {
            let (mut stream, _) = listener.accept().unwrap();
            let head: Vec<String> = std::io::BufReader::new(stream.try_clone().unwrap())
                .lines()
                .map(Result::unwrap)
                .take_while(|line| !line.is_empty())
                .collect();
            send(&mut stream, &status, &length(body.len()), &body).unwrap();
            head.join("\n").to_ascii_lowercase()
        };
        let leads = format!("302 Found\r\nLocation: http://{next}/file");
        let first = scope.spawn(move || answer(first, leads, Vec::new()));
        let body = bytes.clone();
        let second = scope.spawn(move || answer(second, "200 OK".to_owned(), body));
        lab.fetch(&bytes, true, &[&format!("http://me:secret@{at}/file")], "to").unwrap();
        [first.join().unwrap(), second.join().unwrap()]
    });
    assert!(heads[0].contains("authorization: basic bwu6c2vjcmv0"), "{}", heads[0]);
    assert!(!heads[1].contains("authorization") && !heads[1].contains("secret"), "{}", heads[1]);
    assert_eq!(fs_err::read(lab.path("to")).unwrap(), bytes);
}
