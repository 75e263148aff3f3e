//! `serve --print`: the configuration of a fleet's own servers, with the folders that such servers usually have.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
};

use anyhow::Result;

use super::Offering;
use failure::{Failure, Kind};
use netboot::fleet;
use xtask::cmd::serve::{Print, ServeArgs};

/// Where nginx finds the tree.
const ROOT: &str = "/srv/netboot";
/// Where dnsmasq finds iPXE.
const TFTP: &str = "/srv/tftp";

impl Offering {
    /// The configuration of `server`, below comments that say what to copy where.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what that server does not do, or an address that it cannot listen on.
    pub(super) fn print(&self, server: Print, args: &ServeArgs) -> Result<String> {
        let named = || self.base_url.host.parse().ok().map(|ip| SocketAddr::new(ip, self.base_url.port));
        let listen = args.listen.or_else(named).ok_or_else(|| {
            let text = format!("{} is a name, and the server needs an address", self.base_url.host);
            Failure::new(Kind::Usage, text).help("give it with --listen ADDRESS:PORT")
        })?;
        match (server, listen.ip()) {
            (Print::Nginx, _) if args.dhcp_range.is_some() => {
                Err(Failure::new(Kind::Usage, "nginx gives out no addresses")
                    .help("--dhcp-range goes with --print dnsmasq")
                    .into())
            }
            (Print::Nginx, _) => Ok(self.nginx(listen)),
            (Print::Dnsmasq, IpAddr::V4(address)) => self.dnsmasq(address, args.dhcp_range.clone()),
            (Print::Dnsmasq, ip) => {
                Err(Failure::new(Kind::Usage, format!("PXE is for IPv4, and {ip} is not")).into())
            }
        }
    }

    fn nginx(&self, listen: SocketAddr) -> String {
        let copy = self.machines.as_ref().map_or_else(String::new, |m| {
            format!("# Machines' own files, where there are any: cp -r {m} {ROOT}/\n")
        });
        let files: Vec<_> = self.for_firmware().into_values().map(camino::Utf8PathBuf::into_string).collect();
        let http = match files.as_slice() {
            [] => String::new(),
            files => format!("# For UEFI HTTP Boot: cp {} {ROOT}/\n", files.join(" ")),
        };
        let (base_url, signed) = (self.base_url.to_string(), self.is_signed());
        let config = fleet::Nginx { listen, base_url, root: ROOT.to_owned(), signed }.render();
        format!("# The tree: cp -r {}/. {ROOT}/\n{copy}{http}\n{config}", self.tree)
    }

    fn dnsmasq(&self, address: Ipv4Addr, range: Option<RangeInclusive<Ipv4Addr>>) -> Result<String> {
        // What is yet to be built has iPXE under its usual name.
        let uefi = self.for_uefi().or((!self.programs.is_dir()).then_some(fleet::UEFI));
        let firmware = self.for_firmware();
        let beside = firmware.keys().map(String::as_str).filter(|n| !n.ends_with(".iso") && Some(*n) != uefi);
        let names = [fleet::BIOS].into_iter().chain(uefi).chain(beside);
        let files: Vec<_> = names.map(|n| self.programs.join(n).into_string()).collect();
        let base_url = &self.base_url;
        let http = self.names_for_firmware()?.iter().map(|name| format!("{base_url}/{name}")).collect();
        let script = format!("{base_url}/boot.html");
        let config = fleet::Dnsmasq { address, script, tftp: TFTP.to_owned(), uefi, http, range }.render();
        Ok(format!("# iPXE: cp {} {TFTP}/\n{config}", files.join(" ")))
    }
}
