//! `[distribution]`: whose packages media are made of, whatever runs on the build machine.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A distribution, its archives and the keys that sign them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Distribution {
    /// Its id, as package URLs have it: `debian`.
    pub id: String,
    /// Its release, for people: `13`.
    pub release: String,
    /// Fingerprints of primary keys, 40 hex digits each; one of them must have signed each suite.
    pub keys: Vec<String>,
    /// The file that gpgv reads those keys from. What is trusted does not depend on it: [`Self::keys`] does.
    #[serde(default = "debian_keyring")]
    pub keyring: String,
    /// Its archives, by name.
    #[serde(rename = "archive")]
    pub archives: BTreeMap<String, Archive>,
}

/// `[distribution.archive.NAME]`: suites that share a pool of packages.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    /// The suites whose indices are read; of several versions the highest is taken.
    pub suites: Vec<String>,
    /// The components whose indices are read: Ubuntu has Docker in `universe`.
    #[serde(default = "main_component")]
    pub components: Vec<String>,
    /// Addresses, tried in order; `{time}` is the time at which a package was recorded. Those with `{time}` keep every
    /// version and are not asked for indices.
    pub mirrors: Vec<String>,
}

fn debian_keyring() -> String {
    crate::stage::needs::KEYRING.to_owned()
}

fn main_component() -> Vec<String> {
    vec!["main".to_owned()]
}

/// Where a mirror wants the time of a snapshot.
const TIME: &str = "{time}";

impl Distribution {
    /// What is wrong with the values.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let hex = |k: &&String| k.len() == 40 && k.bytes().all(|b| b.is_ascii_hexdigit());
        if self.keys.is_empty() {
            wrong.push("distribution.keys is empty".to_owned());
        }
        for key in self.keys.iter().filter(|k| !hex(k)) {
            wrong.push(format!("distribution.keys: `{key}` is not 40 hex digits"));
        }
        if !self.keyring.starts_with('/') {
            wrong.push(format!("distribution.keyring: `{}` is not an absolute path", self.keyring));
        }
        for (name, archive) in &self.archives {
            if archive.live().next().is_none() {
                wrong.push(format!("distribution.archive.{name}: no mirror without {TIME}"));
            }
            let http = |m: &&String| m.starts_with("http://") || m.starts_with("https://");
            for mirror in archive.mirrors.iter().filter(|m| !http(m)) {
                wrong
                    .push(format!("distribution.archive.{name}: `{mirror}` is not an http or https address"));
            }
            for suite in archive.suites.iter().filter(|s| !super::is_name(s)) {
                wrong.push(format!("distribution.archive.{name}: `{suite}` is not a valid suite"));
            }
            for component in archive.components.iter().filter(|c| !super::is_name(c)) {
                wrong.push(format!("distribution.archive.{name}: `{component}` is not a valid component"));
            }
        }
        wrong
    }
}

impl Archive {
    /// The mirrors that have today's indices.
    pub fn live(&self) -> impl Iterator<Item = &str> {
        self.mirrors.iter().map(String::as_str).filter(|m| !m.contains(TIME))
    }

    /// The addresses of `path`, recorded at `time`, in the order to try.
    #[must_use]
    pub fn addresses(&self, path: &str, time: &str) -> Vec<String> {
        let address = |m: &String| format!("{}/{path}", m.trim_end_matches('/').replace(TIME, time));
        self.mirrors.iter().map(address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(mirrors: &[&str]) -> Archive {
        Archive {
            suites: vec!["trixie".to_owned()],
            components: main_component(),
            mirrors: mirrors.iter().map(ToString::to_string).collect(),
        }
    }

    fn distribution(keys: &[&str], archive: Archive) -> Distribution {
        Distribution {
            id: "debian".to_owned(),
            release: "13".to_owned(),
            keys: keys.iter().map(ToString::to_string).collect(),
            keyring: debian_keyring(),
            archives: BTreeMap::from([("main".to_owned(), archive)]),
        }
    }

    #[test]
    fn a_snapshot_is_asked_for_the_time_and_for_no_index() {
        let archive = archive(&["http://a/debian/", "https://b/{time}"]);
        let addresses = archive.addresses("pool/x.deb", "20261128T000000Z");
        assert_eq!(addresses, ["http://a/debian/pool/x.deb", "https://b/20261128T000000Z/pool/x.deb"]);
        assert_eq!(archive.live().collect::<Vec<_>>(), ["http://a/debian/"]);
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        assert_eq!(distribution(&[&"0F".repeat(20)], archive(&["http://a"])).problems(), [""; 0]);
        let mut other = archive(&["ftp://a/{time}"]);
        other.suites = vec!["../x".to_owned()];
        let wrong = distribution(&["12"], other).problems();
        assert_eq!(wrong.len(), 4, "{wrong:?}");
    }
}
