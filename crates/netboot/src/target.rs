//! What a request asks for: path, machine, host. Pure; everything here comes from strangers.

use std::net::{IpAddr, SocketAddr};

use super::event::{FileRole, MachineName};

/// Deeper than any netboot tree, and short enough to keep work small.
const MAX_SEGMENTS: usize = 16;

/// A path inside the tree: names joined by single slashes, no empty, hidden, `.` or `..` part.
///
/// `None` when the path could mean something outside the tree on any system: backslashes and colons separate
/// on Windows, a NUL ends names in C, a percent-encoded slash is not a separator. Hidden names are never served.
pub(super) fn tree_path(path: &str) -> Option<String> {
    let mut names = Vec::new();
    // iPXE scripts join a base address and a name, so doubled slashes are common and mean nothing.
    for part in path.split('/').filter(|p| !p.is_empty()) {
        let name = percent_encoding::percent_decode_str(part).decode_utf8().ok()?;
        let bad = |c: char| c.is_control() || matches!(c, '/' | '\\' | ':' | '%');
        if name.starts_with('.') || name.contains(bad) || names.len() == MAX_SEGMENTS {
            return None;
        }
        names.push(name.into_owned());
    }
    Some(names.join("/"))
}

/// What a file of this name is to a booting machine.
pub(super) fn role(path: &str) -> FileRole {
    match path {
        "boot.html" | "boot.ipxe" => FileRole::Script,
        "vmlinuz" => FileRole::Kernel,
        "initrd" | "seed.cpio" => FileRole::Initrd,
        "cloud-config.yml" => FileRole::CloudConfig,
        _ => FileRole::Other,
    }
}

/// Files of the tree that hold a cloud-config.
pub(super) const PRIVATE: &[&str] = &["cloud-config.yml", "seed.cpio"];

/// Whether a page of another site must not read what is at this path: the live view, which names machines, and
/// cloud-configs, also inside the archive that carries one.
pub(super) fn is_private(path: &str) -> bool {
    path == "_" || path.starts_with("_/") || PRIVATE.contains(&path)
}

/// The media type. Scripts are plain text under either name: iPXE looks at the content, and a browser that
/// opens `boot.html` should show the script and run nothing.
pub(super) fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, e)| e) {
        Some("html" | "ipxe" | "txt" | "cfg") => "text/plain; charset=utf-8",
        Some("yml" | "yaml") => "application/yaml",
        Some("json") => "application/json",
        // UEFI firmware goes by these where a URL's ending does not tell (UEFI 2.10, 24.7.3.2.2).
        Some("efi") => "application/efi",
        Some("iso") => "application/vnd.efi-iso",
        _ => "application/octet-stream",
    }
}

/// Who asks, from the query our boot scripts add; values that are neither an address nor a UUID are left out.
pub(super) fn machine(query: &str) -> MachineName {
    let value = |name| {
        let pairs = query.split('&').filter_map(|p| p.split_once('='));
        let found = pairs.filter(|(k, _)| *k == name).map(|(_, v)| v).next()?;
        Some(percent_encoding::percent_decode_str(found).decode_utf8().ok()?.to_ascii_lowercase())
    };
    MachineName { mac: value("mac").and_then(|m| mac(&m)), uuid: value("uuid").filter(|u| is_uuid(u)) }
}

/// The file, iPXE's error number and what its clock shows, from the query with which a signed script tells that it refused one. Everything
/// else than a plain name and a number is left out.
pub(super) fn refused(query: &str) -> Option<(String, u32, Option<u64>)> {
    let value =
        |name| query.split('&').filter_map(|p| p.split_once('=')).find(|(k, _)| *k == name).map(|(_, v)| v);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let file = value("file").filter(|f| (1..=32).contains(&f.len()) && f.chars().all(plain))?;
    let error = value("error")?;
    let hex = |text: &str| u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok();
    Some((file.to_owned(), u32::try_from(hex(error)?).ok()?, value("clock").and_then(hex)))
}

/// Six pairs of hex digits joined by `:` or `-`, as `52:54:00:12:34:56`.
pub(super) fn mac(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let pairs: Vec<&str> = text.split([':', '-']).collect();
    let good =
        pairs.len() == 6 && pairs.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
    good.then(|| pairs.join(":"))
}

fn is_uuid(text: &str) -> bool {
    let lens: Vec<usize> = text.split('-').map(str::len).collect();
    lens == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// The file names under `machines/` that could be this machine's, best first, without their ending. A name
/// with colons cannot exist on Windows, hence the second spelling.
pub(super) fn machine_names(machine: &MachineName, peer: IpAddr) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(mac) = &machine.mac {
        names.extend([mac.replace(':', "-"), mac.clone()]);
    }
    names.extend(machine.uuid.clone());
    let peer = peer.to_canonical().to_string();
    names.extend([peer.clone(), peer.replace(':', "-")]);
    names.dedup();
    names
}

