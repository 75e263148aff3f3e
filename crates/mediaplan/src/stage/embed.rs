//! What stays changeable in a finished ISO: the embed areas for kernel parameters and for a cloud-config.

use anyhow::Result;

use bootiso::{config_initrd::LENGTH, embed::Loader};
use bootparams::Os;
use buildplan::{Arg, Artifact, Planner, Stage};

/// An archive that loaders put in front of the initrd, which stays as it was released: the cloud-config, and zeros.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConfigInitrd {
    /// Where the system looks for it, from its root.
    pub path: &'static str,
    /// The cloud-config, from the repository's root.
    pub config: Option<String>,
}

impl Stage for ConfigInitrd {
    type Out = Artifact;
    const NAME: &'static str = "config-initrd";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>("config initrd with the cloud-config");
        let mut args = self.args();
        args.push(("to", node.out("seed.cpio")));
        node.builtin("config-initrd", args);
        Ok(node.finish_one())
    }
}

impl ConfigInitrd {
    fn args(&self) -> Vec<(&'static str, Arg)> {
        let mut args = vec![("path", self.path.into()), ("length", LENGTH.to_string().into())];
        args.extend(self.config.iter().map(|c| ("config", Arg::Src(c.clone()))));
        args
    }
}

/// The cloud-config as a file of its own, for web servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CloudConfig(pub String);

impl Stage for CloudConfig {
    type Out = Artifact;
    const NAME: &'static str = "cloud-config";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>("cloud-config");
        let to = node.out("cloud-config.yml");
        node.derived().copy(Arg::Src(self.0.clone()), to);
        Ok(node.finish_one())
    }
}

/// The loaders' files of an ISO, and `/media.json`, which says where in them the embed areas are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EmbedAreas {
    /// Who reads the parameters.
    pub os: Os,
    /// Path in the ISO, file, who reads it, the parameters as written in it.
    pub files: Vec<(&'static str, Artifact, Loader, Arg)>,
    /// The config initrd in the ISO's root.
    pub config_initrd: Option<ConfigInitrd>,
}

impl Stage for EmbedAreas {
    type Out = Artifact;
    const NAME: &'static str = "embed-layout";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>("media.json: where the embed areas are");
        let mut args = vec![("to", node.out("media.json")), ("os", self.os.to_string().into())];
        for (path, file, loader, text) in &self.files {
            let loader = if *loader == Loader::Grub { "grub" } else { "isolinux" };
            args.extend([("file", (*path).into()), ("content", file.into())]);
            args.extend([("loader", loader.into()), ("args", text.clone())]);
        }
        args.extend(self.config_initrd.iter().flat_map(ConfigInitrd::args));
        node.builtin("embed-layout", args);
        Ok(node.finish_one())
    }
}
