//! Small images of containers for boots that prove what a medium does: one that is carried, one that is pulled.

use anyhow::Result;

use super::packages::{PackageTree, in_tree};
use buildplan::{Arg, Artifact, Planner, Stage};

/// What the images hold.
pub(super) const PACKAGES: &[&str] = &["busybox-static"];

/// An image, as an archive for `docker load` that a registry can be filled from too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sample {
    pub(super) packages: PackageTree,
    pub(super) image: Image,
}

/// Which image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Image {
    /// Counts in a volume and serves the number.
    Counter,
    /// Says a line and ends.
    Greeter,
}

impl Image {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Greeter => "greeter",
        }
    }
}

impl Stage for Sample {
    type Out = Artifact;
    const NAME: &'static str = "sample";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let packages = p.ensure(&self.packages)?;
        let name = self.image.name();
        let mut node = p.node::<Self>(format!("the sample image {name}"));
        let to = node.out(format!("{name}.tar"));
        node.builtin(
            "sample-image",
            [
                ("busybox", in_tree(&packages, "usr/bin/busybox")),
                ("script", Arg::Src(format!("tests/containers/{name}"))),
                ("name", format!("sample/{name}:1").into()),
                ("to", to),
            ],
        );
        Ok(node.finish_one())
    }
}
