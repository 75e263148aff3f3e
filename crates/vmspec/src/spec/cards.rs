//! The network cards of `[profile.X.vm]`: a word for each, or a table that says more.

use core::{fmt, net::Ipv4Addr};

use serde::{
    Deserialize,
    de::{self, IntoDeserializer as _, Visitor, value::MapAccessDeserializer},
};

use super::{WrongVm, within};
use crate::{NicModel, Promiscuous, Subnet};

/// A network card that a profile asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CardSpec {
    /// What it is plugged into.
    pub kind: NicKind,
    /// Its model, unless it is that of all.
    pub model: Option<NicModel>,
    /// Whose traffic it sees, unless it is what its network usually has.
    pub promiscuous: Option<Promiscuous>,
    /// The guest's network behind NAT.
    pub network: Option<Subnet>,
}

/// What a network card is plugged into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NicKind {
    /// The host-only network.
    HostOnly,
    /// NAT, with the forwarded SSH port.
    Nat,
    /// Nothing.
    Unplugged,
}

/// A network card as written.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(untagged))]
pub enum RawNic {
    /// What it is plugged into; everything else is as usual.
    Plug(NicKind),
    /// With more about it.
    Card(RawCard),
}

/// A network card in full, as written.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawCard {
    /// `"host-only"`, `"nat"`, `"unplugged"`.
    pub plug: NicKind,
    /// `"virtio"` or `"e1000"`, unless `nic-model` is meant.
    pub model: Option<NicModel>,
    /// Whose traffic it sees: `"deny"`, `"allow-vms"`, `"allow-all"`. Usually `"allow-all"` on the host-only network.
    pub promiscuous: Option<Promiscuous>,
    /// The guest's network behind NAT, such as `"192.168.0.0/16"` or `"192.168/16"`.
    pub network: Option<String>,
}

/// Not derived: an untagged enum calls every mistake in it `did not match any variant`.
impl<'de> Deserialize<'de> for RawNic {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawNic;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word such as \"nat\", or a table such as { plug = \"nat\" }")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<RawNic, E> {
                NicKind::deserialize(word.into_deserializer()).map(RawNic::Plug)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RawNic, A::Error> {
                RawCard::deserialize(MapAccessDeserializer::new(map)).map(RawNic::Card)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

pub(super) fn card(raw: &RawNic) -> Result<CardSpec, WrongVm> {
    let raw = match raw {
        RawNic::Plug(plug) => RawCard { plug: *plug, model: None, promiscuous: None, network: None },
        RawNic::Card(card) => card.clone(),
    };
    let network = raw.network.as_deref().map(subnet).transpose()?;
    if network.is_some() && raw.plug != NicKind::Nat {
        let text =
            "nics: only a card that is plugged into `nat` has a network; see `host-only` for the other";
        return Err(WrongVm(text.to_owned()));
    }
    Ok(CardSpec { kind: raw.plug, model: raw.model, promiscuous: raw.promiscuous, network })
}

/// A network such as `192.168.0.0/16`; VirtualBox's `192.168/16` leaves out zeros at the end. The guest has host 15
/// of it, so a network must have more than that.
fn subnet(text: &str) -> Result<Subnet, WrongVm> {
    let wrong = || WrongVm(format!("nics: `{text}` is not a network such as `192.168.0.0/16`"));
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let missing = 3_usize.checked_sub(address.matches('.').count()).ok_or_else(wrong)?;
    let address: Ipv4Addr = format!("{address}{}", ".0".repeat(missing)).parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    within("nics: the prefix of the network", u64::from(prefix), 8, 27)?;
    let network = Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - u32::from(prefix))));
    if network != address {
        return Err(WrongVm(format!("nics: `{text}` names a host of the network {network}/{prefix}")));
    }
    Ok(Subnet { address, prefix })
}
