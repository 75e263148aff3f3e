//! What becomes of values: each function keeps what is right, and says what is not and why.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Host, HostFile, source::gunzip, table::Wildcards};
use crate::{
    check::is_hash,
    ssh,
    yaml::document::{Data, MapEntry, ValueTree},
};

/// What was refused, each with its reason; nothing when all was taken.
pub(super) type TakeResult = Vec<String>;

/// Keeps a value.
pub(super) fn assign<T>(slot: &mut T, value: T) -> TakeResult {
    *slot = value;
    Vec::new()
}

/// Keeps a value if it is right.
pub(super) fn put<T>(slot: &mut T, value: Result<T, String>) -> TakeResult {
    match value {
        Ok(value) => assign(slot, value),
        Err(reason) => vec![reason],
    }
}

/// As [`put`], for a value that may be missing.
pub(super) fn set<T>(slot: &mut Option<T>, value: Result<T, String>) -> TakeResult {
    put(slot, value.map(Some))
}

/// Keeps the elements of a list that are right, in the place of those before.
pub(super) fn each<T>(
    slot: &mut Vec<T>,
    values: impl IntoIterator<Item = String>,
    check: impl Fn(String) -> Result<T, String>,
) -> TakeResult {
    let (mut kept, mut said) = (Vec::new(), Vec::new());
    for value in values {
        match check(value) {
            Ok(value) => kept.push(value),
            Err(reason) => said.push(reason),
        }
    }
    *slot = kept;
    said
}

/// A value that changes nothing, and of which only some are right.
pub(super) fn only(value: &str, known: &[&str]) -> TakeResult {
    if known.contains(&value) {
        Vec::new()
    } else {
        vec![format!("`{value}` is not one of {}", known.join(", "))]
    }
}

