//! What is broken on purpose, and how the diagnosis must name it.

use crate::boot::{Cause, words};

/// Something that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Bytes of the initrd are flipped.
    DamagedInitrd,
    /// The boot script is not on the server.
    NoScript,
    /// No DHCP server answers.
    NoDhcp,
    /// The server stops in the middle of the kernel.
    StalledKernel,
    /// The cloud-config is not on the server.
    NoCloudConfig,
    /// Of a signed tree, the server gives another kernel.
    SwappedKernel,
    /// Of a signed tree, the server gives a script that another key signed.
    OtherKey,
    /// Of a signed tree, the server has lost the initrd's signature.
    NoSignature,
    /// The machine's clock shows a day on which the signer's certificate is no longer valid.
    Expired,
    /// Another CA certifies the HTTPS server.
    StrangeServer,
    /// The HTTPS server's certificate is for another host.
    OtherHost,
    /// The machine's clock shows a day after the end of the HTTPS server's certificate.
    ServerExpired,
    /// The machine's clock shows a day before its beginning.
    ServerEarly,
    /// One byte of the signed kernel is another.
    ChangedKernel,
    /// GRUB has lost its signature.
    UnsignedGrub,
    /// The machine does not know the key that signed the kernel.
    UnknownKey,
    /// The firmware's list of revoked programs has the medium's shim.
    RevokedShim,
    /// The guest's first process ends at once, as RancherOS's does on a parameter of the wrong type.
    Panic,
}

impl Sabotage {
    /// What the diagnosis must be.
    #[must_use]
    pub fn cause(self) -> Cause {
        match self {
            Self::DamagedInitrd => Cause::WrongInitrd,
            Self::NoScript => Cause::ScriptMissing,
            Self::NoDhcp => Cause::NoDhcp,
            Self::StalledKernel => Cause::Stalled,
            Self::NoCloudConfig => Cause::NoCloudConfig,
            Self::SwappedKernel
            | Self::OtherKey
            | Self::NoSignature
            | Self::Expired
            | Self::StrangeServer
            | Self::OtherHost
            | Self::ServerExpired
            | Self::ServerEarly => Cause::Refused,
            Self::Panic => Cause::Panic,
            Self::ChangedKernel | Self::UnsignedGrub | Self::RevokedShim | Self::UnknownKey => {
                Cause::SecureBoot
            }
        }
    }

    /// Who must have refused what, in the words of the diagnosis.
    #[must_use]
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::ChangedKernel | Self::UnknownKey => Some(words::BY_GRUB),
            Self::UnsignedGrub => Some(words::BY_SHIM),
            Self::RevokedShim => Some(words::BY_FIRMWARE),
            Self::StrangeServer | Self::OtherHost | Self::ServerExpired | Self::ServerEarly => {
                Some(words::BY_IPXE_SERVER)
            }
            _ => None,
        }
    }
}
