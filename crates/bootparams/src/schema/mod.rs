//! The configuration schema as data: every key, when it came and went, what it accepts, and what it is when
//! it is never set.
//!
//! The tables hold one row a key with `since` and `until` columns; `Schema` is the table of one version.
//! Rows were read off the Go structures and default files of the tags; `rancher.password` and
//! `rancher.autologin` are missing from the schema upstream and are added here.

mod docker;
mod network;
mod rancher;
mod service;

use std::collections::BTreeMap;

use super::os::{Os, Version};

/// What a key accepts at boot: the Go type that the OS decodes it into. The OS is looser than its own JSON schema,
/// and these are the OS's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `bool`: true, false, yes, no, on, off, y, n in any case, quoted too, or null; not 1 or 0.
    Bool,
    /// `int`: an integer, quoted too, or null.
    Int,
    /// `string`: any scalar; what is not a text by itself is turned into one.
    Text,
    /// `[]string`: a list of scalars, or null.
    List,
    /// `[][]string`: a list of lists of scalars.
    Lists,
    /// A slice of structures: a list whose elements have the keys below `*`.
    Maps,
    /// A structure or a map: sub-keys; null erases what the defaults hold below.
    Map,
    /// `[]StringandSlice`: a list of texts and of lists of texts. Here and in what follows no number becomes a text.
    Commands,
    /// libcompose's `Command`: a text, which is split as a shell does it, or a list of texts.
    Command,
    /// `Stringorslice`: a text or a list of texts.
    TextOrList,
    /// `MaporEqualSlice`, `MaporColonSlice`: a list of texts, or a map of texts and integers.
    Assignments,
    /// `SliceorMap`: a map of texts, or a list of texts.
    Labels,
    /// `Ulimits`: a map of integers, or of maps with `soft` and `hard`.
    Limits,
    /// A scalar that becomes the password, whatever type it has.
    Password,
    /// A terminal's name, found by searching the raw line.
    Terminal,
}

impl Type {
    /// Name as people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int => "integer",
            Self::Text => "text",
            Self::List => "list of texts",
            Self::Lists => "list of lists",
            Self::Maps => "list of maps",
            Self::Map => "map",
            Self::Commands => "list of commands",
            Self::Command => "command",
            Self::TextOrList => "text or list",
            Self::Assignments => "list or map",
            Self::Labels => "map or list",
            Self::Limits => "map of limits",
            Self::Password => "text (command line only)",
            Self::Terminal => "terminal (command line only)",
        }
    }

    /// What is wanted, for a sentence.
    #[must_use]
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Self::Bool => "a boolean",
            Self::Int => "an integer",
            Self::Text | Self::Password | Self::Terminal => "a text",
            Self::List => "a list of texts",
            Self::Lists => "a list of lists of texts",
            Self::Maps => "a list of maps",
            Self::Map => "sub-keys",
            Self::Commands => "a list of texts or of lists of texts",
            Self::Command | Self::TextOrList => "a text or a list of texts",
            Self::Assignments => "a list of texts, or a map of texts and integers",
            Self::Labels => "a map of texts, or a list of texts",
            Self::Limits => "a map of integers, or of maps with `soft` and `hard`",
        }
    }
}

/// How the command line can set a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLine {
    /// `key=value`.
    Yes,
    /// `key=[a,b]`.
    Bracketed,
    /// Only its sub-keys, with dots.
    SubKeys,
    /// Not at all; the reason.
    No(&'static str),
}

impl OnLine {
    /// Name as people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Bracketed => "in [ ]",
            Self::SubKeys => "by sub-keys",
            Self::No(_) => "no",
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct SchemaRow {
    /// The path below its table; `*` stands for any one key.
    pub path: &'static str,
    /// The type that the OS decodes the value into.
    pub ty: Type,
    /// The first stable release that has it. 0.4.0 stands for "or earlier".
    pub since: Version,
    /// The first release that no longer has it.
    pub until: Option<Version>,
    /// Defaults as YAML, each from a release on; empty is unset. The last that applies counts.
    pub defaults: &'static [(Version, &'static str)],
    /// How the command line sets it.
    pub on_line: OnLine,
    /// The OS holds a pointer here and follows it without looking: null takes PID 1 down.
    pub followed: bool,
    /// One line for people.
    pub about: &'static str,
}

const V0_4: Version = Version::new(0, 4, 0);

