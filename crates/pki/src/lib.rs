//! Keys, certificates and detached signatures that iPXE checks (`imgverify`); a key for Secure Boot.
//!
//! Pure: texts and bytes in, texts and bytes out; chance and the time come from the caller. iPXE hashes the file itself,
//! so a signature has no signed attributes, and with them no time: the same key signs the same file with the same bytes.
//! Left out: revocation, and every algorithm that iPXE does not know (docs/adr/0011-signed-netboot.md).

mod cert;
mod cms;
mod firmware;
mod key;
mod make;
mod pem;
mod refusal;

pub use cert::{Certificate, certificates};
pub use cms::{Refusal, ValidSignature, verify};
pub use firmware::firmware_key;
pub use key::{KeyError, Signer};
pub use make::{Chance, Lifetime, NewKey, authority, signer};
pub use refusal::{ipxe_reason, ipxe_server_reason};

/// Seconds since 1970, UTC.
pub type Seconds = u64;
