//! The YAML of one command-line value, as candiedyaml reads it.
//!
//! RancherOS and BurmillaOS give each value to candiedyaml, a libyaml port with habits of its own: quoted
//! nulls, anchors that lose events, maps with lists as keys that crash the process. A general YAML library
//! would be right where they are wrong, so this is the same machine in the same four steps: characters →
//! tokens ([`scan`]) → events ([`parse`]) → values ([`decode`]), with scalars resolved in [`resolve`].

mod block;
mod decode;
pub(super) mod document;
pub(super) mod gonum;
pub(super) mod gotime;
mod parse;
mod resolve;
mod scalar;
mod scan;
mod tag;

pub(super) use resolve::{binary, boolean, is_null, plain};

use self::{decode::Decoder, document::ValueTree};
use super::tree::Crash;

/// Why a text is not YAML; the real parser then keeps the raw text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad(pub(super) &'static str);

/// What stops a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A YAML error: the caller keeps the raw text.
    Bad(Bad),
    /// The process dies or never answers.
    Crash(Crash),
}

impl From<Bad> for Stop {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad)
    }
}

/// Reads `text` as one YAML document.
pub(super) fn read(text: &str) -> Result<ValueTree, Stop> {
    Decoder::new(text)?.document()
}
