//! Under which names and addresses this server answers for what is private.
//!
//! A page of another site can have its own name resolve to this server (DNS rebinding) and then read answers as if
//! they were its own. It cannot change the `Host` field, which still holds its name.

use std::net::{IpAddr, SocketAddr};

use super::server::has_address;

/// The host that QEMU's user network gives to its guests.
const QEMU_HOST: &str = "10.0.2.2";

/// Names and addresses that belong to this server.
pub(super) struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// `names` and what this host calls itself.
    pub(super) fn new(names: &[String]) -> Self {
        let mut names: Vec<String> = names.iter().map(|n| without_port(n)).collect();
        names.push("localhost".to_owned());
        #[cfg(unix)]
        if let Ok(name) = rustix::system::uname().nodename().to_str() {
            let name = plain(name);
            names.extend([format!("{name}.local"), name]);
        }
        Self { names }
    }

    /// Whether `host`, a checked `Host` field, is this server. `local` is the connection's end here.
    pub(super) fn know(&self, host: &str, local: SocketAddr) -> bool {
        let name = without_port(host);
        if self.names.contains(&name) {
            return true;
        }
        let Ok(ip) = name.parse::<IpAddr>() else { return false };
        let (ip, local) = (ip.to_canonical(), local.ip().to_canonical());
        // Asked last, since it opens a socket.
        let here = || !ip.is_unspecified() && !ip.is_multicast() && has_address(ip);
        ip == local || (name == QEMU_HOST && local.is_loopback()) || here()
    }
}

/// How a name is compared: lower case, without the dot of the root.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The name or address of a checked `Host` field.
fn without_port(host: &str) -> String {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    plain(name.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_and_addresses_are_ours() {
        let hosts = Hosts::new(&["Boot.lan".to_owned(), "10.1.2.3".to_owned()]);
        let local = "127.0.0.1:8089".parse().unwrap();
        for good in [
            "boot.lan",
            "boot.lan.:80",
            "10.1.2.3:1",
            "localhost:8089",
            "127.0.0.1",
            "[::ffff:127.0.0.1]:80",
            "10.0.2.2:8089",
        ] {
            assert!(hosts.know(good, local), "{good}");
        }
        for bad in [
            "evil.example",
            "boot.lan.evil.example",
            "192.0.2.77:8089",
            "0.0.0.0",
            "[2001:db8::1]",
            "224.0.0.1",
        ] {
            assert!(!hosts.know(bad, local), "{bad}");
        }
        assert!(
            !hosts.know("10.0.2.2", "192.168.1.1:80".parse().unwrap()),
            "QEMU's guests come by the loopback"
        );
    }
}
