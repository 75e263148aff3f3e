//! A profile's own ISO: kernel, initrd and parameters behind isolinux and GRUB.

use anyhow::Result;

use super::{
    embed::{ConfigInitrd, EmbedAreas},
    image::{EfiImage, Grub, HybridIso, ToGrub},
    line::Line,
    media::{enrolment, title},
    os,
    packages::{Tools, Uefi},
    script::{Script, ScriptValue},
};
use crate::config::Profile;
use bootiso::{config_initrd::CLOUD_CONFIG, embed::Loader};
use bootparams::{Os, Target};
use buildplan::{Arg, Artifact, Planner, Stage};

/// The ISO of a profile at a version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BootIso {
    /// Profile whose ISO this is.
    pub profile: Profile,
    /// Kernel parameters, spelled for each loader.
    pub line: Line,
    /// Kernel and initrd.
    pub os: os::OsFiles,
    /// What it is made with.
    pub tools: Tools,
    /// What UEFI starts.
    pub uefi: Uefi,
    /// The version in its name.
    pub version: String,
}

impl Stage for BootIso {
    type Out = Artifact;
    const NAME: &'static str = "boot-iso";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let profile = &self.profile;
        let marker = format!("/boot/grub/{}-{}.id", profile.name, self.version);
        let efi = self.efi(p, &marker)?;
        let config = config_initrd(profile);
        let loaders = loaders(p, profile, &self.line, config.is_some())?;
        let layout = EmbedAreas { os: profile.os, files: loaders.clone(), config_initrd: config.clone() };
        let mut files = self.overlay();
        let mut add = |path: &str, artifact: &Artifact| files.push((path.to_owned(), Arg::from(artifact)));
        add("/vmlinuz", &self.os.kernel);
        add("/initrd", &self.os.initrd);
        add("/media.json", &p.ensure(&layout)?);
        add(&marker, &p.ensure(&marker_file(profile))?);
        loaders.iter().for_each(|(path, file, ..)| add(path, file));
        if let Some(config) = &config {
            add("/seed.cpio", &p.ensure(config)?);
        }
        for (path, file) in enrolment(p, profile)? {
            add(&format!("/{path}"), &file);
        }
        let name = format!("{}-{}-x86_64.iso", profile.name, self.version);
        let tools = self.tools.clone();
        p.ensure(&HybridIso { name, volume: volume(profile), files, efi: Some(efi), tools })
    }
}

impl BootIso {
    /// The FAT image: what firmware starts, and what that starts in turn.
    fn efi(&self, p: &mut Planner, marker: &str) -> Result<Artifact> {
        let marker = marker.to_owned();
        let image = match &self.uefi {
            Uefi::Own { tree, modules } => {
                let grub = Grub { tree: tree.clone(), modules: modules.clone(), marker };
                EfiImage::new([("EFI/BOOT/BOOTX64.EFI", Arg::from(&p.ensure(&grub)?))])
            }
            // From a CD this GRUB reads the ISO's own grub.cfg, from a stick the one beside it.
            Uefi::Distribution { shim, grub } => {
                let to_grub = p.ensure(&ToGrub { marker })?;
                let programs = [
                    ("EFI/BOOT/BOOTX64.EFI", shim),
                    ("EFI/BOOT/grubx64.efi", grub),
                    ("boot/grub/grub.cfg", &to_grub),
                ];
                let keys = enrolment(p, &self.profile)?;
                let keys = keys.iter().map(|(path, file)| (*path, file));
                EfiImage::new(programs.into_iter().chain(keys).map(|(path, file)| (path, Arg::from(file))))
            }
        };
        p.ensure(&image)
    }

    /// `isofs/<profile>/root/` lands in the ISO's root.
    fn overlay(&self) -> Vec<(String, Arg)> {
        let name = &self.profile.name;
        let files = self.profile.overlay.iter().filter_map(|f| Some((f, f.strip_prefix("root/")?)));
        files.map(|(f, path)| (format!("/{path}"), Arg::Src(format!("isofs/{name}/{f}")))).collect()
    }
}

/// `ros install` looks for these labels (install.go of 1.2.0 and later); everyone else gets the profile's name.
fn volume(profile: &Profile) -> String {
    match profile.os {
        Os::Rancher(_) => "RancherOS".to_owned(),
        Os::Burmilla(_) => "BurmillaOS".to_owned(),
        Os::Docker | Os::Smoke | Os::Linux => {
            profile.name.to_uppercase().replace('-', "_").chars().take(32).collect()
        }
    }
}

fn marker_file(profile: &Profile) -> Script {
    Script {
        template: "isofs/common/marker.cfg".to_owned(),
        name: "marker.cfg",
        variables: vec![("title", title(profile))],
        embed_area: None,
    }
}

/// `isolinux.cfg` and `grub.cfg` out of one list of parameters, each with an embed area behind them.
fn loaders(
    p: &mut Planner,
    profile: &Profile,
    line: &Line,
    has_config: bool,
) -> Result<Vec<(&'static str, Artifact, Loader, Arg)>> {
    let initrd = |separator: &str| match has_config {
        true => format!("/seed.cpio{separator}/initrd"),
        false => "/initrd".to_owned(),
    };
    let each = [
        ("/isolinux.cfg", "isolinux.cfg", Loader::Isolinux, Target::Isolinux, initrd(",")),
        ("/boot/grub/grub.cfg", "grub.cfg", Loader::Grub, Target::Grub, initrd(" ")),
    ];
    let each = each.map(|(path, name, loader, target, initrd)| {
        let args = line.spelled(target)?;
        let script = Script {
            template: template(profile, name),
            name,
            variables: vec![
                ("title", title(profile)),
                ("args", line.value(args.clone())),
                ("initrd", ScriptValue::Text(initrd)),
            ],
            embed_area: Some("args"),
        };
        Ok((path, p.ensure(&script)?, loader, line.value(args).arg()))
    });
    each.into_iter().collect()
}

/// Where the profile's system looks for a cloud-config in its initrd; none for a system that knows none.
#[must_use]
pub(crate) fn config_initrd(profile: &Profile) -> Option<ConfigInitrd> {
    // Until 0.8 the system wipes or loses the first at boot, and reads the second (cmd/cloudinit of v0.4.4).
    let path = match profile.os {
        Os::Linux => return None,
        os if os == Os::Docker || os.since(0, 8, 0) => CLOUD_CONFIG,
        _ => "usr/share/ros/oem/oem-config.yml",
    };
    Some(ConfigInitrd { path, config: profile.cloud_config.clone() })
}

/// A profile's own template, or the one that all share.
fn template(profile: &Profile, name: &str) -> String {
    let own = profile.overlay.iter().any(|f| f == name);
    let folder = if own { profile.name.as_str() } else { "common" };
    format!("isofs/{folder}/{name}")
}
