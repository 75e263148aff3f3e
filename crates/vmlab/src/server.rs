//! The netboot tree, served for one machine, with its requests as facts.

use core::net::SocketAddrV4;
use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    time::Instant,
};

use anyhow::Result;
use camino::Utf8Path;

use netboot::{ClientEventKind, Fault, Server, ServerConfig};
use vmspec::boot::Fact;

/// What is changed of the tree for this machine.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Files that are served with other bytes, by name.
    pub overrides: BTreeMap<String, Vec<u8>>,
    /// Files that go wrong, by name.
    pub faults: BTreeMap<String, Fault>,
}

/// A running server. It ends when it is dropped.
pub struct RunningServer {
    _server: Server,
    facts: mpsc::Receiver<(Instant, Fact)>,
}

impl RunningServer {
    /// Serves `tree` at one address of this host.
    ///
    /// # Errors
    /// [`failure::Kind::Port`] when the port is taken.
    pub fn start(tree: &Utf8Path, at: SocketAddrV4, changes: Changes) -> Result<Self> {
        let (sender, facts) = mpsc::channel();
        let mut config = ServerConfig::new(at.into(), tree);
        config.overrides = changes.overrides;
        config.faults = changes.faults;
        config.observer = Some(Arc::new(move |event| {
            if let Some(fact) = fact(&event.what) {
                // The machine may have ended; then nobody wants to know.
                _ = sender.send((Instant::now(), fact));
            }
        }));
        Ok(Self { _server: Server::start(config)?, facts })
    }

    /// What was asked and sent since the last call.
    pub fn facts(&self) -> Vec<(Instant, Fact)> {
        self.facts.try_iter().collect()
    }
}

fn fact(what: &ClientEventKind) -> Option<Fact> {
    Some(match what {
        ClientEventKind::Asked(a) => Fact::HttpAsked {
            request: a.request,
            path: a.path.clone(),
            status: a.status,
            total: if a.method == "HEAD" { 0 } else { a.len },
        },
        ClientEventKind::Moved { request, sent } => Fact::HttpMoved { request: *request, sent: *sent },
        ClientEventKind::Ended { request, sent, .. } => Fact::HttpEnded { request: *request, sent: *sent },
        ClientEventKind::Dhcp { .. }
        | ClientEventKind::Refused { .. }
        | ClientEventKind::Up { .. }
        | ClientEventKind::Closed { .. } => {
            return None;
        }
    })
}
