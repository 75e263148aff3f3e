//! `rancher.docker`: dockerd's configuration file and options.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    Host,
    table::Wildcards,
    take::{self, TakeResult},
};

/// What dockerd is started with.
#[derive(Clone, Debug, Default)]
pub(super) struct DockerDaemon {
    /// Keys of `daemon.json`, over ours.
    keys: BTreeMap<&'static str, Value>,
    log_opts: BTreeMap<String, String>,
    args: Vec<String>,
    extra_args: Vec<String>,
    environment: BTreeMap<String, String>,
    pub(super) shutdown: Option<u16>,
}

pub(super) fn text(host: &mut Host, key: &'static str, value: String) -> TakeResult {
    if take::plain(&value, "-_.") {
        host.docker.keys.insert(key, Value::String(value));
        Vec::new()
    } else {
        vec!["it is a word of letters, digits, `-`, `_` and dots".to_owned()]
    }
}

pub(super) fn flag(host: &mut Host, key: &'static str, value: bool) -> TakeResult {
    host.docker.keys.insert(key, Value::Bool(value));
    Vec::new()
}

pub(super) fn insecure(host: &mut Host, _: &Wildcards<'_>, registries: Vec<String>) -> TakeResult {
    let mut kept = Vec::new();
    let said = take::each(&mut kept, registries, |r| {
        if take::plain(&r, ".:-/") { Ok(r) } else { Err("a registry is host:port or a network".to_owned()) }
    });
    host.docker.keys.insert("insecure-registries", json!(kept));
    said
}

pub(super) fn mirror(host: &mut Host, _: &Wildcards<'_>, mirror: String) -> TakeResult {
    let web = mirror.starts_with("http://") || mirror.starts_with("https://");
    if !web || !mirror.bytes().all(|b| b.is_ascii_graphic()) {
        return vec!["a mirror is an address with http:// or https://".to_owned()];
    }
    host.docker.keys.insert("registry-mirrors", json!([mirror]));
    Vec::new()
}

pub(super) fn log_opt(host: &mut Host, names: &Wildcards<'_>, value: String) -> TakeResult {
    let name = names.first().copied().unwrap_or_default();
    match take::line(value) {
        Ok(value) => {
            host.docker.log_opts.insert(name.to_owned(), value);
            Vec::new()
        }
        Err(reason) => vec![reason],
    }
}

pub(super) fn bip(host: &mut Host, _: &Wildcards<'_>, value: String) -> TakeResult {
    match super::network::with_length(&value) {
        Ok(_) => {
            host.docker.keys.insert("bip", Value::String(value));
            Vec::new()
        }
        Err(reason) => vec![reason],
    }
}

pub(super) fn shutdown(host: &mut Host, _: &Wildcards<'_>, seconds: i64) -> TakeResult {
    let seconds = u16::try_from(seconds).ok().filter(|s| *s <= 3600);
    take::set(
        &mut host.docker.shutdown,
        seconds.ok_or_else(|| "it is a number of seconds up to 3600".to_owned()),
    )
}

pub(super) fn environment(host: &mut Host, _: &Wildcards<'_>, variables: Vec<String>) -> TakeResult {
    let mut kept = Vec::new();
    let said = take::each(&mut kept, variables, |variable| match variable.split_once('=') {
        Some((name, value)) if take::is_variable(name) => {
            take::line(value.to_owned()).map(|value| (name.to_owned(), value))
        }
        _ => Err("a variable is NAME=value".to_owned()),
    });
    host.docker.environment = kept.into_iter().collect();
    said
}

/// Options that are the system's business, and why.
const REFUSED: &[(&[&str], &str)] = &[
    (&["data-root", "g", "graph"], "Docker's data is on the state disk"),
    (&["containerd", "exec-root", "p", "pidfile", "config-file"], "the system starts dockerd and sets it"),
    (&["validate", "v", "version", "h", "help"], "dockerd would exit at once"),
];

/// `docker daemon …`, as old configurations begin.
const PROGRAM: &[&str] = &["docker", "daemon", "dockerd", "-d"];

pub(super) fn args(host: &mut Host, _: &Wildcards<'_>, args: Vec<String>) -> TakeResult {
    let (kept, said) = checked(args);
    host.docker.args = kept;
    said
}

pub(super) fn extra_args(host: &mut Host, _: &Wildcards<'_>, args: Vec<String>) -> TakeResult {
    let (kept, said) = checked(args);
    host.docker.extra_args = kept;
    said
}

