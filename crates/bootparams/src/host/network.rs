//! `rancher.network`: addresses by selector, name servers, proxies.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::BTreeMap;

use super::{
    Host,
    table::Wildcards,
    take::{self, TakeResult},
};

/// What the network is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    pub(super) nameservers: Vec<IpAddr>,
    pub(super) search: Vec<String>,
    pub(super) proxies: BTreeMap<&'static str, String>,
    pub(super) interfaces: BTreeMap<String, Interface>,
}

/// An interface, or all that a selector takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Interface {
    pub(super) selector: Option<String>,
    pub(super) dhcp: bool,
    pub(super) addresses: Vec<String>,
    pub(super) gateway: Option<Ipv4Addr>,
    pub(super) gateway6: Option<core::net::Ipv6Addr>,
    pub(super) mtu: Option<u32>,
}

/// Changes the interface that a path names.
pub(super) fn with(
    host: &mut Host,
    names: &Wildcards<'_>,
    change: impl FnOnce(&mut Interface),
) -> TakeResult {
    let name = names.first().copied().unwrap_or_default();
    match normal_selector(name) {
        Ok(selector) => {
            change(host.network.interfaces.entry(selector).or_default());
            Vec::new()
        }
        Err(reason) => vec![reason],
    }
}

/// A selector as the system compares it. RancherOS takes any character behind `mac`, and addresses in each of the ways
/// of Go's `net.ParseMAC`.
fn normal_selector(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("mac:").or_else(|| text.strip_prefix("mac="));
    let normal = match address {
        None => take::plain(text, ":*?_.-").then(|| text.to_owned()),
        Some(pattern) if pattern.contains(['*', '?']) => {
            take::plain(pattern, ":*?").then(|| format!("mac:{}", pattern.to_ascii_lowercase()))
        }
        Some(address) => {
            let wrong = || format!("`{}` is not a hardware address", address.escape_debug());
            return hardware_address(address).map(|a| format!("mac:{a}")).ok_or_else(wrong);
        }
    };
    normal.ok_or_else(|| format!("`{}` selects nothing", text.escape_debug()))
}

/// `52:54:00:12:34:56` of this, `52-54-…` or `5254.0012.3456`; of 6, 8 or 20 bytes, as Go's `net.ParseMAC` has it.
pub(crate) fn hardware_address(text: &str) -> Option<String> {
    let (separator, width) =
        if text.contains('.') { ('.', 4) } else { (if text.contains('-') { '-' } else { ':' }, 2) };
    let whole = |group: &str| group.len() == width && group.bytes().all(|b| b.is_ascii_hexdigit());
    let digits: Vec<char> =
        text.chars().filter(|c| *c != separator).map(|c| c.to_ascii_lowercase()).collect();
    (text.split(separator).all(whole) && [12, 16, 40].contains(&digits.len()))
        .then(|| digits.chunks(2).map(String::from_iter).collect::<Vec<_>>().join(":"))
}

pub(super) fn selector(host: &mut Host, names: &Wildcards<'_>, value: String) -> TakeResult {
    match normal_selector(&value) {
        Ok(selector) => with(host, names, |i| i.selector = Some(selector)),
        Err(reason) => vec![reason],
    }
}

/// Checks address/length.
pub(super) fn with_length(text: &str) -> Result<String, String> {
    let wrong = || format!("`{}` is not address/length, such as 192.168.1.2/24", text.escape_debug());
    let (address, length) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse::<u8>().ok().filter(|l| *l <= most).ok_or_else(wrong)?;
    Ok(format!("{address}/{length}"))
}

pub(super) fn addresses(host: &mut Host, names: &Wildcards<'_>, texts: Vec<String>) -> TakeResult {
    let mut kept = Vec::new();
    let mut said = take::each(&mut kept, texts, |text| with_length(&text));
    // `address` and `addresses` of one interface are both meant.
    said.extend(with(host, names, |i| {
        kept.retain(|a| !i.addresses.contains(a));
        i.addresses.extend(kept);
    }));
    said
}

pub(super) fn gateway(host: &mut Host, names: &Wildcards<'_>, value: String) -> TakeResult {
    match value.parse() {
        Ok(IpAddr::V4(address)) => with(host, names, |i| i.gateway = Some(address)),
        Ok(IpAddr::V6(address)) => with(host, names, |i| i.gateway6 = Some(address)),
        Err(_) => vec![format!("`{}` is not an address", value.escape_debug())],
    }
}

pub(super) fn mtu(host: &mut Host, names: &Wildcards<'_>, value: i64) -> TakeResult {
    match u32::try_from(value).ok().filter(|m| (68..=65_535).contains(m)) {
        Some(mtu) => with(host, names, |i| i.mtu = Some(mtu)),
        None => vec!["a packet has 68 to 65535 bytes".to_owned()],
    }
}

pub(super) fn nameservers(host: &mut Host, _: &Wildcards<'_>, servers: Vec<String>) -> TakeResult {
    take::each(&mut host.network.nameservers, servers, |s| {
        s.parse().map_err(|_| format!("`{}` is not an address", s.escape_debug()))
    })
}

pub(super) fn search(host: &mut Host, _: &Wildcards<'_>, domains: Vec<String>) -> TakeResult {
    take::each(&mut host.network.search, domains, take::hostname)
}

pub(super) fn proxy(host: &mut Host, name: &'static str, value: String) -> TakeResult {
    match take::line(value) {
        Ok(value) => {
            host.network.proxies.insert(name, value);
            Vec::new()
        }
        Err(reason) => vec![reason],
    }
}
