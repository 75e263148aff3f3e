//! Addresses as people and logs may see them.

/// `url` without what may be a credential: the part in front of the host, and the values behind the path. A path of
/// this machine stays as it is.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match path.find(['?', '#']) {
        Some(at) => format!("{scheme}://{host}{}?…", &path[..at]),
        None => format!("{scheme}://{host}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_loses_its_credentials_and_nothing_else() {
        for (url, shown) in [
            ("https://h/a/b.iso", "https://h/a/b.iso"),
            ("https://u:p@h:8/a@b", "https://h:8/a@b"),
            ("https://u:p@x@h/a", "https://h/a"),
            ("https://h/a?token=s#f", "https://h/a?…"),
            ("https://u:p@h?k=s", "https://h?…"),
            ("ssh://git@h/r", "ssh://h/r"),
            ("/srv/a@b?c", "/srv/a@b?c"),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }
}
