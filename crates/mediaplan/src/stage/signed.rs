//! What a person's key signs for Secure Boot, and what a machine trusts that key by.

use anyhow::Result;

use buildplan::{Arg, Artifact, Planner, Stage};

/// Builtins whose outputs only a key makes.
pub const BY_KEY: [&str; 2] = [PROGRAM, UPDATE];
const PROGRAM: &str = "sign-program";
const UPDATE: &str = "sign-key-update";

/// An EFI program with a signature by the key of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SignedProgram {
    /// What is signed; signatures that it has already stay.
    pub program: Artifact,
    /// The certificate, PEM, from the repository's root.
    pub certificate: String,
}

impl SignedProgram {
    /// `program`, signed where there is a certificate.
    ///
    /// # Errors
    /// None of its own.
    pub(super) fn maybe(
        p: &mut Planner,
        program: Artifact,
        certificate: Option<&String>,
    ) -> Result<Artifact> {
        match certificate {
            Some(certificate) => p.ensure(&Self { program, certificate: certificate.clone() }),
            None => Ok(program),
        }
    }
}

impl Stage for SignedProgram {
    type Out = Artifact;
    const NAME: &'static str = "sign";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let name = &self.program.name;
        let mut node = p.node::<Self>(format!("{name} signed"));
        let to = node.out(name);
        let certificate = Arg::Src(self.certificate.clone());
        node.derived().builtin(
            PROGRAM,
            [("program", Arg::from(&self.program)), ("certificate", certificate), ("to", to)],
        );
        Ok(node.finish_one())
    }
}

/// A certificate in the forms that firmware and MokManager take it in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Enrolment {
    /// The certificate, PEM, from the repository's root.
    pub(super) certificate: String,
}

impl Stage for Enrolment {
    /// Files by the path that they have on media and in `dist/`.
    type Out = Vec<(&'static str, Artifact)>;
    const NAME: &'static str = "enrolment";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Self::Out> {
        let certificate = || ("certificate", Arg::Src(self.certificate.clone()));
        let mut node = p.node::<Self>("certificate for firmware");
        let (cer, list) = (node.out("secure-boot.cer"), node.out("db.esl"));
        node.builtin("firmware-key", [certificate(), ("cer", cer), ("list", list)]);
        let id = node.finish();
        let mut node = p.node::<Self>("certificate for firmware, signed");
        let to = node.out("db.auth");
        node.builtin(UPDATE, [certificate(), ("to", to)]);
        Ok(vec![
            ("secure-boot/secure-boot.cer", id.artifact("secure-boot.cer")),
            ("secure-boot/db.esl", id.artifact("db.esl")),
            ("secure-boot/db.auth", node.finish_one()),
        ])
    }
}
