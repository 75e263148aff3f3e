//! Proxies of the environment, as curl reads them: `https_proxy` for `https://`, `http_proxy` for `http://`,
//! `all_proxy` for both, `no_proxy` for hosts that are asked directly; small letters win.
//!
//! `https://` goes through a tunnel, which ureq makes. A plain `http://` address is asked of the proxy in absolute form
//! (RFC 9112, 3.2.2): many proxies allow tunnels to port 443 alone, and ureq knows only tunnels.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ureq::{
    Error, Proxy, ProxyProtocol,
    http::Uri,
    unversioned::transport::{
        Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, TcpConnector, Transport,
    },
};

use crate::ctx::Env;

/// The proxies that downloads go through.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
}

impl Proxies {
    /// Reads the environment.
    ///
    /// # Errors
    /// The name of a variable whose value is not the address of a proxy.
    pub(super) fn of(env: &Env) -> Result<Self, String> {
        let bypassed = either(env, "no_proxy").map(|(_, hosts)| hosts).unwrap_or_default();
        let proxy = |scheme: &str| {
            let found = either(env, &format!("{scheme}_proxy")).or_else(|| either(env, "all_proxy"));
            let Some((name, address)) = found else { return Ok(None) };
            with_bypass(address, bypassed).map(Some).map_err(|_| name)
        };
        Ok(Self { http: proxy("http")?, https: proxy("https")? })
    }

    /// What ureq itself is to use.
    pub(super) fn tunnel(&self) -> Option<Proxy> {
        self.https.clone()
    }

    /// The proxy that `url` goes through, without name and password.
    pub(super) fn of_url(&self, url: &str) -> Option<String> {
        let url: Uri = url.parse().ok()?;
        let proxy = if url.scheme_str() == Some("http") { &self.http } else { &self.https };
        let proxy = proxy.as_ref().filter(|p| !p.is_no_proxy(&url))?;
        Some(format!("{}:{}", proxy.host(), proxy.port()))
    }

    /// Connects plain addresses.
    pub(super) fn connector(&self) -> impl Connector {
        PlainConnector { proxy: self.http.clone(), other: DefaultConnector::new() }
    }
}

/// A variable in small or in capital letters, and its name.
fn either<'e>(env: &'e Env, name: &str) -> Option<(String, &'e str)> {
    let capital = name.to_ascii_uppercase();
    let value = env.get(name).map(|v| (name.to_owned(), v));
    value.or_else(|| env.get(&capital).map(|v| (capital, v)))
}

/// `example.org` in `no_proxy` means its subdomains too, and white space around a name means nothing.
fn with_bypass(address: &str, bypassed: &str) -> Result<Proxy, Error> {
    let given = Proxy::new(address)?;
    let mut builder = Proxy::builder(given.protocol()).host(given.host()).port(given.port());
    if let Some(name) = given.username() {
        builder = builder.username(name);
    }
    if let Some(password) = given.password() {
        builder = builder.password(password);
    }
    for host in bypassed.split(',').map(str::trim).filter(|h| !h.is_empty()) {
        let bare = host.trim_start_matches("*.").trim_start_matches('.');
        builder = builder.no_proxy(host).no_proxy(bare).no_proxy(&format!(".{bare}"));
    }
    builder.build()
}

/// Connects `http://` to the proxy or the server itself, and leaves everything else to ureq.
#[derive(Debug)]
struct PlainConnector {
    proxy: Option<Proxy>,
    other: DefaultConnector,
}

