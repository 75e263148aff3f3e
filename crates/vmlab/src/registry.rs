//! A web server of a few files in memory, and the files by which it is a registry of container images.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use serde_json::Value;

/// No request of a client that means well is longer, or takes longer.
const REQUEST_LIMIT: u64 = 16 << 10;
const IO_TIMEOUT: Duration = Duration::from_secs(60);

/// Files by path: their type and bytes.
pub(crate) type Files = BTreeMap<String, (String, Vec<u8>)>;

/// A server that ends when it is dropped.
pub(crate) struct Registry {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Registry {
    /// Serves `files` at a free port of the loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub(crate) fn start(files: Files) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let (files, asked) = (Arc::new(files), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if asked.load(Ordering::Relaxed) {
                    return;
                }
                let files = Arc::clone(&files);
                // A client that hangs up early is its own business.
                std::thread::spawn(move || _ = answer(stream, &files));
            }
        });
        Ok(Self { port, stop, thread: Some(thread) })
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It waits for a client.
        _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(stream: TcpStream, files: &Files) -> Result<()> {
    stream.set_read_timeout(Some(IO_TIMEOUT))?;
    stream.set_write_timeout(Some(IO_TIMEOUT))?;
    let mut lines = BufReader::new((&stream).take(REQUEST_LIMIT)).lines();
    let first = lines.next().context("nothing was asked")??;
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, kind, bytes) = match files.get(path) {
        Some((kind, bytes)) => ("200 OK", kind.as_str(), bytes.as_slice()),
        None => ("404 Not Found", "text/plain", b"no such file\n".as_slice()),
    };
    write!(
        &stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len()
    )?;
    if method != "HEAD" {
        (&stream).write_all(bytes)?;
    }
    Ok(())
}

/// The files of a registry that has one image, out of its archive (an OCI layout): it can be pulled as `name`, which
/// ends with a tag.
///
/// # Errors
/// When the archive is not one.
pub(crate) fn image(archive: &Utf8Path, name: &str) -> Result<Files> {
    let mut blobs = BTreeMap::new();
    let mut index = Value::Null;
    for entry in tar::Archive::new(fs_err::File::open(archive)?).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        if path == "index.json" {
            index = serde_json::from_slice(&bytes)?;
        } else if let Some(hex) = path.strip_prefix("blobs/sha256/") {
            blobs.insert(format!("sha256:{hex}"), bytes);
        }
    }
    let entry = &index["manifests"][0];
    let (name, tag) = name.split_once(':').context("the image has no tag")?;
    let digest = entry["digest"].as_str().context("the archive has no index.json")?;
    let kind = entry["mediaType"].as_str().unwrap_or_default().to_owned();
    let manifest = blobs.get(digest).context("the archive lacks its manifest")?.clone();
    let mut files = Files::from([("/v2/".to_owned(), ("application/json".to_owned(), b"{}".to_vec()))]);
    for reference in [tag, digest] {
        files.insert(format!("/v2/{name}/manifests/{reference}"), (kind.clone(), manifest.clone()));
    }
    let binary = "application/octet-stream";
    files.extend(
        blobs.into_iter().map(|(d, bytes)| (format!("/v2/{name}/blobs/{d}"), (binary.to_owned(), bytes))),
    );
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }

    #[test]
    fn an_image_is_had_by_tag_by_digest_and_in_its_blobs() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("image.tar");
        let mut tar = tar::Builder::new(fs_err::File::create(&path).unwrap());
        let index = br#"{"manifests":[{"mediaType":"application/x","digest":"sha256:aa"}]}"#;
        for (name, bytes) in
            [("index.json", index.as_slice()), ("blobs/sha256/aa", b"{}"), ("blobs/sha256/bb", b"layer")]
        {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes).unwrap();
        }
        tar.finish().unwrap();
        let server = Registry::start(image(&path, "sample/x:1").unwrap()).unwrap();
        let get = |path: &str| ask(server.port(), &format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        for reference in ["1", "sha256:aa"] {
            let said = get(&format!("/v2/sample/x/manifests/{reference}"));
            assert!(
                said.contains("Content-Type: application/x\r\n") && said.ends_with("\r\n\r\n{}"),
                "{said}"
            );
        }
        assert!(get("/v2/sample/x/blobs/sha256:bb").ends_with("layer"));
        assert!(get("/v2/sample/y/manifests/1").starts_with("HTTP/1.1 404 "));
        let head = ask(server.port(), "HEAD /v2/sample/x/blobs/sha256:bb HTTP/1.1\r\n\r\n");
        assert!(head.contains("Content-Length: 5\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    }
}
