//! What the server tells while it runs: plain data, in the order it happened.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

/// Something a client did or got.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientEvent {
    /// Since the server started ([`super::Server::started`]).
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub at: Duration,
    /// Number of the connection; 0 where there is none.
    pub connection: u64,
    /// Who it came from.
    pub peer: IpAddr,
    /// What it is.
    #[serde(flatten)]
    pub what: ClientEventKind,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ClientEventKind {
    /// A request was understood and its answer begins.
    Asked(ServedRequest),
    /// More of the answer to `request` was handed to the network.
    Moved {
        /// Number of the request, counted from the server's start.
        request: u64,
        /// Bytes of the body so far.
        sent: u64,
    },
    /// The answer to `request` is over.
    Ended {
        /// Number of the request, counted from the server's start.
        request: u64,
        /// Bytes of the body.
        sent: u64,
        /// Whether that is all that was to be sent.
        whole: bool,
    },
    /// A machine's DHCP request was seen.
    Dhcp {
        /// The machine, as it named itself in the request.
        machine: MachineName,
    },
    /// A machine said it is up.
    Up {
        /// Who, when it said so.
        machine: MachineName,
    },
    /// iPXE refused a file whose signature does not hold.
    Refused {
        /// The machine, as it named itself in the request.
        machine: MachineName,
        /// The file's name.
        file: String,
        /// iPXE's error number.
        error: u32,
        /// What its clock shows, in seconds since 1970.
        clock: Option<u64>,
    },
    /// A connection is over.
    Closed {
        /// Why, when it was refused or cut rather than closed.
        trouble: Option<String>,
    },
}

/// A request with the head of its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServedRequest {
    /// Number of the request.
    pub request: u64,
    /// `GET` or `HEAD`, or what was refused.
    pub method: String,
    /// The path as asked for, cut to a sane length.
    pub path: String,
    /// What the path is to a booting machine.
    pub role: FileRole,
    /// Who asks, when the query says so.
    pub machine: MachineName,
    /// The answer's status code.
    pub status: u16,
    /// First byte of the file that is sent.
    pub start: u64,
    /// Bytes to send.
    pub len: u64,
    /// Length of the whole file.
    pub size: u64,
}

/// How a machine names itself: by our boot scripts' query, or by DHCP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineName {
    /// Network address, lower case, with colons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// SMBIOS UUID, lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
}

/// What a file is to a booting machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileRole {
    /// `boot.html` or `boot.ipxe`.
    Script,
    /// `vmlinuz`.
    Kernel,
    /// `initrd` or `seed.cpio`.
    Initrd,
    /// `cloud-config.yml`.
    CloudConfig,
    /// Anything else.
    Other,
}

fn seconds<S: serde::Serializer>(at: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64((at.as_secs_f64() * 1000.0).round() / 1000.0)
}
