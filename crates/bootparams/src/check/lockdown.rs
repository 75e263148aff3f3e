//! Parameters that Linux ignores once Secure Boot has locked it down.

use super::{LineChecker, codes};
use crate::kernel;

/// What the kernel's lockdown for integrity takes no heed of, and what then happens (`security/lockdown` of Linux 6.12, and
/// who calls `security_locked_down`).
const IGNORED: &[(&str, &str)] = &[
    ("acpi_rsdp", "the firmware's own tables are used"),
    ("efivar_ssdt", "no table is loaded"),
    ("hibernate", "the kernel does not hibernate"),
    ("ima_appraise", "unsigned files are refused as before"),
    ("iomem", "/dev/mem stays closed"),
    ("lockdown", "the kernel stays locked down"),
    ("msr.allow_writes", "no program writes to MSRs"),
    ("module.sig_enforce", "unsigned modules are refused regardless"),
    ("resume", "the kernel does not hibernate, so it does not resume"),
];

impl LineChecker<'_> {
    pub(super) fn lockdown(&mut self) {
        if !self.context.secure_boot {
            return;
        }
        for arg in kernel::args(self.line) {
            let text = &self.line[arg.span.clone()];
            let name = text.split_once('=').map_or(text, |(name, _)| name);
            let Some((_, instead)) = IGNORED.iter().find(|(ignored, _)| *ignored == name) else { continue };
            self.found.say(
                &codes::LOCKDOWN,
                arg.span,
                format!("`{name}` is ignored on a machine with Secure Boot"),
                *instead,
                "remove it, or turn Secure Boot off on that machine",
            );
        }
    }
}
