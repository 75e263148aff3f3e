//! What a TPM will have measured of an ISO that is started through a shim.

use anyhow::Result;

use buildplan::{Arg, Artifact, Planner, Stage};

/// The prediction, beside the manifest.
pub const REGISTERS: &str = "pcr.json";

/// What the registers of a TPM hold once this ISO was started.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PredictedRegisters {
    /// The ISO.
    pub(super) iso: Artifact,
}

impl Stage for PredictedRegisters {
    type Out = Artifact;
    const NAME: &'static str = "registers";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>("what a TPM measures");
        let to = node.out(REGISTERS);
        node.derived().builtin("predict-registers", [("iso", Arg::from(&self.iso)), ("to", to)]);
        Ok(node.finish_one())
    }
}
