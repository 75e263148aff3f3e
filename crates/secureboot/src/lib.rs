//! Secure Boot as bytes: who signed an EFI program, a signature of one's own, which keys a firmware holds, and what a TPM
//! will have measured.
//!
//! Pure: bytes in, bytes and facts out. Left out: revocation lists of the machine that boots, and hash algorithms other than
//! SHA-256, which firmware does not ask for.

pub mod certificate;
pub mod measured;
pub mod program;
pub mod sign;
pub mod variables;

pub use certificate::{MICROSOFT, RsaCertificate};
pub use program::{Program, Signature};

/// Why something is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be read as an EFI program.
    #[error("not an EFI program: {0}")]
    Program(String),
    /// A signature cannot be read.
    #[error("the signature cannot be read: {0}")]
    Signature(String),
    /// A certificate cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// An image cannot be read.
    #[error("the image cannot be read: {0}")]
    Image(String),
    /// A prediction cannot be read.
    #[error("the prediction cannot be read: {0}")]
    Prediction(String),
    /// A store of UEFI variables cannot be read, or is full.
    #[error("the store of UEFI variables {0}")]
    Variables(&'static str),
}
