//! The address under which a netboot tree is served.

use std::fmt;

/// `http://host[:port][/folder]`, without a final slash: iPXE reads it without quoting, so it holds no character
/// that iPXE would split or expand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// A name or an IPv4 address.
    pub host: String,
    /// The port; default: 80.
    pub port: u16,
    path: String,
    https: bool,
}

impl Default for BaseUrl {
    fn default() -> Self {
        Self { host: "192.168.56.1".to_owned(), port: 8089, path: String::new(), https: false }
    }
}

impl BaseUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (https, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err("must begin with http:// or https://".to_owned()),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/' | '~');
        if let Some(c) = rest.chars().find(|c| !plain(*c)) {
            return Err(format!("iPXE could not read the character {c:?}"));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| format!("`{port}` is not a valid port"))?),
            None => (authority, if https { 443 } else { 80 }),
        };
        if host.is_empty() || port == 0 {
            return Err("must name a host and a port".to_owned());
        }
        let path = path.trim_end_matches('/');
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { host: host.to_owned(), port, path, https })
    }

    /// The folder on the server: empty, or beginning with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port != usual {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was() {
        for url in
            ["http://192.168.56.1:8089", "http://boot", "https://boot.example/media", "http://a:81/b/c"]
        {
            assert_eq!(BaseUrl::parse(url).unwrap().to_string(), url);
        }
        assert_eq!(BaseUrl::parse("http://a/").unwrap().to_string(), "http://a");
    }

    #[test]
    fn what_ipxe_would_misread_is_refused() {
        for url in
            ["ftp://a", "http://", "http://a b", "http://${x}", "http://a:0", "http://a:99999", "http://a,b"]
        {
            assert!(BaseUrl::parse(url).is_err(), "{url}");
        }
    }
}
