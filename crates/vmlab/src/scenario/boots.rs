//! What one boot of a scenario needs: its medium, its server, its machine.

use core::net::{Ipv4Addr, SocketAddrV4};

use std::sync::PoisonError;

use anyhow::{Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::{Trial, signed};
use crate::{backend::Backend, lan::Lan, media, netboot, server::RunningServer};
use ::netboot::fleet::{BIOS, UEFI, for_uefi, is_asked_for};
use vmspec::{
    Firmware, Forward, Machine, Nic,
    qemu::{Ovmf, QemuHost},
    scenario::{Offer, Proof, Sabotage, Start, config_line, host_name},
    spec::serial_log,
};

/// What a network of its own serves, in the folder of its scenario.
pub(super) const TREE: &str = "tree";

impl Trial<'_> {
    /// The medium with the nonce in its kernel arguments; iPXE's has none, the script brings them.
    pub(super) fn medium(&self, nonce: &str) -> Result<Utf8PathBuf> {
        let dist = self.dist();
        if self.scenario.start.is_ipxe_iso() {
            let Some(iso) = &dist.ipxe_iso else { bail!("ipxe.iso is missing") };
            return Ok(iso.clone());
        }
        if matches!(self.scenario.start, Start::Network(Offer::Pxe | Offer::Http)) {
            return Ok(dist.iso.clone());
        }
        if self.scenario.proof == Proof::Measured {
            return Ok(dist.iso.clone());
        }
        let copy = self.copy();
        let config = matches!(self.scenario.proof, Proof::CloudConfig | Proof::Ssh | Proof::Containers(_))
            .then(|| self.config(nonce));
        if copy.exists() {
            fs_err::remove_file(&copy)?;
        }
        if dist.embed_areas {
            let args = self.args(nonce);
            media::copy(
                &dist.iso,
                &copy,
                &args.iter().map(String::as_str).collect::<Vec<_>>(),
                config.as_deref(),
            )?;
        } else {
            fs_err::copy(&dist.iso, &copy)?;
        }
        match self.scenario.proof {
            Proof::Fails(Sabotage::DamagedInitrd) => media::damage_initrd(&copy)?,
            Proof::Fails(Sabotage::ChangedKernel) => media::change_kernel(&copy)?,
            Proof::Fails(Sabotage::UnsignedGrub) => media::unsign_grub(&copy)?,
            _ => {}
        }
        Ok(copy)
    }

    pub(super) fn args(&self, nonce: &str) -> Vec<String> {
        let more = self.scenario.extra_args().into_iter().chain(self.more_args).map(str::to_owned);
        let line = self.lab.iter().flat_map(|lab| lab.line.iter().cloned());
        std::iter::once(format!("media.nonce={nonce}")).chain(more).chain(line).collect()
    }

    /// The cloud-config of a boot: one that does little but show which it is.
    fn config(&self, nonce: &str) -> String {
        if let Some(lab) = &self.lab {
            return lab.config(nonce);
        }
        let mut config = format!("#cloud-config\n{}\n", config_line(nonce));
        if !self.setup.dist.speaks {
            config += &format!("hostname: {}\n", host_name(nonce));
        }
        if let Some(key) = &self.key {
            config += &format!("ssh_authorized_keys:\n  - {key}\n");
        }
        config
    }

    pub(super) fn serve(&self, nonce: &str, at: SocketAddrV4) -> Result<RunningServer> {
        let proof = self.scenario.proof;
        if let (Start::Signed(scheme), Ok(signed)) = (self.scenario.start, &self.setup.signed) {
            return RunningServer::start(&signed.media(scheme).tree, at, signed.changes(scheme, proof)?);
        }
        let samples = self.setup.samples.as_ref().filter(|_| self.lab.is_some());
        let tree = samples.map_or(&self.setup.tree, |s| &s.tree);
        if self.setup.dist.signed {
            return RunningServer::start(tree, at, signed::forged(tree, proof)?);
        }
        let sabotage = if let Proof::Fails(sabotage) = proof { Some(sabotage) } else { None };
        let mut script = fs_err::read_to_string(tree.join("boot.html"))?;
        let mut args = self.args(nonce).join(" ");
        let config = self.scenario.fetches_config().then(|| self.config(nonce));
        if config.is_some() {
            let host = self.setup.dist.network.as_ref().map_or(String::new(), |n| n.host.to_string());
            let url = format!("http://{host}:{}/{}", at.port(), netboot::CONFIG);
            args += &format!(" rancher.cloud_init.datasources=[url:{url}]");
            script = netboot::without_config_initrd(&script);
        }
        let script = netboot::with_args(&script, &args)?;
        let kernel = fs_err::metadata(tree.join("vmlinuz"))?.len();
        RunningServer::start(tree, at, netboot::changes(&script, config.as_deref(), kernel, sabotage))
    }

    /// A network in which firmware is offered `offer` of the profile's media.
    pub(super) fn network(
        &self,
        nonce: &str,
        medium: &Utf8Path,
        offer: Offer,
        dir: &Utf8Path,
    ) -> Result<Lan> {
        let (setup, tree) = (self.setup, self.dir.join(TREE));
        fs_err::create_dir_all(&tree)?;
        for file in setup.tree.read_dir_utf8()? {
            let file = file?;
            fs_err::copy(file.path(), tree.join(file.file_name()))?;
        }
        let programs = setup.dist.iso.with_file_name("");
        let uefi = for_uefi(|name| programs.join(name).is_file()).unwrap_or(UEFI);
        for file in programs.read_dir_utf8()? {
            let file = file?;
            if file.file_name() == BIOS || is_asked_for(file.file_name(), uefi) {
                fs_err::copy(file.path(), tree.join(file.file_name()))?;
            }
        }
        if offer == Offer::Iso {
            fs_err::copy(medium, tree.join("medium-x86_64.iso"))?;
        }
        if !setup.dist.signed {
            let script = fs_err::read_to_string(tree.join("boot.html"))?;
            let script = netboot::with_args(&script, &self.args(nonce).join(" "))?;
            netboot::SCRIPTS.iter().try_for_each(|name| fs_err::write(tree.join(name), &script))?;
        }
        let network = setup.dist.network.as_ref().map_err(|why| anyhow!("{why}"))?;
        let port = *setup.port.lock().unwrap_or_else(PoisonError::into_inner);
        Lan::open(self.ctx, dir, &tree, SocketAddrV4::new(network.host, port), network, offer)
    }

    /// The machine of the next boot, the address at which it finds this host, and the folder of its transcripts.
    /// Disks stay the same from boot to boot.
    pub(super) fn machine(&mut self, medium: &Utf8Path) -> Result<(Machine, Ipv4Addr, Utf8PathBuf)> {
        self.boots += 1;
        let dir = self.dir.join(format!("boot-{:02}", self.boots));
        fs_err::create_dir_all(&dir)?;
        let network = self.dist().network.clone().ok();
        let mut machine = self.scenario.machine(&self.setup.spec, network.as_ref(), self.dir, medium);
        machine.serial = serial_log(&dir);
        if machine.firmware == Firmware::SecureBoot {
            machine.variables = self.variables(medium)?;
        }
        if self.scenario.proof == Proof::Ssh {
            let forward = Forward { name: "guestssh".to_owned(), host_port: self.ssh_port, guest_port: 22 };
            machine.nics = vec![self.setup.spec.card(Nic::Nat { network: None, forwards: vec![forward] })];
        }
        machine.tpm = self.tpm.as_ref().map(|tpm| tpm.socket.clone());
        if let Some(lab) = &mut self.lab {
            lab.choose_ports()?;
            lab.fit(&mut machine, |plug| self.setup.spec.card(plug));
        }
        self.scenario.fit(&mut machine);
        (self.fit)(&mut machine);
        let (machine, address) = self.setup.backend.ready(self.ctx, machine, self.dir)?;
        Ok((machine, address, dir))
    }

    /// Variables of a firmware that knows more than those of the factory: the key of the media, or that the medium's first
    /// loader was revoked.
    fn variables(&self, medium: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
        let Backend::Qemu(QemuHost { secure: Some(Ovmf::Split { vars, .. }), .. }) = &self.setup.backend
        else {
            // VirtualBox keeps its own.
            return Ok(None);
        };
        let path = self.dir.join("variables.fd");
        match (self.scenario.proof, &self.setup.dist.own_key) {
            (Proof::Fails(Sabotage::RevokedShim), _) => media::revoke(vars, medium, &path)?,
            (Proof::Fails(Sabotage::UnknownKey), _) | (_, None) => return Ok(None),
            (_, Some(cer)) => media::enrol(vars, cer, &path)?,
        }
        Ok(Some(path))
    }
}
