//! The host-only network: an interface with an address and a DHCP server on Linux and Windows, a network of the
//! system's own on macOS.

use super::{
    ManageStep, Networks, Place, System,
    state::{DhcpServer, HostOnlyInterface, HostOnlyNetwork, HostState},
};
use crate::HostOnly;
use buildplan::Cmd;
use failure::Failure;

/// What we call a host-only network that we make on macOS.
const OWN_NETWORK: &str = "boot-media";

/// What VBoxManage calls the network that a card is plugged into.
pub(super) struct Plug {
    /// The interface's or network's name.
    pub(super) name: String,
    /// What has to be done first.
    pub(super) steps: Vec<ManageStep>,
}

/// Plans the network `net`.
///
/// # Errors
/// When the host does not allow it.
pub(super) fn plan(
    place: &Place,
    net: &HostOnly,
    state: &HostState,
    allowed: &Networks,
) -> Result<Plug, Failure> {
    match place.system {
        System::MacOs => host_only_network(place, net, state, allowed),
        System::Linux | System::Windows => host_only_interface(place, net, state, allowed),
    }
}

/// An interface is found by its address: on Windows its name cannot be chosen, and on Linux the first one may
/// be another program's. One without an address is unused and is taken; else one is made.
fn host_only_interface(
    place: &Place,
    net: &HostOnly,
    state: &HostState,
    allowed: &Networks,
) -> Result<Plug, Failure> {
    let by_address = || state.interfaces.iter().find(|i| i.address == Some(net.host));
    let created = || state.interfaces.iter().find(|i| Some(&i.name) == state.created.as_ref());
    let unused = || state.interfaces.iter().find(|i| i.address.is_none_or(|a| a.is_link_local()));
    let found = by_address().or_else(created).or_else(unused);
    let mut steps = Vec::new();
    if found.is_none() {
        let cmd = place.manage("make a host-only interface").args(["hostonlyif", "create"]);
        steps.push(ManageStep::new(cmd).look_again());
    }
    let name = found.map_or_else(|| next_name(place.system, &state.interfaces), |i| i.name.clone());
    // VirtualBox also lists an address that it would only give, and calls an interface `Down` to which nothing is
    // plugged in: what counts is whether the host can be reached there.
    let has_address = state.host_answers
        && found.is_some_and(|i| i.address == Some(net.host) && i.netmask == Some(net.netmask()));
    if !has_address {
        allowed.check(net)?;
        let why = format!("give the host the address {} on {name}", net.host);
        let (host, mask) = (net.host.to_string(), net.netmask().to_string());
        let args = ["hostonlyif", "ipconfig", &name, "--ip", &host, "--netmask", &mask];
        steps.push(ManageStep::new(place.manage(why).args(args)));
    }
    let network = found.map(|i| i.network.clone()).filter(|n| !n.is_empty());
    let network = network.unwrap_or_else(|| format!("HostInterfaceNetworking-{name}"));
    steps.extend(dhcp(place, net, state, &network));
    Ok(Plug { name, steps })
}

/// What the next interface will be called. It is a guess for printing; the real name is read from the answer.
fn next_name(system: System, existing: &[HostOnlyInterface]) -> String {
    let name = |n: usize| match (system, n) {
        (System::Windows, 0) => "VirtualBox Host-Only Ethernet Adapter".to_owned(),
        (System::Windows, n) => format!("VirtualBox Host-Only Ethernet Adapter #{}", n + 1),
        (_, n) => format!("vboxnet{n}"),
    };
    (0..).map(name).find(|n| existing.iter().all(|i| i.name != *n)).expect("the list is finite")
}

fn dhcp(place: &Place, net: &HostOnly, state: &HostState, network: &str) -> Vec<ManageStep> {
    let wanted = DhcpServer {
        network: network.to_owned(),
        server: Some(net.dhcp_server),
        lower: Some(net.dhcp_first),
        upper: Some(net.dhcp_last),
        netmask: Some(net.netmask()),
        enabled: true,
    };
    let found = state.dhcp_servers.iter().find(|s| s.network == network);
    let server =
        |why: &str, verb: &str| place.manage(why).args(["dhcpserver", verb, &format!("--network={network}")]);
    let add = || ManageStep::new(ranged(server("make a DHCP server", "add"), net));
    match found {
        None => vec![add()],
        Some(server) if *server == wanted => Vec::new(),
        // What a refused `add` left behind: addresses of 0.0.0.0. Only after a `remove` can one be added.
        Some(half) if half.server.is_none() || half.lower.is_none() || half.upper.is_none() => {
            vec![ManageStep::new(server("remove a half-made DHCP server", "remove")), add()]
        }
        Some(_) => vec![ManageStep::new(ranged(server("change the DHCP server", "modify"), net))],
    }
}

fn ranged(cmd: Cmd, net: &HostOnly) -> Cmd {
    cmd.arg(format!("--server-ip={}", net.dhcp_server))
        .arg(format!("--netmask={}", net.netmask()))
        .arg(format!("--lower-ip={}", net.dhcp_first))
        .arg(format!("--upper-ip={}", net.dhcp_last))
        .arg("--enable")
}

/// The host gets the lowest address of the range, so the range starts at the host's address; the rest is given
/// to guests by a DHCP server that is built in.
fn host_only_network(
    place: &Place,
    net: &HostOnly,
    state: &HostState,
    allowed: &Networks,
) -> Result<Plug, Failure> {
    let by_address = || state.networks.iter().find(|n| n.lower == Some(net.host));
    let by_name = || state.networks.iter().find(|n| n.name == OWN_NETWORK);
    let found = by_address().or_else(by_name);
    let name = found.map_or(OWN_NETWORK, |n| n.name.as_str());
    let wanted = HostOnlyNetwork {
        name: OWN_NETWORK.to_owned(),
        lower: Some(net.host),
        upper: Some(net.dhcp_last),
        netmask: Some(net.netmask()),
        enabled: true,
    };
    let step = match found {
        Some(there) if *there == wanted => None,
        // A network of another name is someone else's: it is used as it is, since the host's address is right.
        Some(there) if there.name != OWN_NETWORK => (!there.enabled).then(|| {
            let cmd = place.manage("switch on the host-only network");
            ManageStep::new(cmd.args(["hostonlynet", "modify", "--name", name, "--enable"]))
        }),
        Some(_) => Some(ranged_network(place, "change the host-only network", "modify", net)),
        None => Some(ranged_network(place, "make a host-only network", "add", net)),
    };
    if step.is_some() {
        allowed.check(net)?;
    }
    Ok(Plug { name: name.to_owned(), steps: step.into_iter().collect() })
}

fn ranged_network(place: &Place, why: &str, verb: &str, net: &HostOnly) -> ManageStep {
    let (mask, lower, upper) = (net.netmask().to_string(), net.host.to_string(), net.dhcp_last.to_string());
    let cmd = place.manage(why).args(["hostonlynet", verb, "--name", OWN_NETWORK, "--netmask", &mask]);
    ManageStep::new(cmd.args(["--lower-ip", &lower, "--upper-ip", &upper, "--enable"]))
}
