//! One request and its answer: which bytes of the file the answer holds.

use std::time::{Duration, SystemTime};

use ureq::{Body, http::Response, unversioned::resolver::DefaultResolver};

use super::{RetryPolicy, proxy::Proxies};

/// An answer whose body goes on where the file ends, or begins it.
pub(super) struct HttpResponse {
    /// Where its body begins in the file.
    pub(super) start: u64,
    /// How long the whole file is, where the server says so.
    pub(super) total: Option<u64>,
    /// What to name the file by when more of it is asked for.
    pub(super) validator: Option<String>,
    /// Whether it is a page for browsers.
    pub(super) is_page: bool,
    /// The bytes.
    pub(super) body: Body,
}

impl HttpResponse {
    fn new(start: u64, total: Option<u64>, response: Response<Body>) -> Self {
        let is_page = header(&response, "content-type").is_some_and(|kind| kind.starts_with("text/html"));
        Self { start, total, validator: named(&response), is_page, body: response.into_body() }
    }
}

/// Why there is no answer to read.
pub(super) enum HttpFailure {
    /// The beginning that we have is of no use here.
    FromZero,
    /// The server wants to be asked later.
    Later(u16, Option<Duration>),
    /// Anything else.
    Error(ureq::Error),
}

/// The client: system certificates (a company's own among them), no transparent decompression, a limit on
/// silence rather than on the whole time. An `https` address that leads on to `http` is refused where `secure`.
pub(super) fn agent(policy: &RetryPolicy, secure: bool, proxies: &Proxies) -> ureq::Agent {
    let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .https_only(secure)
        .http_status_as_error(false)
        .input_buffer_size(crate::hash::PIECE)
        // Behind a 103 the whole buffer is measured, body and all; for how long heads may come, a timeout says.
        .max_response_header_size(crate::hash::PIECE)
        .timeout_connect(Some(policy.stall.min(Duration::from_secs(20))))
        .timeout_recv_response(Some(policy.stall))
        .timeout_per_read(Some(policy.stall))
        .proxy(proxies.tunnel())
        .user_agent(concat!("xtask/", env!("CARGO_PKG_VERSION")));
    ureq::Agent::with_parts(config.build(), proxies.connector(policy), DefaultResolver::default())
}

/// What is asked for.
pub(super) struct HttpRequest<'a> {
    /// The first byte.
    pub(super) from: u64,
    /// The file, as the server named it: if it is another one now, all of it is wanted.
    pub(super) validator: Option<&'a str>,
    /// Whether a part that does not say which it is may be taken for the one asked for: a digest tells in the end.
    pub(super) believe: bool,
}

/// Asks for a file, or the rest of it.
pub(super) fn ask(
    agent: &ureq::Agent,
    url: &str,
    ask: &HttpRequest<'_>,
) -> Result<HttpResponse, HttpFailure> {
    let from = ask.from;
    let mut request = agent.get(url);
    if from > 0 {
        request = request.header("Range", format!("bytes={from}-"));
        if let Some(validator) = ask.validator {
            request = request.header("If-Range", validator);
        }
    }
    let response = request.call().map_err(HttpFailure::Error)?;
    match response.status().as_u16() {
        200 => {
            let total = response.body().content_length();
            Ok(HttpResponse::new(0, total, response))
        }
        206 => {
            let multipart = header(&response, "content-type")
                .is_some_and(|t| t.to_ascii_lowercase().starts_with("multipart"));
            let range = match header(&response, "content-range") {
                Some(text) => content_range(text),
                None => (ask.believe && from > 0 && !multipart).then_some((from, None)),
            };
            match range {
                Some((start, total)) if start == from => Ok(HttpResponse::new(start, total, response)),
                _ => Err(HttpFailure::FromZero),
            }
        }
        // What we have is not a beginning of this file.
        416 if from > 0 => Err(HttpFailure::FromZero),
        code @ (408 | 429 | 500 | 502 | 503 | 504) => {
            let wait = header(&response, "retry-after").and_then(|text| retry_after(text, SystemTime::now()));
            Err(HttpFailure::Later(code, wait))
        }
        code => Err(HttpFailure::Error(ureq::Error::StatusCode(code))),
    }
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// A strong `ETag`, or a date: what RFC 9110, 13.1.5 lets stand in `If-Range`. A date is strong enough when it is a
/// minute older than the answer.
fn named(response: &Response<Body>) -> Option<String> {
    let etag = header(response, "etag").filter(|tag| tag.starts_with('"'));
    let date = || {
        let text = header(response, "last-modified")?;
        let (modified, now) = (time(text)?, time(header(response, "date")?)?);
        (modified + Duration::from_secs(60) <= now).then_some(text)
    };
    etag.or_else(date).map(str::to_owned)
}

fn time(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

/// First byte and whole length out of `bytes FIRST-LAST/WHOLE`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, whole) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let whole = match whole.trim() {
        "*" => None,
        digits => Some(digits.parse().ok()?),
    };
    (first <= last && whole.is_none_or(|whole| last < whole)).then_some((first, whole))
}

/// Seconds or a date (RFC 9110, 10.2.3).
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    seconds.or_else(|| Some(time(text.trim())?.duration_since(now).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_or_refused() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for wrong in
            ["", "bytes */10", "bytes 9-5/10", "bytes 5-10/10", "bytes 5-/10", "items 5-9/10", "bytes 5-9"]
        {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn when_to_come_back_is_said_in_seconds_or_as_a_date() {
        let now = time("Fri, 31 Dec 1999 23:59:00 GMT").unwrap();
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT", now), Some(Duration::from_secs(59)));
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
