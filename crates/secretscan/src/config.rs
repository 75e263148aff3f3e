//! Texts that are a cloud-config, read as the OS reads them: keys that hold passwords and tokens, and what a file's
//! `content` decodes to.

use super::{
    accounts,
    encoded::{self, BASE64},
    passwords::password,
    rules::{FindKind, Seen, some},
    tokens,
};
use bootparams::cloud_config::{self, Leaf};

/// Larger than any cloud-config by far.
const MOST: usize = 1 << 20;

/// Keys with which a line of a cloud-config that has no header begins.
const KEYS: &[&[u8]] = &[b"#cloud-config", b"rancher:", b"users:", b"write_files:", b"chpasswd:"];

/// Looks at `text` when it is a cloud-config; its first byte is the one at `at`.
pub(super) fn look(text: &[u8], at: u64, seen: &mut Seen) {
    accounts::look(text, at, seen);
    let starts = |key: &&[u8]| {
        let mut places = memchr::memmem::find_iter(text, *key);
        places.any(|i| i == 0 || text[i - 1] == b'\n' || text[..i] == *b"\xEF\xBB\xBF")
    };
    if text.len() > MOST || !KEYS.iter().any(starts) {
        return;
    }
    let text = String::from_utf8_lossy(text);
    let Some(leaves) = cloud_config::leaves(&text) else {
        // No YAML: what looks like a key still is one to a person.
        lines(&text).for_each(|what| seen.found(what, at));
        return;
    };
    for (i, leaf) in leaves.iter().enumerate() {
        for what in leaf_finds(leaf) {
            seen.found(what, at + leaf.at as u64);
        }
        // Keys of one map stand beside each other.
        let near = &leaves[i.saturating_sub(8)..leaves.len().min(i + 8)];
        if leaf.key() == "content" && near.iter().any(|other| is_encoding(other, leaf)) {
            seen.hidden.push((BASE64, encoded::decode_all(&leaf.text)));
        }
    }
}

/// Whether `other` says that `leaf` of the same map is base64.
fn is_encoding(other: &Leaf, leaf: &Leaf) -> bool {
    let map = |l: &Leaf| l.keys[..l.keys.len() - 1].to_vec();
    other.key() == "encoding"
        && map(other) == map(leaf)
        && (other.text.contains("b64") || other.text.contains("base64"))
}

fn leaf_finds(leaf: &Leaf) -> Vec<FindKind> {
    let value = leaf.text.trim();
    let key = leaf.key().to_ascii_lowercase().replace('-', "_");
    let in_list = leaf.keys.iter().any(|k| k == "chpasswd");
    let found = match key.as_str() {
        _ if !leaf.says_something => None,
        "lock_passwd" => None,
        "auth" => some(tokens::is_account(value.as_bytes()), FindKind::Token),
        "identitytoken" | "registrytoken" => password(value).map(|_| FindKind::Token),
        "server_key" | "ca_key" => password(value).map(|_| FindKind::PrivateKey),
        _ if is_password(&key) => password(value),
        _ if in_list => return value.lines().filter_map(|l| account(l.trim())).collect(),
        _ => return lines(&leaf.text).collect(),
    };
    found.into_iter().collect()
}

fn is_password(key: &str) -> bool {
    ["password", "passwd", "passphrase", "psk"].iter().any(|k| key.ends_with(k))
}

/// `user:password` of `chpasswd`; `R` and `RANDOM` are made up at boot.
fn account(line: &str) -> Option<FindKind> {
    let (_, secret) = line.split_once(':')?;
    if matches!(secret, "R" | "RANDOM") { None } else { password(secret.trim()) }
}

/// `password: x` and `PASSWORD=x` in the lines of a text inside; with a space in it, it is prose.
fn lines(text: &str) -> impl Iterator<Item = FindKind> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once([':', '='])?;
        let key = key.trim().trim_start_matches(['-', ' ']).trim_matches(['"', '\'']).to_ascii_lowercase();
        let value = value.trim().trim_end_matches(',').trim_matches(['"', '\'']);
        let plain = key.bytes().all(|b| super::rules::is_word(b) || b == b' ') && !value.contains(' ');
        let off = ["true", "false", "yes", "no", "on", "off", "null", "~"].contains(&value);
        let named = key.ends_with("password") || key.ends_with("passphrase");
        if plain && named && !off && !value.starts_with('$') { password(value) } else { None }
    })
}
