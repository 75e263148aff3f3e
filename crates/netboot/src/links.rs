//! Connections that are open, and who makes room when there are too many.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use super::wire::Link;

/// Open connections by their numbers.
#[derive(Default)]
pub(super) struct Links {
    open: HashMap<u64, Arc<Link>>,
    /// How many each address has.
    shares: HashMap<IpAddr, usize>,
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Arc<Link>> {
        let link = self.open.remove(&id)?;
        let source = source(link.peer);
        if let Some(share) = self.shares.get_mut(&source) {
            *share -= 1;
            if *share == 0 {
                self.shares.remove(&source);
            }
        }
        Some(link)
    }

    /// Takes in a connection unless `most` are open that may not be cut for it.
    ///
    /// The address with the most connections makes room, by the one that was silent for longest. It does so at once
    /// for an address that has fewer; for itself, only after `grace` of silence.
    pub(super) fn admit(&mut self, link: &Arc<Link>, most: usize, grace: Duration) -> bool {
        let newcomer = source(link.peer);
        if self.open.len() >= most {
            let Some((id, silent)) = self.quietest(newcomer) else { return false };
            if silent < grace {
                return false;
            }
            if let Some(link) = self.remove(id) {
                link.cut.notify_one();
            }
        }
        *self.shares.entry(newcomer).or_default() += 1;
        self.open.insert(link.id, Arc::clone(link));
        true
    }

    /// Which connection makes room for one from `newcomer`, and for how long it counts as silent.
    fn quietest(&self, newcomer: IpAddr) -> Option<(u64, Duration)> {
        let (greedy, share) = self.shares.iter().max_by_key(|(_, share)| **share)?;
        let own = self.shares.get(&newcomer).copied().unwrap_or(0);
        if own + 1 < *share {
            let theirs = self.open.iter().filter(|(_, l)| source(l.peer) == *greedy);
            return Some((*theirs.max_by_key(|(_, l)| l.silent())?.0, Duration::MAX));
        }
        self.open.iter().map(|(id, l)| (*id, l.silent())).max_by_key(|(_, silent)| *silent)
    }
}

/// Whose connection it is. With IPv6 a single host has a whole network of addresses.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => {
            let network = u128::from(ip) & (u128::MAX << 64);
            Ipv6Addr::from(network).into()
        }
        v4 => v4,
    }
}
