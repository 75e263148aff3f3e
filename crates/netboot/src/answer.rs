//! One request to one answer.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::SystemTime};

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    body::{Bytes, Incoming},
    header::{self, HeaderName, HeaderValue},
    http::uri::Authority,
};

use super::{
    event::{ClientEventKind, FileRole, MachineName, ServedRequest},
    page,
    range::{self, Current, RangeAnswer},
    script,
    server::{Fault, ServerState},
    target, tree,
    wire::{BodySource, Link, Meter, Reply, Segment},
};
use buildplan::Digest;

/// The signature over the boot script.
const SCRIPT_SIGNATURE: &str = "boot.ipxe.sig";
/// Longer paths are cut in events; nothing of ours is so long.
const SHOWN_PATH: usize = 200;

/// What a path names.
struct Content {
    source: BodySource,
    len: u64,
    etag: String,
    modified: Option<SystemTime>,
    media_type: &'static str,
}

impl Content {
    fn made(bytes: Vec<u8>, media_type: &'static str) -> Self {
        let (len, etag) = (bytes.len() as u64, tree::etag(&Digest::of(&bytes)));
        Self { source: BodySource::Bytes(bytes.into()), len, etag, modified: None, media_type }
    }
}

/// The answer's head, and which bytes follow.
struct AnswerHead {
    status: StatusCode,
    headers: HeaderMap,
    start: u64,
    len: u64,
    size: u64,
}

impl AnswerHead {
    fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), start: 0, len: 0, size: 0 }
    }

    fn set(&mut self, name: HeaderName, value: impl AsRef<str>) {
        // Every value is made of digits, checked names and literals.
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.headers.insert(name, value);
        }
    }
}

