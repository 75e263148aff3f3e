//! `cargo xtask serve`: its arguments. The package `lab` does it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
};

use camino::Utf8PathBuf;

use super::netboot_key::NetbootKeyArgs;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask serve rancheros                             # at its base-url\n\
\x20 cargo xtask serve rancheros --listen 192.168.1.10:8089  # somewhere else\n\
\x20 cargo xtask serve rancheros --dhcp                      # netboot as well\n\
\x20 cargo xtask serve rancheros --print nginx               # for your server")]
pub struct ServeArgs {
    /// Profile whose `dist/PROFILE/netboot` is served.
    pub profile: Option<String>,
    /// Listen here instead of on the host of the profile's base-url, such as 192.168.1.10:8089.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,
    /// Another name or address of this server, such as a forwarded port's (repeatable). The live view and cloud-configs
    /// are served only under known names: the base-url's, this host's, and these.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// What signs the scripts that are made for one machine, of a signed tree.
    #[command(flatten)]
    pub netboot_key: NetbootKeyArgs,
    /// Serve HTTPS with this certificate chain: PEM, the server's own certificate first.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<Utf8PathBuf>,
    /// The private key of --tls-cert, PEM, without a password.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<Utf8PathBuf>,
    /// Folder to serve instead of a profile's.
    #[arg(long, value_name = "FOLDER", conflicts_with = "profile")]
    pub tree: Option<Utf8PathBuf>,
    /// Also answer PXE requests on the network of the address listened on (proxy DHCP and TFTP, by dnsmasq), for
    /// machines that boot without our ISO. Addresses still come from the network's own DHCP server.
    #[arg(long, group = "boots")]
    pub dhcp: bool,
    /// Act as the DHCP server of a network without one, and give out these addresses.
    #[arg(long, value_name = "FIRST-LAST", value_parser = addresses, requires = "boots")]
    pub dhcp_range: Option<RangeInclusive<Ipv4Addr>>,
    /// What to offer UEFI HTTP Boot.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t, requires = "boots")]
    pub http_boot: HttpBoot,
    /// Print the equivalent configuration of another server, and serve nothing.
    #[arg(long, value_enum, group = "boots")]
    pub print: Option<Print>,
}

/// What firmware loads over HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum HttpBoot {
    /// iPXE, which loads the boot script.
    #[default]
    Ipxe,
    /// The ISO, which the firmware mounts as a disk in memory.
    Iso,
}

/// Servers whose configuration can be printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Print {
    /// Proxy DHCP and TFTP.
    Dnsmasq,
    /// HTTP.
    Nginx,
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write it as an address and a port, such as 192.168.1.10:8089".to_owned())
}

fn addresses(text: &str) -> Result<RangeInclusive<Ipv4Addr>, String> {
    let (first, last) = text.split_once('-').ok_or("write it as FIRST-LAST, two IPv4 addresses")?;
    let address = |t: &str| t.trim().parse().map_err(|_| format!("`{}` is not an IPv4 address", t.trim()));
    let (first, last) = (address(first)?, address(last)?);
    if first > last {
        return Err(format!("the range goes from high to low: did you mean {last}-{first}?"));
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_from_high_to_low_is_refused_with_the_swap() {
        let error = addresses("10.0.0.9-10.0.0.2").unwrap_err();
        assert!(error.contains("10.0.0.2-10.0.0.9"), "{error}");
        assert!(addresses("10.0.0.9").is_err() && addresses("a-b").is_err());
    }
}