impl SchemaRow {
    const fn new(path: &'static str, ty: Type, about: &'static str) -> Self {
        let on_line = match ty {
            Type::List | Type::Lists | Type::Commands | Type::Assignments => OnLine::Bracketed,
            Type::Maps => OnLine::No("a list of maps cannot be written on a command line"),
            Type::Map | Type::Labels | Type::Limits => OnLine::SubKeys,
            _ => OnLine::Yes,
        };
        Self { path, ty, since: V0_4, until: None, defaults: &[], on_line, followed: false, about }
    }

    const fn followed(mut self) -> Self {
        self.followed = true;
        self
    }

    const fn since(mut self, major: u16, minor: u16, patch: u16) -> Self {
        self.since = Version::new(major, minor, patch);
        self
    }

    const fn until(mut self, major: u16, minor: u16, patch: u16) -> Self {
        self.until = Some(Version::new(major, minor, patch));
        self
    }

    const fn defaults(mut self, defaults: &'static [(Version, &'static str)]) -> Self {
        self.defaults = defaults;
        self
    }

    const fn not_on_line(mut self, why: &'static str) -> Self {
        self.on_line = OnLine::No(why);
        self
    }
}

/// A key of one OS's schema.
#[derive(Clone, Debug)]
pub struct Key {
    /// The whole path, as it is written on the command line; `*` stands for any one key.
    pub path: String,
    /// The row it comes from.
    pub row: &'static SchemaRow,
}

impl Key {
    /// Whether this OS knows the key.
    #[must_use]
    pub fn known_to(&self, os: Os) -> bool {
        os.version().is_some_and(|v| v >= self.row.since && self.row.until.is_none_or(|u| v < u))
    }

    /// The default in this OS, as YAML.
    #[must_use]
    pub fn default(&self, os: Os) -> Option<&'static str> {
        let version = os.version()?;
        let applies = self.row.defaults.iter().rfind(|(since, _)| version >= *since);
        applies.map(|(_, text)| *text).filter(|text| !text.is_empty())
    }
}

/// All tables: the prefix their paths go below, the rows, and the releases that have them there.
fn tables() -> Vec<(&'static str, &'static [SchemaRow])> {
    vec![
        ("cc.", rancher::TOP),
        ("rancher.", rancher::ROWS),
        ("rancher.services.*.", service::ROWS),
        ("rancher.bootstrap.*.", service::ROWS),
        ("rancher.cloud_init_services.*.", service::ROWS),
        ("rancher.autoformat.*.", service::ROWS),
        ("rancher.bootstrap_docker.", docker::COMMON),
        ("rancher.bootstrap_docker.", docker::BOOTSTRAP),
        ("rancher.system_docker.", docker::COMMON),
        ("rancher.system_docker.", docker::SYSTEM),
        ("rancher.docker.", docker::COMMON),
        ("rancher.docker.", docker::USER),
        ("rancher.defaults.docker.", docker::COMMON),
        ("rancher.defaults.docker.", docker::USER),
        ("rancher.network.", network::ROWS),
        ("rancher.defaults.network.", network::ROWS),
        ("rancher.default_network.", network::ROWS),
    ]
}

/// Every key of every version, in the order of the tables.
#[must_use]
pub fn keys() -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for (prefix, rows) in tables() {
        for row in rows {
            let key = Key { path: format!("{prefix}{}", row.path), row };
            // A table of one place comes behind the common one and says more.
            match keys.iter_mut().find(|k| k.path == key.path) {
                Some(old) => *old = key,
                None => keys.push(key),
            }
        }
    }
    keys
}

/// All keys as a tree, to look paths up.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    key: Option<Key>,
    children: BTreeMap<String, Schema>,
}