/// Answers `request`.
pub(super) async fn answer(
    shared: Arc<ServerState>,
    link: Arc<Link>,
    local: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    let path = target::tree_path(request.uri().path()).map(|p| shared.below_prefix(p));
    let machine = target::machine(request.uri().query().unwrap_or_default());
    let host = asked_host(&request).and_then(|host| target::host(host, local));
    let fault = path.as_ref().and_then(|p| shared.config.faults.get(p)).copied();
    let get = request.method() == Method::GET;
    let result = match (&path, host, fault) {
        _ if !get && request.method() != Method::HEAD => Err(StatusCode::METHOD_NOT_ALLOWED),
        (_, None, _) => Err(StatusCode::BAD_REQUEST),
        (_, _, Some(Fault::Status(status))) => {
            Err(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        }
        (Some(path), Some(host), _) => {
            let known = shared.hosts.know(&host, local);
            find(&shared, path, &Asker { machine: &machine, peer: link.peer, host: &host, known }).await
        }
        (None, ..) => Err(StatusCode::NOT_FOUND),
    };
    let (head, source) = match result {
        Ok(content) => (head_of(&content, request.headers(), get), content.source),
        Err(status) => refusal(status),
    };
    if path.as_deref() == Some("_/up") && head.status.is_success() {
        link.tell(ClientEventKind::Up { machine: machine.clone() });
    }
    if path.as_deref() == Some("_/refused")
        && head.status.is_success()
        && let Some((file, error, clock)) = target::refused(request.uri().query().unwrap_or_default())
    {
        link.tell(ClientEventKind::Refused { machine: machine.clone(), file, error, clock });
    }
    let asked = ServedRequest {
        request: shared.hub.next_request(),
        method: request.method().to_string(),
        path: request.uri().path().chars().take(SHOWN_PATH).collect(),
        role: path.as_deref().map_or(FileRole::Other, target::role),
        machine,
        status: head.status.as_u16(),
        start: head.start,
        len: if request.method() == Method::HEAD { 0 } else { head.len },
        size: head.size,
    };
    Ok(respond(&link, asked, head, source, fault))
}

fn respond(
    link: &Arc<Link>,
    asked: ServedRequest,
    head: AnswerHead,
    source: BodySource,
    fault: Option<Fault>,
) -> Response<Reply> {
    let meter = Meter::new(link, asked.request, asked.len);
    let stop = match fault {
        Some(Fault::StallAfter(stop)) => stop.saturating_sub(head.start),
        _ => u64::MAX,
    };
    let segment = Segment { source, offset: head.start, left: asked.len.min(stop), meter };
    let reply = Reply::new(link, segment, asked.len);
    link.tell(ClientEventKind::Asked(asked));
    let mut response = Response::new(reply);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// What is the server's own: the page and what it shows.
fn own(shared: &ServerState, path: &str) -> Option<Content> {
    match path {
        "_" => Some(Content::made(page::HTML.into(), "text/html; charset=utf-8")),
        "_/events.json" => {
            Some(Content::made(page::json(&shared.hub.lines(shared.hub.now())), "application/json"))
        }
        "_/refused" => Some(Content::made(b"noted\n".to_vec(), "text/plain; charset=utf-8")),
        "_/up" => Some(Content::made(b"welcome\n".to_vec(), "text/plain; charset=utf-8")),
        _ => None,
    }
}

/// Who asks, and under which host.
struct Asker<'a> {
    machine: &'a MachineName,
    peer: std::net::IpAddr,
    host: &'a str,
    /// Whether `host` is this server.
    known: bool,
}

/// The thing at a checked path, or why it is not told.
async fn find(shared: &ServerState, path: &str, asker: &Asker<'_>) -> Result<Content, StatusCode> {
    let role = target::role(path);
    if !asker.known && target::is_private(path) {
        return Err(StatusCode::MISDIRECTED_REQUEST);
    }
    if let Some(content) = own(shared, path) {
        return Ok(content);
    }
    let media_type = target::media_type(path);
    let made = shared.config.overrides.get(path).cloned();
    let names = || target::machine_names(asker.machine, asker.peer);
    match role {
        FileRole::Script => return boot_script(shared, path, asker, made),
        FileRole::CloudConfig => {
            if let Some(text) = made.or_else(|| shared.tree.machine_text(&names(), "yml")) {
                return Ok(Content::made(text, media_type));
            }
        }
        _ => {
            if let Some(bytes) = made {
                return Ok(Content::made(bytes, media_type));
            }
        }
    }
    if path == SCRIPT_SIGNATURE
        && let Some(signature) = script_signature(shared, asker)?
    {
        return Ok(Content::made(signature, media_type));
    }
    let beside = || shared.config.files.get(path).and_then(|file| shared.tree.open(file.clone()));
    let entry = shared.tree.find(path).or_else(beside).ok_or(StatusCode::NOT_FOUND)?;
    if !asker.known && shared.tree.is_one_of(&entry, target::PRIVATE) {
        return Err(StatusCode::MISDIRECTED_REQUEST);
    }
    let etag = entry.etag().await.map_err(|_| StatusCode::NOT_FOUND)?;
    let source = BodySource::File(Arc::clone(&entry.file));
    Ok(Content { source, len: entry.len, etag, modified: entry.modified, media_type })
}

/// One script under two names, in whichever form the tree has it; a machine's own comes first.
fn boot_script(
    shared: &ServerState,
    path: &str,
    asker: &Asker<'_>,
    made: Option<Vec<u8>>,
) -> Result<Content, StatusCode> {
    let either = || ["boot.html", "boot.ipxe"].into_iter();
    let made = made.or_else(|| either().find_map(|n| shared.config.overrides.get(n).cloned()));
    let text = if let Some(text) = made {
        text
    } else if let Some(text) =
        shared.tree.machine_text(&target::machine_names(asker.machine, asker.peer), "ipxe")
    {
        if !asker.known {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
        text
    } else {
        let found = shared.tree.text(path).or_else(|| either().find_map(|n| shared.tree.text(n)));
        found.ok_or(StatusCode::NOT_FOUND)?
    };
    Ok(Content::made(for_host(shared, text, asker)?, target::media_type(path)))
}

/// The script for one requester. A signed tree is left as it is, unless the change can be signed.
fn for_host(shared: &ServerState, text: Vec<u8>, asker: &Asker<'_>) -> Result<Vec<u8>, StatusCode> {
    if shared.config.signer.is_none() && shared.tree.find(SCRIPT_SIGNATURE).is_some() {
        return Ok(text);
    }
    let text = String::from_utf8(text).map_err(|_| StatusCode::NOT_FOUND)?;
    Ok(script::for_host(&text, scheme(shared), asker.host).into_bytes())
}

/// How this server is spoken to.
fn scheme(shared: &ServerState) -> &'static str {
    if shared.config.tls.is_some() { "https" } else { "http" }
}

/// The signature over the script that `asker` gets: made here with the key, or lying beside a machine's own script;
/// `None` for that of the tree.
fn script_signature(shared: &ServerState, asker: &Asker<'_>) -> Result<Option<Vec<u8>>, StatusCode> {
    if let Some(signer) = &shared.config.signer {
        let BodySource::Bytes(script) = boot_script(shared, "boot.ipxe", asker, None)?.source else {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        };
        return signer.sign(&script).map(Some).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR);
    }
    let names = target::machine_names(asker.machine, asker.peer);
    match shared.tree.machine_text(&names, "ipxe") {
        // iPXE would check the tree's signature against the machine's script, and blame the wrong file.
        Some(_) => shared.tree.machine_text(&names, "ipxe.sig").map(Some).ok_or(StatusCode::NOT_FOUND),
        None => Ok(None),
    }
}

