//! Package URLs, by which tools that look for known flaws name a package.

/// The URL of a Debian package (<https://github.com/package-url/purl-spec>, type `deb`).
#[must_use]
pub fn deb(distribution: &str, name: &str, version: &str) -> String {
    format!("pkg:deb/{distribution}/{name}@{version}?arch=amd64").replace('+', "%2B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_is_escaped_and_an_epoch_is_not() {
        assert_eq!(
            deb("debian", "libstdc++6", "1:2~3+b4"),
            "pkg:deb/debian/libstdc%2B%2B6@1:2~3%2Bb4?arch=amd64"
        );
    }
}
