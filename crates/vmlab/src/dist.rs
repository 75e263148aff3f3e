//! What was built, as far as machines need to know.

use core::net::Ipv4Addr;

use anyhow::Result;
use bootparams::Os;
use camino::{Utf8Path, Utf8PathBuf};

use crate::netboot;
use ::netboot::fleet;
use bootiso::{Iso, kargs};
use buildexec::ctx::Ctx;
use failure::{Failure, Kind};
use mediaplan::{
    config::{BaseUrl, Profile, SecureBoot},
    stage::measured::REGISTERS,
};
use vmspec::{HostOnly, scenario::Dist};

/// The certificate of the key that signed the media.
const OWN_KEY: &str = "secure-boot/secure-boot.cer";

/// Looks at `dist/<profile>/`.
///
/// # Errors
/// [`Kind::Usage`] when it was not built.
pub fn find(ctx: &Ctx, profile: &Profile) -> Result<Dist> {
    find_in(&ctx.dist.join(&profile.name), profile)
}

/// Looks at media of `profile` in the folder `dir`.
///
/// # Errors
/// [`Kind::Usage`] when they are not there.
pub fn find_in(dir: &Utf8Path, profile: &Profile) -> Result<Dist> {
    let ipxe_iso = Some(dir.join("ipxe.iso")).filter(|p| p.exists());
    let iso = image(dir, &profile.name)?;
    let image = Iso::open(&iso)?;
    let kargs = kargs::show(&image, None).ok();
    let initrd = image.find("/initrd").map(|file| file.extents.iter().map(|e| e.length).sum());
    Ok(Dist {
        ipxe_uefi: ipxe_iso.as_deref().map(for_uefi).transpose()?.unwrap_or_default(),
        ipxe_iso,
        ipxe_programs: dir.join(fleet::BIOS).is_file()
            && fleet::for_uefi(|name| dir.join(name).is_file()).is_some(),
        network: network(profile),
        embed_areas: kargs.as_ref().is_some_and(|k| k.has_embed_areas),
        config_initrd: kargs.as_ref().is_some_and(|k| k.has_config_initrd),
        own_key: Some(dir.join(OWN_KEY)).filter(|p| p.exists()),
        signed: dir.join("netboot/boot.ipxe.sig").is_file(),
        netboot_config: netboot_config(&dir.join("netboot"))?,
        speaks: profile.vm.speaks(),
        login: login(profile),
        state_label: kargs.as_ref().and_then(|k| k.slots.iter().find_map(|s| state_label(&s.line()))),
        secure_boot: profile.secure_boot != SecureBoot::Off,
        own_kernel: profile.certificate.is_some() && !profile.media.is_distributions(),
        tells_secure_boot: profile.os == Os::Smoke,
        registers: dir.join(REGISTERS).is_file(),
        initrd_bytes: initrd.unwrap_or_default(),
        iso,
    })
}

/// What a build would make, as far as its names tell, for commands that are only looked at.
#[must_use]
pub(crate) fn expected(ctx: &Ctx, profile: &Profile) -> Dist {
    let dir = ctx.dist.join(&profile.name);
    let version = profile.version.as_deref().unwrap_or("VERSION");
    Dist {
        iso: dir.join(format!("{}-{version}-x86_64.iso", profile.name)),
        ipxe_iso: Some(dir.join("ipxe.iso")),
        ipxe_uefi: false,
        ipxe_programs: false,
        network: network(profile),
        config_initrd: false,
        embed_areas: false,
        own_key: profile.certificate.is_some().then(|| dir.join(OWN_KEY)),
        signed: profile.netboot.is_signed(),
        netboot_config: None,
        speaks: profile.vm.speaks(),
        login: login(profile),
        state_label: None,
        secure_boot: profile.secure_boot != SecureBoot::Off,
        own_kernel: profile.certificate.is_some() && !profile.media.is_distributions(),
        tells_secure_boot: profile.os == Os::Smoke,
        registers: profile.secure_boot != SecureBoot::Off,
        initrd_bytes: 0,
    }
}

/// Both systems have the user of that name, who gets the keys of the cloud-config.
pub(crate) fn login(profile: &Profile) -> Option<String> {
    matches!(profile.os, Os::Rancher(_) | Os::Burmilla(_)).then(|| "rancher".to_owned())
}

/// The label in `rancher.state.dev=LABEL=RANCHER_STATE`.
fn state_label(args: &str) -> Option<String> {
    let word = args.split_whitespace().find_map(|word| word.strip_prefix("rancher.state.dev=LABEL="))?;
    Some(word.to_owned())
}

/// The folder that a web server would serve.
#[must_use]
pub fn tree(ctx: &Ctx, profile: &Profile) -> Utf8PathBuf {
    ctx.dist.join(&profile.name).join("netboot")
}

/// The one image `<profile>-<version>-x86_64.iso`.
fn image(dir: &Utf8Path, profile: &str) -> Result<Utf8PathBuf> {
    let is_image = |name: &str| {
        name.strip_prefix(profile).is_some_and(|r| r.starts_with('-')) && name.ends_with("-x86_64.iso")
    };
    let mut found = Vec::new();
    if dir.exists() {
        for entry in dir.read_dir_utf8()? {
            let entry = entry?;
            if is_image(entry.file_name()) {
                found.push(entry.into_path());
            }
        }
    }
    found.sort();
    found.pop().ok_or_else(|| {
        Failure::new(Kind::Usage, format!("no image of {profile} in {dir}"))
            .help(format!("build it first: cargo xtask dist {profile}"))
            .into()
    })
}

/// What a guest says that is booted from this tree as it is: its script loads a config initrd with this cloud-config.
fn netboot_config(tree: &Utf8Path) -> Result<Option<String>> {
    let config = tree.join(netboot::CONFIG);
    if !config.exists() || !netboot::has_config_initrd(&fs_err::read_to_string(tree.join("boot.html"))?) {
        return Ok(None);
    }
    let text = fs_err::read_to_string(config)?;
    Ok(text.lines().next().map(|first| format!("seed {}", first.trim())))
}

/// Whether UEFI firmware finds something to start in `ipxe.iso`.
fn for_uefi(iso: &Utf8Path) -> Result<bool> {
    Ok(Iso::open(iso)?.boot_entries()?.iter().any(|e| e.bootable && e.platform == "efi"))
}

/// The network in which the base URL leads to this host.
fn network(profile: &Profile) -> Result<HostOnly, String> {
    let url: &BaseUrl = &profile.base_url;
    if url.to_string().starts_with("https:") || !url.path().is_empty() {
        return Err(format!("the server of these boots cannot stand in for {url}"));
    }
    let host: Ipv4Addr =
        url.host.parse().map_err(|_| format!("base-url {url} names no address that QEMU could give us"))?;
    if host == profile.vm.host_only.host {
        Ok(profile.vm.host_only.clone())
    } else {
        Ok(HostOnly::around(host))
    }
}