fn head_of(content: &Content, headers: &HeaderMap, get: bool) -> AnswerHead {
    let asked = range::RangeHeaders {
        range: field(headers, &header::RANGE).filter(|_| get),
        if_range: field(headers, &header::IF_RANGE),
        if_match: field(headers, &header::IF_MATCH),
        if_none_match: field(headers, &header::IF_NONE_MATCH),
        if_modified_since: field(headers, &header::IF_MODIFIED_SINCE),
        if_unmodified_since: field(headers, &header::IF_UNMODIFIED_SINCE),
    };
    let current = Current { etag: &content.etag, modified: content.modified, len: content.len };
    let (status, part) = match range::decide(&asked, &current) {
        RangeAnswer::Whole => (StatusCode::OK, 0..content.len),
        RangeAnswer::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        RangeAnswer::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
        RangeAnswer::Failed => (StatusCode::PRECONDITION_FAILED, 0..0),
        RangeAnswer::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
    };
    let mut head = AnswerHead::new(status);
    (head.start, head.len, head.size) = (part.start, part.end - part.start, content.len);
    head.set(header::ETAG, &content.etag);
    // Ask again before using a copy: a rebuild changes files in place.
    head.set(header::CACHE_CONTROL, "no-cache");
    if let Some(modified) = content.modified {
        head.set(header::LAST_MODIFIED, httpdate::fmt_http_date(modified));
    }
    match status {
        StatusCode::NOT_MODIFIED => return head,
        StatusCode::PARTIAL_CONTENT => {
            let (first, last) = (part.start, part.end - 1);
            head.set(header::CONTENT_RANGE, format!("bytes {first}-{last}/{}", content.len));
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            head.set(header::CONTENT_RANGE, format!("bytes */{}", content.len));
        }
        _ => {}
    }
    head.set(header::ACCEPT_RANGES, "bytes");
    head.set(header::CONTENT_TYPE, content.media_type);
    head.set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    head.set(header::CONTENT_SECURITY_POLICY, page::POLICY);
    head.set(header::CONTENT_LENGTH, head.len.to_string());
    head
}

fn refusal(status: StatusCode) -> (AnswerHead, BodySource) {
    let mut text = format!("{status}\n");
    if status == StatusCode::MISDIRECTED_REQUEST {
        text += "this server does not know itself by that name; start it with --host NAME if it is right\n";
    }
    let mut head = AnswerHead::new(status);
    head.len = text.len() as u64;
    head.size = head.len;
    head.set(header::CONTENT_TYPE, "text/plain; charset=utf-8");
    head.set(header::CONTENT_LENGTH, head.len.to_string());
    if status == StatusCode::METHOD_NOT_ALLOWED {
        head.set(header::ALLOW, "GET, HEAD");
    }
    (head, BodySource::Bytes(Bytes::from(text)))
}

/// The host that a request is for (RFC 9112, 3.2): its `Host` field, which stands there once and agrees with an address
/// in the request line. HTTP/1.0 knew none. `None` when it must be refused: somebody between us may read it otherwise.
fn asked_host<B>(request: &Request<B>) -> Option<Option<&str>> {
    let mut fields = request.headers().get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(field), None) => Some(field.to_str().ok()?),
        (None, _) if request.version() < Version::HTTP_11 => None,
        _ => return None,
    };
    let agrees = |a: &Authority| field.is_none_or(|field| field.eq_ignore_ascii_case(a.as_str()));
    match request.uri().authority() {
        Some(authority) => agrees(authority).then_some(Some(authority.as_str())),
        None => Some(field),
    }
}

/// The first field of a name, when it is plain text.
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