/// Whether a text holds only letters, digits and these.
pub(super) fn plain(text: &str, more: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

/// A text of one line.
pub(super) fn line(text: String) -> Result<String, String> {
    if text.chars().any(char::is_control) { Err("it has control characters".to_owned()) } else { Ok(text) }
}

/// The host's name; an empty one is none.
pub(super) fn own_hostname(host: &mut Host, _: &Wildcards<'_>, name: String) -> TakeResult {
    if name.is_empty() { assign(&mut host.hostname, None) } else { set(&mut host.hostname, hostname(name)) }
}

pub(super) fn hostname(name: String) -> Result<String, String> {
    let label = |l: &str| plain(l, "-") && l.len() < 64 && !l.starts_with('-') && !l.ends_with('-');
    if name.len() < 254 && name.split('.').all(label) {
        Ok(name)
    } else {
        Err("a host's name has letters, digits, `-` and dots between them".to_owned())
    }
}

/// A property of a registry's account. Docker's own registry goes by an old address.
pub(super) fn registry(
    host: &mut Host,
    names: &Wildcards<'_>,
    name: &'static str,
    value: String,
) -> TakeResult {
    let registry = match names.first().copied().unwrap_or_default() {
        "docker.io" | "index.docker.io" => "https://index.docker.io/v1/",
        other => other,
    };
    match line(value) {
        Ok(value) => {
            host.registries.entry(registry.to_owned()).or_default().insert(name, value);
            Vec::new()
        }
        Err(reason) => vec![reason],
    }
}

pub(super) fn keys(host: &mut Host, _: &Wildcards<'_>, keys: Vec<String>) -> TakeResult {
    each(&mut host.keys, keys, |key| ssh::check_key(&key).map(|()| key.trim().to_owned()))
}

/// A password or its hash; the text is in no message.
pub(super) fn password(text: String) -> Result<String, String> {
    let wrong = match text.as_str() {
        "" => "an empty password is refused",
        "rancher" => "`rancher` is the password that everybody tries, and is refused",
        t if t.len() > 512 || t.chars().any(char::is_control) => "it has control characters or is too long",
        t if is_hash(t) && (t.contains([':', ' ']) || t.matches('$').count() < 3) => "the hash is incomplete",
        _ => return Ok(text),
    };
    Err(wrong.to_owned())
}

/// A device's path, or something a shell could take for more.
fn device(path: String) -> Result<String, String> {
    let known = path.starts_with("/dev/") && plain(&path, "/_.:+-") && !path.contains("..");
    if known { Ok(path) } else { Err(format!("`{path}` is not a path such as /dev/sda")) }
}

pub(super) fn state_device(text: String) -> Result<String, String> {
    let tag = text.strip_prefix("LABEL=").or_else(|| text.strip_prefix("UUID="));
    match tag {
        Some(tag) if plain(tag, "_.-") => Ok(text),
        _ if text == "none" || text.is_empty() => Ok("none".to_owned()),
        _ if text.starts_with("PART") => Err("partitions are found by LABEL=, UUID= or path here".to_owned()),
        _ => device(text),
    }
}

pub(super) fn autoformat(host: &mut Host, _: &Wildcards<'_>, disks: Vec<String>) -> TakeResult {
    each(&mut host.state.autoformat, disks, device)
}

pub(super) fn commands(slot: &mut Vec<Vec<String>>, commands: Vec<Vec<String>>) -> TakeResult {
    let (good, bad): (Vec<_>, Vec<_>) =
        commands.into_iter().partition(|c| !c.is_empty() && !c.iter().any(|w| w.contains('\0')));
    *slot = good;
    bad.iter().map(|_| "a command without words".to_owned()).collect()
}

pub(super) fn variable(host: &mut Host, names: &Wildcards<'_>, value: String) -> TakeResult {
    let name = names.first().copied().unwrap_or_default();
    if !is_variable(name) {
        return vec![format!("`{name}` is not a variable's name")];
    }
    match line(value) {
        Ok(value) => {
            host.environment.insert(name.to_owned(), value);
            Vec::new()
        }
        Err(reason) => vec![reason],
    }
}

pub(super) fn is_variable(name: &str) -> bool {
    plain(name, "_") && !name.starts_with(|c: char| c.is_ascii_digit())
}

pub(super) fn sysctl(host: &mut Host, names: &Wildcards<'_>, value: String) -> TakeResult {
    let name = names.first().copied().unwrap_or_default();
    if !plain(name, "_./-") || name.contains("..") || name.starts_with('/') {
        return vec![format!("`{name}` is not a kernel setting")];
    }
    match line(value) {
        Ok(value) => {
            host.sysctl.insert(name.to_owned(), value);
            Vec::new()
        }
        Err(reason) => vec![reason],
    }
}

pub(super) fn modules(host: &mut Host, _: &Wildcards<'_>, modules: Vec<String>) -> TakeResult {
    each(&mut host.modules, modules, |module| {
        let good = module.split(' ').all(|word| plain(word, "_=.,:-"));
        let starts = module.starts_with(|c: char| c.is_ascii_alphanumeric());
        if good && starts {
            Ok(module)
        } else {
            Err(format!("`{module}` is not a module and its parameters"))
        }
    })
}

pub(super) fn port(host: &mut Host, _: &Wildcards<'_>, port: i64) -> TakeResult {
    let port = u16::try_from(port).ok().filter(|p| *p > 0);
    put(&mut host.ssh.port, port.ok_or_else(|| "a port is a number from 1 to 65535".to_owned()))
}

pub(super) fn listen(host: &mut Host, _: &Wildcards<'_>, address: String) -> TakeResult {
    let good = address.parse::<core::net::IpAddr>().is_ok();
    let wrong = || format!("`{address}` is not an address");
    set(&mut host.ssh.address, good.then(|| address.clone()).ok_or_else(wrong))
}

pub(super) fn datasources(host: &mut Host, _: &Wildcards<'_>, sources: Vec<String>) -> TakeResult {
    each(&mut host.datasources, sources, |source| {
        let (kind, rest) = source.split_once(':').unwrap_or((&source, ""));
        let web = rest.starts_with("http://") || rest.starts_with("https://");
        let printable = rest.bytes().all(|b| b.is_ascii_graphic());
        match kind {
            "url" if web && printable => Ok(format!("url {rest}")),
            "url" => Err("`url:` is followed by an address with http:// or https://".to_owned()),
            "file" if is_inside(rest) => Ok(format!("file {rest}")),
            "file" => Err("`file:` is followed by a path from `/`".to_owned()),
            "configdrive" => Ok("configdrive config-2".to_owned()),
            _ => Err(other_source(kind)),
        }
    })
}

/// Clouds whose user data a plain request gets.
const USER_DATA: &[(&str, &str)] = &[
    ("aliyun", "http://100.100.100.200/latest/user-data"),
    ("digitalocean", "http://169.254.169.254/metadata/v1/user-data"),
    ("ec2", "http://169.254.169.254/latest/user-data"),
    ("exoscale", "http://169.254.169.254/latest/user-data"),
    ("packet", "https://metadata.platformequinix.com/userdata"),
];

fn other_source(kind: &str) -> String {
    let kind = kind.escape_debug();
    let address = USER_DATA.iter().find(|(name, _)| *name == kind.to_string());
    let next = match address {
        Some((_, address)) => format!("where it answers plain requests, write url:{address}"),
        None => "this system has url, file and configdrive".to_owned(),
    };
    format!("`{kind}` is not a datasource of this system; {next}")
}

/// The text of a property, as it is written.
pub(super) fn text(tree: &ValueTree) -> Option<String> {
    match &tree.data {
        Data::Scalar(crate::tree::ConfigValue::Null, _) => Some(String::new()),
        Data::Scalar(_, text) => Some(text.clone()),
        _ => None,
    }
}

pub(super) fn mounts(host: &mut Host, mounts: &[ValueTree]) -> TakeResult {
    let (mut kept, mut said) = (Vec::new(), Vec::new());
    for mount in mounts {
        match self::mount(mount) {
            Ok(mount) => kept.push(mount),
            Err(reason) => said.push(reason),
        }
    }
    host.mounts = kept;
    said
}

fn mount(mount: &ValueTree) -> Result<[String; 4], String> {
    let wrong = || "a mount is a list of four texts: device, folder, type, options".to_owned();
    let Data::List(list) = &mount.data else { return Err(wrong()) };
    let texts: Vec<String> = list.iter().filter_map(text).collect();
    let fields: [String; 4] = texts.try_into().map_err(|_| wrong())?;
    if fields.iter().any(|f| f.chars().any(|c| c.is_control() || c == '\t')) {
        return Err("a mount has control characters".to_owned());
    }
    if fields[0].is_empty() {
        return Err("a mount's first text is its device".to_owned());
    }
    if fields[2] == "swap" {
        return Ok(fields);
    }
    let folder = &fields[1];
    if !is_inside(folder) || OURS.iter().any(|o| folder == o || folder.starts_with(&format!("{o}/"))) {
        return Err(format!("nothing may be mounted at `{folder}`"));
    }
    Ok(fields)
}

/// A path from the root that leads nowhere else.
fn is_inside(path: &str) -> bool {
    let part = |p: &str| !p.is_empty() && p != "." && p != "..";
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
        && !path.chars().any(char::is_control)
}

/// What the system needs to start, and what is not on a disk at all.
const OURS: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc/docker/args",
    "/etc/docker/daemon.default.json",
    "/etc/docker/environment",
    "/etc/fstab",
    "/etc/group",
    "/etc/host",
    "/etc/inittab",
    "/etc/passwd",
    "/etc/shadow",
    "/lib",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/state",
    "/sys",
    "/usr",
    "/var/run",
];