/// What a path is.
#[derive(Clone, Debug)]
pub(crate) enum SchemaMatch<'a> {
    /// A key of the schema.
    Key(&'a Key),
    /// A key that this version does not have, or below one.
    OtherVersion(&'a Key),
    /// Below a key that takes a value, not sub-keys.
    Below(&'a Key),
    /// No key. The segments up to here are known; the keys that would be known next.
    Unknown {
        /// How many segments lead to a known map.
        known: usize,
        /// The names that are known there.
        siblings: Vec<&'a str>,
    },
}

impl Schema {
    /// The tree of all keys. The top level, `cc.` on the command line, is its root.
    #[must_use]
    pub(crate) fn new() -> Self {
        let mut root = Self::default();
        for key in keys() {
            let mut at = &mut root;
            for segment in key.path.strip_prefix("cc.").unwrap_or(&key.path).split('.') {
                at = at.children.entry(segment.to_owned()).or_default();
            }
            at.key = Some(key);
        }
        root
    }

    /// The key itself; none for the root.
    pub(crate) fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// The key below this one that a name means: itself, any one, or one that differs in case only.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        let other_case = || self.children.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let any = || self.children.get("*");
        self.children.get(name).or_else(any).or_else(|| other_case().map(|(_, child)| child))
    }

    /// Whether any name is a key here, as in a map, where a structure has names of its own.
    pub(crate) fn takes_any_name(&self) -> bool {
        self.children.contains_key("*")
    }

    /// Looks a path up: `rancher.…`, or `cc.…` for the top level.
    #[must_use]
    pub(crate) fn find(&self, path: &str, os: Os) -> SchemaMatch<'_> {
        let top = path.strip_prefix("cc.");
        match self.find_segments(top.unwrap_or(path).split('.'), os) {
            SchemaMatch::Unknown { known, siblings } if top.is_some() => {
                SchemaMatch::Unknown { known: known + 1, siblings }
            }
            found => found,
        }
    }

    /// Looks a path up whose names may have dots, as in a file; the top level has no prefix.
    pub(crate) fn find_segments<'s>(
        &self,
        path: impl IntoIterator<Item = &'s str>,
        os: Os,
    ) -> SchemaMatch<'_> {
        let mut at = self;
        for (depth, segment) in path.into_iter().enumerate() {
            if let Some(key) = at.key.as_ref().filter(|k| k.row.ty != Type::Map) {
                return SchemaMatch::Below(key);
            }
            let Some(next) = at.child(segment) else {
                return SchemaMatch::Unknown { known: depth, siblings: at.names(os) };
            };
            if let Some(key) = next.key.as_ref().filter(|k| !k.known_to(os)) {
                return SchemaMatch::OtherVersion(key);
            }
            at = next;
        }
        match &at.key {
            Some(key) => SchemaMatch::Key(key),
            None => SchemaMatch::Unknown { known: 0, siblings: Vec::new() },
        }
    }

    /// The names of the keys below this one that `os` has.
    pub(crate) fn names(&self, os: Os) -> Vec<&str> {
        let known = |child: &Self| child.key.as_ref().is_none_or(|k| k.known_to(os));
        let named = self.children.iter().filter(|(name, child)| *name != "*" && known(child));
        named.map(|(name, _)| &**name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_stands_for_any_interface() {
        let schema = Schema::new();
        let os: Os = "rancheros-1.5.8".parse().unwrap();
        let SchemaMatch::Key(key) = schema.find("rancher.network.interfaces.eth0.dhcp", os) else {
            panic!("not found")
        };
        assert_eq!((key.row.ty, key.path.as_str()), (Type::Bool, "rancher.network.interfaces.*.dhcp"));
        assert!(matches!(schema.find("rancher.sysctl.net.ipv4", os), SchemaMatch::Below(_)));
        assert!(matches!(schema.find("rancher.services.x.nope", os), SchemaMatch::Unknown { known: 3, .. }));
        assert!(matches!(schema.find("rancher.nope.x", os), SchemaMatch::Unknown { known: 1, .. }));
        assert!(matches!(schema.find("cc.nope", os), SchemaMatch::Unknown { known: 1, .. }));
        assert!(matches!(schema.find("cc.Hostname", os), SchemaMatch::Key(_)));
        assert!(matches!(schema.find("cc.write_files.x.path", os), SchemaMatch::Below(_)));
        assert!(matches!(schema.find("rancher.default_network.dns.x", os), SchemaMatch::OtherVersion(_)));
    }

    #[test]
    fn a_key_has_the_default_of_its_version() {
        let schema = Schema::new();
        let default = |path: &str, os: &str| {
            let os: Os = os.parse().unwrap();
            match schema.find(path, os) {
                SchemaMatch::Key(key) => Some(key.default(os).unwrap_or("unset")),
                _ => None,
            }
        };
        assert_eq!(default("rancher.state.dev", "rancheros-0.4.4"), Some("LABEL=RANCHER_STATE"));
        assert_eq!(default("rancher.state.dev", "rancheros-1.5.8"), Some("unset"));
        assert_eq!(default("rancher.state.formatzero", "rancheros-0.7.0"), None);
        assert_eq!(default("rancher.docker.graph", "burmillaos-2.0.0"), None);
        assert_eq!(
            default("rancher.system_docker.data_root", "burmillaos-2.0.5"),
            Some("/var/lib/system-docker")
        );
    }

    #[test]
    fn every_path_is_there_once_and_every_key_says_what_it_is_for() {
        let keys = keys();
        let mut paths: Vec<_> = keys.iter().map(|k| &k.path).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), keys.len());
        for key in keys {
            assert!(!key.row.about.is_empty(), "{}", key.path);
            assert!(key.row.until.is_none_or(|u| u > key.row.since), "{}", key.path);
        }
    }
}
