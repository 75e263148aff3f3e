//! The netboot tree, served for one machine, with its requests as facts.

use core::{cell::RefCell, net::SocketAddrV4};
use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    time::Instant,
};

use anyhow::Result;
use camino::Utf8Path;

use crate::lan::Lan;
use netboot::{ClientEventKind, Fault, Server, ServerConfig, Tls};
use vmspec::boot::Fact;

/// What is changed of the tree for this machine.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    /// Files that are served with other bytes, by name.
    pub overrides: BTreeMap<String, Vec<u8>>,
    /// Files that go wrong, by name.
    pub faults: BTreeMap<String, Fault>,
    /// What it speaks HTTPS with.
    pub tls: Option<Tls>,
}

/// A running server. It ends when it is dropped.
pub(crate) struct RunningServer(Source);

enum Source {
    /// It runs in this process.
    Own { _server: Server, facts: mpsc::Receiver<(Instant, Fact)> },
    /// It runs in a network of its own.
    Lan(Box<RefCell<Lan>>),
}

impl From<Lan> for RunningServer {
    fn from(lan: Lan) -> Self {
        Self(Source::Lan(Box::new(RefCell::new(lan))))
    }
}

impl RunningServer {
    /// Serves `tree` at one address of this host.
    ///
    /// # Errors
    /// [`failure::Kind::Port`] when the port is taken.
    pub(crate) fn start(tree: &Utf8Path, at: SocketAddrV4, changes: Changes) -> Result<Self> {
        let (sender, facts) = mpsc::channel();
        let mut config = ServerConfig::new(at.into(), tree);
        config.overrides = changes.overrides;
        config.faults = changes.faults;
        config.tls = changes.tls;
        // A machine behind QEMU's own network asks for the host of its base-url, which is not an address of this host.
        let script = fs_err::read_to_string(tree.join("boot.html")).unwrap_or_default();
        config.names = asked_host(&script).into_iter().collect();
        config.observer = Some(Arc::new(move |event| {
            if let Some(fact) = fact(&event.what) {
                // The machine may have ended; then the error does not matter.
                _ = sender.send((Instant::now(), fact));
            }
        }));
        Ok(Self(Source::Own { _server: Server::start(config)?, facts }))
    }

    /// What was asked and sent since the last call.
    pub(crate) fn facts(&self) -> Vec<(Instant, Fact)> {
        match &self.0 {
            Source::Own { facts, .. } => facts.try_iter().collect(),
            Source::Lan(lan) => lan.borrow_mut().facts(),
        }
    }
}

/// The host of a boot script's base-url.
fn asked_host(script: &str) -> Option<String> {
    let (_, rest) = netboot::script::base_url(script)?.split_once("://")?;
    rest.split('/').next().map(str::to_owned)
}

/// What an event of the server says about a boot.
pub(crate) fn fact(what: &ClientEventKind) -> Option<Fact> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_knows_itself_by_the_host_that_its_script_names() {
        let dir = tempfile::tempdir().expect("there is room");
        let tree = Utf8Path::from_path(dir.path()).expect("it is UTF-8");
        let script = "#!ipxe\nset base-url http://192.0.2.7:8089/media\n";
        fs_err::write(tree.join("boot.html"), script).expect("it can be written");
        assert_eq!(asked_host(script).as_deref(), Some("192.0.2.7:8089"));
        fs_err::write(tree.join("seed.cpio"), "a cloud-config").expect("it can be written");
        let server =
            RunningServer::start(tree, "127.0.0.1:0".parse().expect("an address"), Changes::default());
        let server = server.expect("the port is free");
        let Source::Own { _server: own, .. } = &server.0 else { panic!("it runs in this process") };
        let address = own.addr();
        let mut tcp = std::net::TcpStream::connect(address).expect("it listens");
        let request = b"GET /seed.cpio HTTP/1.1\r\nHost: 192.0.2.7:8089\r\nConnection: close\r\n\r\n";
        std::io::Write::write_all(&mut tcp, request).expect("it reads");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut tcp, &mut said).expect("it answers");
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    }
}