impl Connector for PlainConnector {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        if details.uri.scheme_str() != Some("http") {
            return self.other.connect(details, None);
        }
        let proxy = self.proxy.as_ref().filter(|p| !p.is_no_proxy(details.uri));
        if proxy.is_some_and(|p| !matches!(p.protocol(), ProxyProtocol::Http)) {
            return self.other.connect(details, None);
        }
        let peer = proxy.map_or(details.uri, Proxy::uri);
        let direct = ConnectionDetails {
            uri: peer,
            addrs: details.resolver.resolve(peer, details.config, details.timeout)?,
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let Some(tcp) = Connector::<()>::connect(&TcpConnector::default(), &direct, None)? else {
            return Ok(None);
        };
        Ok(Some(match proxy {
            Some(proxy) => {
                Box::new(Absolute { inner: tcp.boxed(), origin: origin(details.uri), login: login(proxy) })
            }
            None => tcp.boxed(),
        }))
    }
}

fn origin(uri: &Uri) -> String {
    format!("http://{}", uri.authority().map_or("", |a| a.as_str()))
}

/// The header that carries the name and password in the proxy's address.
fn login(proxy: &Proxy) -> String {
    let Some(name) = proxy.username() else { return String::new() };
    let both = format!("{name}:{}", proxy.password().unwrap_or(""));
    format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(both))
}

/// Writes each request's first line anew. Requests here have no body, so one transmission is one request.
#[derive(Debug)]
struct Absolute {
    inner: Box<dyn Transport>,
    origin: String,
    login: String,
}

impl Transport for Absolute {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = self.inner.buffers().output();
        let asked = absolute(&output[..amount], &self.origin, &self.login);
        let room = output.get_mut(..asked.len()).ok_or(Error::LargeResponseHeader(asked.len(), amount))?;
        room.copy_from_slice(&asked);
        self.inner.transmit_output(asked.len(), timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

/// `GET /path HTTP/1.1` becomes `GET http://host/path HTTP/1.1`, with the login behind it.
fn absolute(request: &[u8], origin: &str, login: &str) -> Vec<u8> {
    let path = request.iter().position(|b| *b == b' ').map(|at| at + 1);
    let end = request.windows(2).position(|w| w == b"\r\n").map(|at| at + 2);
    let (Some(path), Some(end)) = (path, end) else { return request.to_vec() };
    [&request[..path], origin.as_bytes(), &request[path..end], login.as_bytes(), &request[end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(pairs: &[(&str, &str)]) -> Proxies {
        Proxies::of(&Env::of(pairs)).unwrap()
    }

    #[test]
    fn each_scheme_has_its_variable_and_small_letters_win() {
        let found = proxies(&[
            ("HTTP_PROXY", "http://a:1"),
            ("http_proxy", "http://b:2"),
            ("all_proxy", "http://c:3"),
        ]);
        assert_eq!(found.http.unwrap().port(), 2);
        assert_eq!(found.https.unwrap().port(), 3);
        assert!(proxies(&[("https_proxy", "http://a:1")]).http.is_none());
        assert_eq!(Proxies::of(&Env::of(&[("HTTPS_PROXY", "http://a b")])).unwrap_err(), "HTTPS_PROXY");
    }

    #[test]
    fn a_host_in_no_proxy_stands_for_its_subdomains() {
        let found =
            proxies(&[("http_proxy", "http://a:1"), ("no_proxy", "localhost, .example.org,*.example.net")]);
        let proxy = found.http.unwrap();
        for (host, direct) in [
            ("localhost", true),
            ("example.org", true),
            ("a.example.org", true),
            ("a.b.example.net", true),
            ("notexample.org", false),
            ("example.com", false),
        ] {
            assert_eq!(proxy.is_no_proxy(&format!("http://{host}/").parse().unwrap()), direct, "{host}");
        }
    }

    #[test]
    fn a_request_is_made_absolute_and_carries_the_login() {
        let proxy = Proxy::new("http://me:a%3Ab@p:1").unwrap();
        let asked = absolute(b"GET /k?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", "http://h:8", &login(&proxy));
        let asked = String::from_utf8(asked).unwrap();
        let login = STANDARD.encode("me:a:b");
        assert_eq!(
            asked,
            format!("GET http://h:8/k?x=1 HTTP/1.1\r\nProxy-Authorization: Basic {login}\r\nHost: h\r\n\r\n")
        );
    }
}
