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
        Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, RustlsConnector, TcpConnector,
        Transport,
    },
};

use super::{RetryPolicy, bypass::Bypass, pace::Paced};
use crate::ctx::Env;

/// The proxies that downloads go through.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    bypass: Bypass,
}

impl Proxies {
    /// Reads the environment.
    ///
    /// # Errors
    /// What is wrong with a variable. A proxy that cannot be used is never left out in silence.
    pub(super) fn of(env: &Env) -> Result<Self, String> {
        let bypass = Bypass::new(either(env, "no_proxy").map(|(_, hosts)| hosts).unwrap_or_default());
        let proxy = |scheme: &str, usable: &[ProxyProtocol]| {
            let found = either(env, &format!("{scheme}_proxy")).or_else(|| either(env, "all_proxy"));
            let Some((name, address)) = found else { return Ok(None) };
            let proxy = Proxy::new(address)
                .ok()
                .filter(|_| has_port_or_none(address))
                .ok_or_else(|| format!("the variable {name} is not the address of a proxy"))?;
            if !usable.contains(&proxy.protocol()) {
                let kind = address.split_once("://").map_or("", |(kind, _)| kind);
                return Err(format!("{name} names a proxy that {scheme}:// downloads cannot use: {kind}://"));
            }
            Ok(Some(proxy))
        };
        let http = proxy("http", &[ProxyProtocol::Http])?;
        let https = proxy("https", &[ProxyProtocol::Http, ProxyProtocol::Https])?;
        Ok(Self { http, https, bypass })
    }

    fn of_uri(&self, uri: &Uri) -> Option<&Proxy> {
        let proxy = if uri.scheme_str() == Some("http") { &self.http } else { &self.https };
        proxy.as_ref().filter(|_| !self.bypass.covers(uri))
    }

    /// What ureq itself is to use.
    pub(super) fn tunnel(&self) -> Option<Proxy> {
        self.https.clone()
    }

    /// The proxy that `url` goes through, without name and password.
    pub(super) fn of_url(&self, url: &str) -> Option<String> {
        let proxy = self.of_uri(&url.parse().ok()?)?;
        Some(format!("{}:{}", proxy.host(), proxy.port()))
    }

    /// Connects to the proxy or to the server itself.
    pub(super) fn connector(&self, policy: &RetryPolicy) -> impl Connector {
        let (proxies, policy) = (self.clone(), policy.clone());
        ProxyConnector { proxies, policy, tls: RustlsConnector::default(), tunnel: DefaultConnector::new() }
    }
}

/// Whether what follows the host is a port; the parser takes anything else for the scheme's own.
fn has_port_or_none(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    behind.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|port| port != 0))
}

/// A variable in small or in capital letters, and its name. An empty one counts as unset.
fn either<'e>(env: &'e Env, name: &str) -> Option<(String, &'e str)> {
    let names = [name.to_owned(), name.to_ascii_uppercase()];
    names.into_iter().find_map(|name| {
        let value = env.get(&name).filter(|value| !value.is_empty())?;
        Some((name, value))
    })
}

/// Leaves tunnels to ureq. Everything else, it connects to the proxy or the server itself.
#[derive(Debug)]
struct ProxyConnector {
    proxies: Proxies,
    policy: RetryPolicy,
    tls: RustlsConnector,
    tunnel: DefaultConnector,
}

impl Connector for ProxyConnector {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        let is_plain = details.uri.scheme_str() == Some("http");
        let proxy = self.proxies.of_uri(details.uri);
        if proxy.is_some() && !is_plain {
            let tunnel = self.tunnel.connect(details, None)?;
            return Ok(tunnel.map(|tunnel| Paced::new(tunnel, &self.policy).boxed()));
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
        let tcp = Paced::new(tcp, &self.policy);
        Ok(match proxy {
            Some(proxy) => {
                let (origin, login) = (origin(details.uri), login(proxy));
                Some(Box::new(Absolute { inner: tcp.boxed(), origin, login }))
            }
            None => self.tls.connect(&direct, Some(tcp))?.map(Transport::boxed),
        })
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

/// Rewrites each request's first line. Requests here have no body, so one transmission is one request.
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
        assert_eq!(proxies(&[("http_proxy", ""), ("HTTP_PROXY", "http://a:4")]).http.unwrap().port(), 4);
        assert!(proxies(&[("all_proxy", "")]).https.is_none());
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_that_names_its_variable() {
        let refused = |name: &str, address: &str| Proxies::of(&Env::of(&[(name, address)])).unwrap_err();
        for address in
            ["http://a b", "http://a:x", "http://me:secret@a:99999", "a:", "http://[::1]:0/", "http://a:1x/"]
        {
            let said = refused("HTTPS_PROXY", address);
            assert_eq!(said, "the variable HTTPS_PROXY is not the address of a proxy", "{address}");
        }
        for address in ["http://a", "a:1", "http://me:secret@a", "http://[::1]", "http://[::1]:8080/"] {
            assert!(Proxies::of(&Env::of(&[("https_proxy", address)])).is_ok(), "{address}");
        }
        for (name, address, kind) in [
            ("http_proxy", "socks5://a:1", "socks5"),
            ("https_proxy", "socks4a://a:1", "socks4a"),
            ("ALL_PROXY", "socks5://me:secret@a:1", "socks5"),
            ("http_proxy", "https://a:1", "https"),
        ] {
            let said = refused(name, address);
            assert!(said.contains(name) && said.ends_with(&format!(": {kind}://")), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
        assert!(Proxies::of(&Env::of(&[("https_proxy", "https://a:1")])).is_ok());
    }

    #[test]
    fn a_host_in_no_proxy_is_asked_directly_by_either_scheme() {
        let found = proxies(&[("all_proxy", "http://a:1"), ("NO_PROXY", "example.org 10.0.0.0/8")]);
        for (url, proxy) in [
            ("http://example.org/", None),
            ("https://www.example.org/", None),
            ("https://10.1.2.3/", None),
            ("https://example.com/", Some("a:1")),
            ("http://11.1.2.3/", Some("a:1")),
        ] {
            assert_eq!(found.of_url(url).as_deref(), proxy, "{url}");
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