/// The most that all packed files unpack to, in bytes: they are kept in memory.
const MAX_UNPACKED: usize = 16 << 20;

pub(super) fn files(host: &mut Host, files: &[ValueTree]) -> TakeResult {
    let (mut kept, mut said) = (Vec::new(), Vec::new());
    let mut left = MAX_UNPACKED;
    for file in files {
        match self::file(file, left) {
            Ok(file) => {
                left = left.saturating_sub(file.content.len());
                kept.push(file);
            }
            Err(reason) => said.push(reason),
        }
    }
    host.files = kept;
    said
}

fn file(tree: &ValueTree, room: usize) -> Result<HostFile, String> {
    let Data::Map(entries) = &tree.data else { return Err("a file is a map with a path".to_owned()) };
    let get = |name: &str| match entries.iter().rfind(|e| e.name() == name) {
        None => Ok(String::new()),
        Some(entry) => text(&entry.value).ok_or_else(|| format!("`{name}` of a file is a text")),
    };
    let path = get("path")?;
    let known = ["path", "content", "owner", "permissions", "encoding", "container"];
    if let Some(name) = entries.iter().map(MapEntry::name).find(|name| !known.contains(&name.as_str())) {
        let (file, name) = (path.escape_debug(), name.escape_debug());
        let next = match name.to_string().as_str() {
            "append" => "a file is written whole".to_owned(),
            "group" | "user" => "write owner: user:group".to_owned(),
            "defer" => "files are written before services start".to_owned(),
            _ => format!("known: {}", known[..5].join(", ")),
        };
        return Err(format!("{file}: `{name}` is not a property of a file; {next}"));
    }
    // RancherOS's console is the container in which a login is.
    if !matches!(get("container")?.as_str(), "" | "console") {
        let file = path.escape_debug();
        return Err(format!(
            "{file}: the system's programs are not containers, so no other file of this path exists"
        ));
    }
    if !is_inside(&path) {
        return Err(format!(
            "a file's path begins with `/` and has no `..` in it, unlike `{}`",
            path.escape_debug()
        ));
    }
    let ours = OURS.iter().any(|o| path == *o || path.starts_with(&format!("{o}/")));
    if ours && !path.starts_with("/usr/local/") {
        return Err(format!("`{path}` belongs to the system"));
    }
    let content = content(&get("content")?, &get("encoding")?, room).map_err(|e| format!("{path}: {e}"))?;
    let (uid, gid) = owner(&get("owner")?)
        .ok_or_else(|| format!("{path}: the owner is root, rancher, docker or a number"))?;
    let mode = mode(&get("permissions")?).ok_or_else(|| format!("{path}: permissions are octal digits"))?;
    Ok(HostFile { path: path[1..].to_owned(), mode, uid, gid, content })
}

