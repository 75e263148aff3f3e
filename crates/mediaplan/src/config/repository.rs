//! Where git may fetch from.

/// The transports that git is allowed; others, such as `ext::`, run programs.
pub const TRANSPORTS: &[&str] = &["https", "http", "ssh", "git", "file"];

/// Checks an address or a path before git gets it.
///
/// # Errors
/// What is wrong with it.
pub fn check(text: &str) -> Result<(), String> {
    if text.is_empty() || text.chars().any(failure::is_control) {
        return Err("is not an address or a path".to_owned());
    }
    if text.starts_with('-') {
        return Err("begins with `-`: git would take it for an option".to_owned());
    }
    match text.split_once("://") {
        Some((scheme, rest)) if TRANSPORTS.contains(&scheme) => {
            let authority = rest.split('/').next().unwrap_or_default();
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            if authority.starts_with('-') || host.starts_with('-') {
                return Err("names a host that begins with `-`: ssh would take it for an option".to_owned());
            }
            Ok(())
        }
        Some(_) => Err(format!("has none of the transports {}", TRANSPORTS.join(", "))),
        // `ext::sh -c …` and every other `git-remote-*`; and `host:path`, which is ssh.
        None if text.split('/').next().is_some_and(|first| first.contains(':')) => {
            Err(format!("has none of the transports {}", TRANSPORTS.join(", ")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_would_run_something_are_refused() {
        for text in [
            "https://github.com/ipxe/ipxe",
            "git://git.ipxe.org/ipxe.git",
            "ssh://git@host/x",
            "file:///srv/ipxe",
            "/srv/ipxe",
            "../ipxe",
            "clone:here/below".strip_prefix("clone:").unwrap(),
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "--upload-pack=touch X ://",
            "-x",
            "ext::sh -c touch% X",
            "ext::sh -c 'touch X' ://",
            "fd::17/x",
            "ssh://-oProxyCommand=touch X/y",
            "ssh://user@-oProxyCommand=x/y",
            "host:path",
            "ftp://host/x",
            "https://a\nb",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
