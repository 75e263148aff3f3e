//! HTTPS: a front that decrypts and hands each connection on, within this process, to the server behind it.
//!
//! The server sends files from the disk to the socket without reading them, which TLS cannot. So a connection is joined
//! to one on loopback, which the server takes for its client's.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use camino::Utf8Path;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, pki_types},
};

use failure::{Explain as _, Failure, Kind};
use pki_types::pem::PemObject as _;

/// A client that says nothing for so long is not a TLS client.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// A server's certificates and key, ready for connections.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// Reads the certificates, the server's own first, and the key, each from a PEM text.
    ///
    /// # Errors
    /// [`Kind::Usage`] when one of them cannot be read or they do not belong together.
    pub(crate) fn new(certificates: &str, key: &str) -> Result<Self> {
        let chain = pki_types::CertificateDer::pem_slice_iter(certificates.as_bytes());
        let chain: Vec<_> = chain
            .collect::<Result<_, _>>()
            .explain(Kind::Usage, || "the TLS certificate is not PEM".to_owned())?;
        if chain.is_empty() {
            return Err(Failure::new(Kind::Usage, "the TLS certificate file has no certificate").into());
        }
        let key = pki_types::PrivateKeyDer::from_pem_slice(key.as_bytes())
            .explain(Kind::Usage, || "the TLS key is not an unencrypted private key in PEM".to_owned())?;
        // iPXE speaks TLS 1.2; its suites with ECDHE and AES-GCM are among ring's.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|b| b.with_no_client_auth().with_single_cert(chain, key))
            .explain(Kind::Usage, || "the TLS certificate and key cannot be used together".to_owned())?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Reads them from files.
    ///
    /// # Errors
    /// When a file cannot be read, is not PEM, or the key is of another certificate.
    pub fn read(certificates: &Utf8Path, key: &Utf8Path) -> Result<Self> {
        let text = |path: &Utf8Path| {
            fs_err::read_to_string(path).explain(Kind::Usage, || format!("cannot read {path}"))
        };
        Self::new(&text(certificates)?, &text(key)?)
            .explain(Kind::Usage, || format!("cannot serve HTTPS with {certificates} and {key}"))
    }

    /// The other end of a connection: what is written to it is encrypted for the client.
    pub(super) async fn open(&self, tcp: TcpStream) -> io::Result<TcpStream> {
        let (inner, outer) = pair().await?;
        let acceptor = self.0.clone();
        tokio::spawn(async move {
            let tls = tokio::time::timeout(HANDSHAKE, acceptor.accept(tcp)).await;
            if let (Ok(Ok(mut tls)), mut outer) = (tls, outer) {
                // Either side may end it; the server tells about its own.
                _ = tokio::io::copy_bidirectional(&mut tls, &mut outer).await;
            }
        });
        Ok(inner)
    }
}

/// Two ends of one connection, which nobody else can have made.
async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let outer = TcpStream::connect(listener.local_addr()?).await?;
    loop {
        let (inner, peer) = listener.accept().await?;
        if peer == outer.local_addr()? {
            return Ok((inner, outer));
        }
    }
}
