//! Media that iPXE believes nothing of but signatures, made with keys for one test.

use std::sync::Arc;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::{netboot, server::Changes};
use ::netboot::Tls;
use vmspec::scenario::{Dist, Proof, Sabotage, Scheme};

/// Outputs of a build.
pub struct BuiltMedia {
    /// The media.
    pub dist: Dist,
    /// The netboot tree.
    pub tree: Utf8PathBuf,
}

/// The profile's media once more. Their iPXE trusts two roots; the first vouches for who signed the trees.
pub struct SignedMedia {
    /// Those that load over plain HTTP.
    pub http: BuiltMedia,
    /// Those that load over HTTPS.
    pub https: BuiltMedia,
    /// A signer that the second root vouches for.
    pub next: Arc<pki::Signer>,
    /// The HTTPS server's certificate, by the first root.
    pub tls: Tls,
    /// One by a CA that iPXE does not know.
    pub stranger: Tls,
    /// One by the first root, for another host.
    pub other_host: Tls,
}

impl SignedMedia {
    /// The media that speak `scheme`.
    #[must_use]
    pub(crate) fn media(&self, scheme: Scheme) -> &BuiltMedia {
        match scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        }
    }

    /// What their server changes for `proof`.
    pub(super) fn changes(&self, scheme: Scheme, proof: Proof) -> Result<Changes> {
        let mut changes = forged(&self.media(scheme).tree, proof)?;
        if proof == Proof::Rotated {
            changes.overrides.extend(netboot::signed_again(&self.media(scheme).tree, &self.next)?);
        }
        if scheme == Scheme::Https {
            let tls = match proof {
                Proof::Fails(Sabotage::StrangeServer) => &self.stranger,
                Proof::Fails(Sabotage::OtherHost) => &self.other_host,
                _ => &self.tls,
            };
            changes.tls = Some(tls.clone());
        }
        Ok(changes)
    }
}

/// What a server that cannot sign changes of the signed `tree` for `proof`.
pub(super) fn forged(tree: &Utf8Path, proof: Proof) -> Result<Changes> {
    let sabotage = if let Proof::Fails(sabotage) = proof { Some(sabotage) } else { None };
    netboot::forged(&fs_err::read(tree.join("vmlinuz"))?, sabotage)
}