fn checked(args: Vec<String>) -> (Vec<String>, TakeResult) {
    let (mut kept, mut said) = (Vec::new(), Vec::new());
    let tls = args.iter().any(|a| a.starts_with("--tlsverify") && !a.ends_with("=false"));
    let mut args = args.into_iter().skip_while(|a| PROGRAM.contains(&a.as_str())).peekable();
    while let Some(arg) = args.next() {
        // The value behind `--option`, unless it is part of it.
        let value = args.next_if(|next| !arg.contains('=') && !next.starts_with('-'));
        match refused(&arg, value.as_deref(), tls) {
            Some(reason) => said.push(format!("`{}`: {reason}", arg.escape_debug())),
            None => kept.extend([Some(arg), value].into_iter().flatten()),
        }
    }
    (kept, said)
}

fn refused(arg: &str, value: Option<&str>, tls: bool) -> Option<&'static str> {
    let Some((name, inline)) = option(arg) else { return Some("an option begins with `--`") };
    if [Some(arg), value].into_iter().flatten().any(|t| t.chars().any(char::is_control)) {
        return Some("it has control characters");
    }
    let value = inline.or(value).unwrap_or_default();
    if matches!(name, "H" | "host") && !value.starts_with("unix://") && !(tls && value.starts_with("tcp://"))
    {
        return Some("an open Docker port gives everyone root; use `docker -H ssh://…`, or --tlsverify");
    }
    REFUSED.iter().find(|(names, _)| names.contains(&name)).map(|(_, reason)| *reason)
}

/// Name and value of `--name=value`, `-nvalue` or `--name`.
fn option(arg: &str) -> Option<(&str, Option<&str>)> {
    if let Some(long) = arg.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
        return Some((name, value)).filter(|_| !name.is_empty());
    }
    let short = arg.strip_prefix('-').filter(|s| s.starts_with(|c: char| c.is_ascii_alphabetic()))?;
    let (name, value) = short.split_at(1);
    let value = value.strip_prefix('=').unwrap_or(value);
    Some((name, Some(value).filter(|v| !v.is_empty())))
}

/// Short names, and long ones whose key in the file is another.
const KEYS: &[(&str, &str)] = &[
    ("s", "storage-driver"),
    ("b", "bridge"),
    ("D", "debug"),
    ("log-opt", "log-opts"),
    ("exec-opt", "exec-opts"),
    ("insecure-registry", "insecure-registries"),
    ("registry-mirror", "registry-mirrors"),
];

impl DockerDaemon {
    /// What dockerd runs with unless something else is asked for: logs with bounds, data on the state disk.
    fn defaults() -> Map<String, Value> {
        let json = json!({
            "data-root": "/state/docker",
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "group": "docker",
            "log-driver": "local",
            "storage-driver": "overlay2",
        });
        match json {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    pub(super) fn default_json() -> String {
        pretty(&Self::defaults())
    }

    /// `daemon.json`. `own` is one that was written by hand: its keys are over all others. A key that is an option
    /// as well is left out, or dockerd does not start.
    pub(super) fn json(&self, own: Option<&[u8]>) -> Result<String, String> {
        let mut map = Self::defaults();
        map.extend(self.keys.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        if !self.log_opts.is_empty() {
            map.insert("log-opts".to_owned(), json!(self.log_opts));
        }
        if let Some(seconds) = self.shutdown {
            map.insert("shutdown-timeout".to_owned(), json!(seconds));
        }
        for name in self.options() {
            map.remove(name);
        }
        let Some(own) = own else { return Ok(pretty(&map)) };
        let own: Map<String, Value> =
            serde_json::from_slice(own).map_err(|_| "it is not a JSON object".to_owned())?;
        if own.contains_key("hosts") && own.get("tlsverify") != Some(&Value::Bool(true)) {
            return Err("`hosts` in it opens Docker to others; use `docker -H ssh://…`".to_owned());
        }
        if let Some(name) = self.options().into_iter().find(|name| own.contains_key(*name)) {
            return Err(format!("`{name}` in it is an option in rancher.docker as well"));
        }
        map.extend(own);
        map.insert("data-root".to_owned(), json!("/state/docker"));
        Ok(pretty(&map))
    }

    /// The keys of `daemon.json` that options set.
    fn options(&self) -> BTreeSet<&str> {
        let names = self.all_args().filter_map(|a| option(a)).map(|(name, _)| name);
        names.map(|n| KEYS.iter().find(|(short, _)| *short == n).map_or(n, |(_, key)| key)).collect()
    }

    pub(super) fn all_args(&self) -> impl Iterator<Item = &String> {
        self.args.iter().chain(&self.extra_args)
    }

    pub(super) fn variables(&self) -> &BTreeMap<String, String> {
        &self.environment
    }
}

fn pretty(map: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(map).expect("texts and numbers are always JSON") + "\n"
}
