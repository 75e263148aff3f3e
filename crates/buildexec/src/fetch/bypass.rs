//! Hosts that are asked without a proxy, as people write them in `no_proxy`.

use std::net::IpAddr;

use ureq::http::Uri;

/// Names with their subdomains, addresses, networks (`10.0.0.0/8`), `192.168.*`, each with a port or for all of them;
/// `*` is every host. Commas or blanks stand between them: curl, wget and Go's programs each read a part of that.
#[derive(Clone, Debug, Default)]
pub(super) struct Bypass(Vec<String>);

impl Bypass {
    pub(super) fn new(list: &str) -> Self {
        let entries = list.split([',', ' ', '\t', '\n']).filter(|entry| !entry.is_empty());
        Self(entries.map(str::to_ascii_lowercase).collect())
    }

    /// Whether the host of `uri` is one of them.
    pub(super) fn covers(&self, uri: &Uri) -> bool {
        let Some(host) = uri.host() else { return false };
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        self.0.iter().any(|entry| is_host(entry, &host, port))
    }
}

fn is_host(entry: &str, host: &str, port: u16) -> bool {
    let (name, of_port) = match entry.rsplit_once(':') {
        // IPv6 has colons itself; brackets set it apart from a port.
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => (name, Some(digits)),
        _ => (entry, None),
    };
    if of_port.is_some_and(|digits| digits.parse() != Ok(port)) {
        return false;
    }
    let name = name.trim_matches(['[', ']']);
    if let Some(front) = name.strip_suffix('*') {
        return host.starts_with(front);
    }
    if let Ok(address) = host.parse() {
        return in_network(name, address);
    }
    let name = name.trim_start_matches('*').trim_matches('.');
    !name.is_empty() && host.strip_suffix(name).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// Whether `address` is in `network`: an address alone, or with the number of leading bits that count.
fn in_network(network: &str, address: IpAddr) -> bool {
    let (base, digits) = network.split_once('/').map_or((network, None), |(base, bits)| (base, Some(bits)));
    let (a, b, width) = match (base.parse(), address) {
        (Ok(IpAddr::V4(base)), IpAddr::V4(address)) => (base.to_bits().into(), address.to_bits().into(), 32),
        (Ok(IpAddr::V6(base)), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let bits = digits.map_or(Ok(width), str::parse::<u32>);
    let differing: u128 = a ^ b;
    bits.is_ok_and(|bits| bits <= width && differing.checked_shr(width - bits).unwrap_or(0) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_host_is_read() {
        for (list, url, is) in [
            ("*", "http://a/", true),
            ("", "http://a/", false),
            ("localhost, .example.org,*.example.net", "http://LOCALHOST/", true),
            ("localhost, .example.org,*.example.net", "http://example.org/", true),
            ("localhost, .example.org,*.example.net", "http://a.b.example.net./", true),
            ("example.org", "http://notexample.org/", false),
            ("Example.ORG.", "https://www.example.org/", true),
            ("a b", "http://b/", true),
            ("a:81", "http://a/", false),
            ("a:80", "http://a/", true),
            ("a:443", "https://a/", true),
            ("a:https", "https://a/", false),
            ("10.0.0.0/8", "http://10.255.0.1:8080/", true),
            ("10.0.0.0/8", "http://11.0.0.1/", false),
            ("10.0.0.0/33", "http://10.0.0.0/", false),
            ("0.0.0.0/0", "http://1.2.3.4/", true),
            ("0.0.0.0/0", "http://[::1]/", false),
            ("10.0.0.0/8", "http://10.example.org/", false),
            ("192.168.*", "http://192.168.7.1/", true),
            ("192.168.1.1", "http://192.168.1.10/", false),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/", true),
            ("[::1]", "http://[::1]:8080/", true),
            ("::1", "http://[::1]/", true),
            ("[::1]:81", "http://[::1]/", false),
            ("fd00::/8", "http://[fd12::1]/", true),
            ("::/0", "http://[fd12::1]/", true),
        ] {
            assert_eq!(Bypass::new(list).covers(&url.parse().unwrap()), is, "{list} {url}");
        }
    }
}
