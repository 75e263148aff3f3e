//! The command line of `docker-1`: the system's own code takes it, and what that refuses is said here.

use super::{LineChecker, codes};
use crate::host::{Host, RefusedPart, setting};

/// What the system does with the rest.
pub(crate) const AT_BOOT: &str = "the console names it, and the rest is applied";

impl LineChecker<'_> {
    pub(super) fn host(&mut self) {
        let Some(dialect) = self.dialect else { return };
        let mut host = Host::default();
        for word in self.words {
            for refusal in setting(&mut host, word, dialect) {
                let (code, help) = advice(refusal.part);
                self.found.say(code, refusal.span, refusal.message, AT_BOOT, help);
            }
        }
        for message in host.render().refused {
            self.found.say(
                &codes::HOST_VALUE,
                0..self.line.len(),
                message,
                AT_BOOT,
                "complete it, or remove it",
            );
        }
        self.top_level_without_prefix();
    }
}

/// The rule and the next step for something that is refused.
pub(crate) fn advice(part: RefusedPart) -> (&'static codes::Code, String) {
    match part {
        RefusedPart::Key => (&codes::HOST_KEY, "`params list --os docker-1` lists the keys".to_owned()),
        RefusedPart::ValueLike(example) => (&codes::HOST_VALUE, format!("for example `{example}`")),
        RefusedPart::Value => {
            (&codes::HOST_VALUE, "`params list --os docker-1` shows an example of each value".to_owned())
        }
    }
}