/// The address under which the requester reached us, as it stands in a URL.
///
/// A NAT or a forwarded port makes our own socket's address useless to a guest, so the `Host` field wins. It
/// ends up in a script, so it must be a name or an address with an optional port and nothing else. `None`
/// means a malformed field, which the RFC wants refused.
pub(super) fn host(field: Option<&str>, local: SocketAddr) -> Option<String> {
    let Some(field) = field else {
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        return Some(local.to_string());
    };
    let (name, port) = match field.strip_prefix('[') {
        Some(rest) => {
            let (v6, rest) = rest.split_once(']')?;
            v6.parse::<std::net::Ipv6Addr>().ok()?;
            (v6, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("80"))?)
        }
        None => {
            let (name, port) = field.split_once(':').unwrap_or((field, "80"));
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
            (name.bytes().all(plain).then_some(name)?, port)
        }
    };
    let port_good =
        port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    (!name.is_empty() && field.len() <= 255 && port_good).then(|| field.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_may_be_doubled_and_names_encoded() {
        assert_eq!(tree_path("//boot.html").as_deref(), Some("boot.html"));
        assert_eq!(tree_path("/a//b/").as_deref(), Some("a/b"));
        assert_eq!(tree_path("/%76mlinuz").as_deref(), Some("vmlinuz"));
        assert_eq!(tree_path("/").as_deref(), Some(""));
    }

    #[test]
    fn no_spelling_of_a_path_leaves_the_tree() {
        for path in [
            "/../etc/passwd",
            "/a/../../b",
            "/%2e%2e/x",
            "/.%2e/x",
            "/..%2fx",
            "/a%2f..%2fb",
            "/..\\x",
            "/%5c..%5cx",
            "/a%00.txt",
            "/C:/x",
            "/.hidden",
            "/./x",
            "/%ff",
            "/%252e%252e/x",
            "/\u{1}",
        ] {
            assert_eq!(tree_path(path), None, "{path}");
        }
        assert_eq!(tree_path(&"/a".repeat(MAX_SEGMENTS + 1)), None);
    }

    #[test]
    fn a_machine_is_named_by_a_checked_address_or_uuid() {
        let uuid = "4c4c4544-0044-4a10-8050-b4c04f4d3232";
        let m = machine(&format!("mac=52:54:00:AB:cd:ef&uuid={uuid}"));
        assert_eq!(m.mac.as_deref(), Some("52:54:00:ab:cd:ef"));
        assert_eq!(m.uuid.as_deref(), Some(uuid));
        assert_eq!(machine("mac=52%3A54%3A00%3Aab%3Acd%3Aef").mac.as_deref(), Some("52:54:00:ab:cd:ef"));
        for bad in ["mac=../../x", "mac=52:54:00:ab:cd", "mac=", "uuid=../x", "uuid=4c4c4544", "macx=1", ""] {
            assert_eq!(machine(bad), MachineName::default(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_names_a_plain_file_and_a_number() {
        let told = |query| refused(query);
        assert_eq!(
            told("mac=x&file=vmlinuz&error=0x1c69e502"),
            Some(("vmlinuz".to_owned(), 0x1c69_e502, None))
        );
        assert_eq!(told("file=a&error=1&clock=0x10"), Some(("a".to_owned(), 1, Some(16))));
        for bad in ["file=../x&error=1", "file=&error=1", "file=a%0a&error=1", "file=a", "file=a&error=x", ""]
        {
            assert_eq!(told(bad), None, "{bad}");
        }
    }

    #[test]
    fn machine_files_are_looked_for_by_mac_then_uuid_then_address() {
        let m = MachineName { mac: Some("52:54:00:ab:cd:ef".into()), uuid: Some("u".into()) };
        let names = machine_names(&m, "::ffff:10.0.0.7".parse().unwrap());
        assert_eq!(names, ["52-54-00-ab-cd-ef", "52:54:00:ab:cd:ef", "u", "10.0.0.7"]);
    }

    #[test]
    fn a_host_field_is_an_address_and_nothing_else() {
        let local = "127.0.0.1:8089".parse().unwrap();
        for good in ["192.168.56.1:8089", "boot.lan", "[fe80::1]:80", "[::1]", "A.b:1"] {
            assert_eq!(host(Some(good), local), Some(good.to_ascii_lowercase()), "{good}");
        }
        for bad in
            ["", ":80", "a b", "a/b", "a:b", "a:99999", "a\"", "[x]", "[::1]x", "a:1:2", "a;b", "ä", "a:+1"]
        {
            assert_eq!(host(Some(bad), local), None, "{bad}");
        }
        assert_eq!(host(None, local).as_deref(), Some("127.0.0.1:8089"));
        assert_eq!(host(None, "[::ffff:10.0.0.1]:80".parse().unwrap()).as_deref(), Some("10.0.0.1:80"));
    }
}
