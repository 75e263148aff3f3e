//! Which OS reads the line: its version, and the steps its parser takes.

use std::{fmt, str::FromStr};

/// A version of RancherOS or BurmillaOS. Both share one order: BurmillaOS went on where RancherOS ended, at
/// 1.9.0, so a number alone says which of the two is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u16,
    minor: u16,
    patch: u16,
}

impl Version {
    /// Version `major.minor.patch`.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        // A pre-release reads its line as the release does.
        let numbers = bare.split_once('-').map_or(bare, |(numbers, _)| numbers);
        let mut parts = numbers.split('.').map(str::parse::<u16>);
        let mut part = || parts.next().and_then(Result::ok);
        match (part(), part(), part(), parts.next()) {
            (Some(major), Some(minor), Some(patch), None) => Ok(Self { major, minor, patch }),
            _ => Err(format!("`{text}` is not a version such as 1.5.8")),
        }
    }
}

/// What reads the kernel's command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Os {
    /// RancherOS.
    Rancher(Version),
    /// BurmillaOS, its continuation.
    Burmilla(Version),
    /// The system of this project that runs Docker: the same parser, a schema of its own ([`crate::host`]).
    Docker,
    /// Our test guest: reads `rancher.` as RancherOS 1.5.8 does.
    Smoke,
    /// Any other kernel and initrd: nothing under `rancher.` is read.
    Linux,
}

impl Os {
    /// Whether its kernel is a distribution's, which locks itself down where Secure Boot is on.
    #[must_use]
    pub fn locks_down(self) -> bool {
        matches!(self, Self::Smoke | Self::Docker)
    }

    /// The version that decides about parser and schema; none where neither is there.
    #[must_use]
    pub(crate) fn version(self) -> Option<Version> {
        match self {
            Self::Rancher(v) | Self::Burmilla(v) => Some(v),
            Self::Smoke => Some(Version::new(1, 5, 8)),
            Self::Docker | Self::Linux => None,
        }
    }

    /// Whether the version is `major.minor.patch` or later.
    #[must_use]
    pub fn since(self, major: u16, minor: u16, patch: u16) -> bool {
        self.version().is_some_and(|v| v >= Version::new(major, minor, patch))
    }

    /// The parser's steps; none where nothing is read.
    #[must_use]
    pub fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Docker => Some(Dialect::of(Version::new(1, 5, 8))),
            _ => self.version().map(Dialect::of),
        }
    }
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rancher(v) => write!(f, "rancheros-{v}"),
            Self::Burmilla(v) => write!(f, "burmillaos-{v}"),
            Self::Docker => f.write_str("docker-1"),
            Self::Smoke => f.write_str("smoke"),
            Self::Linux => f.write_str("linux"),
        }
    }
}

/// The releases of a family that are known.
struct Family {
    id: &'static str,
    of: fn(Version) -> Os,
    first: Version,
    /// Where nothing follows.
    last: Option<Version>,
}

const FAMILIES: [Family; 2] = [
    Family {
        id: "rancheros",
        of: Os::Rancher,
        first: Version::new(0, 4, 0),
        last: Some(Version::new(1, 5, 8)),
    },
    Family { id: "burmillaos", of: Os::Burmilla, first: Version::new(1, 9, 0), last: None },
];

impl FromStr for Os {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "smoke" => return Ok(Self::Smoke),
            "linux" => return Ok(Self::Linux),
            "docker-1" => return Ok(Self::Docker),
            _ => {}
        }
        let named = FAMILIES.iter().find_map(|f| Some((f, text.strip_prefix(f.id)?.strip_prefix('-')?)));
        let Some((family, version)) = named else {
            let known = "`rancheros-1.5.8`, `burmillaos-1.9.3`, `docker-1`, `smoke` or `linux`";
            return Err(format!("unknown OS `{text}`; give {known}"));
        };
        let version: Version = version.parse()?;
        if version < family.first || family.last.is_some_and(|last| version > last) {
            return Err(format!(
                "`{text}` is not a known release (RancherOS 0.4.0-1.5.8, BurmillaOS from 1.9.0)"
            ));
        }
        Ok((family.of)(version))
    }
}

impl serde::Serialize for Os {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Os {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The steps of a parser; each came with a release and stayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// 0.4.5: values are YAML. Before: `[a,b]`, `true`, `false`, digits, else text.
    pub(crate) yaml: bool,
    /// 0.6.0: `\"` and `\'` lose their backslash all over the line.
    pub(crate) unescape: bool,
    /// 0.7.0: `:` is hidden from YAML.
    pub(crate) hides_colon: bool,
    /// 0.8.0: so is `?`, and `cc.` is read.
    pub(crate) hides_question: bool,
    /// 0.9.0: what the kernel hands to init after `--` is read as well.
    pub(crate) after_dashes: bool,
    /// 1.5.5: quotes and brackets keep blanks together.
    pub(crate) groups: bool,
}

impl Dialect {
    /// The dialect of a version.
    #[must_use]
    pub(crate) fn of(version: Version) -> Self {
        let since = |major, minor, patch| version >= Version::new(major, minor, patch);
        Self {
            yaml: since(0, 4, 5),
            unescape: since(0, 6, 0),
            hides_colon: since(0, 7, 0),
            hides_question: since(0, 8, 0),
            after_dashes: since(0, 9, 0),
            groups: since(1, 5, 5),
        }
    }

    /// The parser by itself. Before 1.5.5 the reader of `/proc/cmdline` removes the backslashes, and the
    /// parser is handed what is left; since then it does so itself (`splitCmdLine`).
    #[must_use]
    pub(crate) fn alone(self) -> Self {
        Self { unescape: self.groups, ..self }
    }

    /// Whether `cc.` is read.
    #[must_use]
    pub(crate) fn cc(self) -> bool {
        self.hides_question
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_is_read_back_from_its_name() {
        for (name, since, locks_down) in [
            ("rancheros-0.4.0", false, false),
            ("rancheros-1.5.8", true, false),
            ("burmillaos-1.9.0", true, false),
            ("burmillaos-2.0.1", true, false),
            ("docker-1", false, true),
            ("smoke", true, true),
            ("linux", false, false),
        ] {
            let os: Os = name.parse().unwrap();
            assert_eq!(
                (os.to_string().as_str(), os.since(1, 5, 8), os.locks_down()),
                (name, since, locks_down)
            );
        }
        for wrong in
            ["rancheros-0.3.9", "rancheros-1.5.9", "burmillaos-1.8.9", "rancheros", "docker-2", "Linux", ""]
        {
            assert!(wrong.parse::<Os>().is_err(), "{wrong}");
        }
    }
}