fn content(text: &str, encoding: &str, room: usize) -> Result<Vec<u8>, String> {
    let decoded = || {
        let text: String = text.split_ascii_whitespace().collect();
        STANDARD.decode(text).map_err(|_| "the content is not base64".to_owned())
    };
    match encoding {
        "" | "text/plain" => Ok(text.as_bytes().to_owned()),
        "b64" | "base64" => decoded(),
        // Behind `gzip` alone stands `!!binary`, which is base64 as well.
        "gz" | "gzip" | "gz+base64" | "gzip+base64" | "gz+b64" | "gzip+b64" => {
            gunzip(&decoded()?, room).map_err(|e| format!("the content {e}"))
        }
        other => {
            let other = other.escape_debug();
            Err(format!("the encoding `{other}` is not known; known: base64, gzip, gzip+base64"))
        }
    }
}

fn owner(text: &str) -> Option<(u32, u32)> {
    let id = |name: &str| match name {
        "" | "root" => Some(0),
        "rancher" => Some(1100),
        "docker" => Some(1101),
        number => number.parse().ok().filter(|n| *n <= 65_535),
    };
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    Some((id(user)?, id(group)?))
}

/// Octal, with or without a leading zero; 0644 when there is none.
fn mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    if digits.is_empty() {
        return Some(0o644);
    }
    u32::from_str_radix(digits, 8).ok().filter(|m| *m <= 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_devices_end_where_this_says() {
        let good = ["a", &"x".repeat(512), "$6$salt$hash"];
        assert!(good.iter().all(|text| password((*text).to_owned()).is_ok()));
        for bad in ["", "rancher", &"x".repeat(513), "a\u{1b}", "$6$salt", "$6$a$b:c", "$6$a$b c"] {
            assert!(password(bad.to_owned()).is_err(), "{bad:?}");
        }
        for (text, taken) in [
            ("", Ok("none")),
            ("none", Ok("none")),
            ("LABEL=STATE_1.x-y", Ok("LABEL=STATE_1.x-y")),
            ("UUID=1-2", Ok("UUID=1-2")),
            ("/dev/disk/by-id/a_b:c", Ok("/dev/disk/by-id/a_b:c")),
            ("LABEL=a b", Err("is not a path")),
            ("PARTLABEL=x", Err("partitions are found by")),
            ("sda", Err("is not a path")),
            ("/dev/../etc", Err("is not a path")),
            ("/dev/a;b", Err("is not a path")),
        ] {
            match (state_device(text.to_owned()), taken) {
                (Ok(device), Ok(wanted)) => assert_eq!(device, wanted),
                (Err(said), Err(part)) => assert!(said.contains(part), "{text}: {said}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
