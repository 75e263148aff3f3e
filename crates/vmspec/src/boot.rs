//! One boot as it is seen from outside: what happened so far, its progress, and what it hangs on.
//!
//! Facts come from the serial console, from the packets of the network card, from the HTTP server and from the
//! virtual machine; each has the time since power-on. [`Boot::verdict`] joins them. It knows the time only from
//! its caller, so every way to hang is tested without waiting.

mod diagnose;
pub mod words;

use core::net::Ipv4Addr;
use std::time::Duration;

pub use diagnose::{Cause, Diagnosis};
use serde::Serialize;
pub use words::clean;

use super::trace::DhcpMessage;

/// Something seen of a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The guest wrote a line to its serial console.
    Line {
        /// Without line end and control sequences.
        text: String,
    },
    /// The machine asked for an address.
    DhcpAsked,
    /// It was offered or given one.
    DhcpAnswered {
        /// Which.
        address: Ipv4Addr,
    },
    /// It was refused one.
    DhcpRefused,
    /// The machine asked the HTTP server for a file, and the answer began.
    HttpAsked {
        /// Number of the request.
        request: u64,
        /// The path, without a query.
        path: String,
        /// Status of the answer.
        status: u16,
        /// Bytes of the answer.
        total: u64,
    },
    /// So much of the answer is on its way.
    HttpMoved {
        /// Number of the request.
        request: u64,
        /// Bytes of the answer.
        sent: u64,
    },
    /// The answer is over.
    HttpEnded {
        /// Number of the request.
        request: u64,
        /// Bytes of the answer.
        sent: u64,
    },
    /// The guest reset the machine.
    Reset,
    /// The virtual machine ended; without a code, by a signal.
    Exited {
        /// Exit code; none when a signal ended it.
        code: Option<i32>,
    },
}

impl From<DhcpMessage> for Fact {
    fn from(message: DhcpMessage) -> Self {
        match message {
            DhcpMessage::Asked => Self::DhcpAsked,
            DhcpMessage::Answered(address) => Self::DhcpAnswered { address },
            DhcpMessage::Refused => Self::DhcpRefused,
        }
    }
}

/// Boot progress, in boot order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The machine was switched on.
    Power,
    /// A boot loader wrote to the console or the network.
    Loader,
    /// The machine got an address.
    Address,
    /// The boot script was sent whole.
    Script,
    /// The kernel was sent whole.
    Kernel,
    /// The initrd was sent whole.
    Initrd,
    /// Linux wrote its first line.
    Linux,
    /// The guest's first process wrote its first line.
    Userspace,
    /// The guest told about its state disk.
    State,
    /// The guest told about its cloud-config.
    CloudConfig,
    /// The guest said that it is up.
    Up,
}

impl Mark {
    /// What people call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Loader => "loader",
            Self::Address => "DHCP",
            Self::Script => "script",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::Linux => "Linux",
            Self::Userspace => "userspace",
            Self::State => "state",
            Self::CloudConfig => "cloud-config",
            Self::Up => "up",
        }
    }
}

/// What a boot must come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Whether it goes through DHCP and HTTP.
    pub netboot: bool,
    /// The value of `media.nonce=` that this boot was started with: without it in the guest's words, they may
    /// be another boot's.
    pub nonce: Option<String>,
    /// A part of the line by which the guest says that it is up.
    pub ready: String,
    /// What the guest must say of its cloud-config: where it came from (`seed`, `url`) and one line of it;
    /// `None` does not look.
    pub cloud_config: Option<String>,
    /// Arguments that must stand in `/proc/cmdline`, each as it is there.
    pub cmdline: Vec<String>,
    /// What the guest must say, by key.
    pub facts: Vec<(&'static str, &'static str)>,
    /// It must be up by then, or still say something; three times as late it must be up.
    pub limit: Duration,
}

/// A file that the machine asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Transfer {
    request: u64,
    path: String,
    status: u16,
    sent: u64,
    total: u64,
    ended: bool,
    /// When it last moved.
    moved: Duration,
}

/// What a path is to a booting machine, by its file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathRole {
    Script,
    Kernel,
    Initrd,
    CloudConfig,
    Other,
}

impl Transfer {
    fn role(&self) -> PathRole {
        match self.path.rsplit('/').next().unwrap_or_default() {
            "boot.html" | "boot.ipxe" => PathRole::Script,
            "vmlinuz" => PathRole::Kernel,
            "initrd" => PathRole::Initrd,
            "cloud-config.yml" => PathRole::CloudConfig,
            _ => PathRole::Other,
        }
    }

    fn whole(&self) -> bool {
        self.ended && self.status < 300 && self.sent == self.total
    }
}

/// A boot under observation.
#[derive(Clone, Debug)]
pub struct Boot {
    want: Want,
    marks: Vec<(Mark, Duration)>,
    lines: Vec<String>,
    transfers: Vec<Transfer>,
    dhcp_asked: Option<Duration>,
    dhcp_refused: bool,
    /// When the guest last did anything.
    last: Duration,
    end: Option<Fact>,
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootEnd {
    /// It came to what was wanted.
    Up,
    /// It did not, and will not.
    Hung(Diagnosis),
}

/// Lines kept of a guest that talks without end.
const MOST_LINES: usize = 20_000;

impl Boot {
    /// A machine that is switched on now.
    #[must_use]
    pub fn new(want: Want) -> Self {
        Self {
            want,
            marks: vec![(Mark::Power, Duration::ZERO)],
            lines: Vec::new(),
            transfers: Vec::new(),
            dhcp_asked: None,
            dhcp_refused: false,
            last: Duration::ZERO,
            end: None,
        }
    }

    /// Takes note of what was seen `at` this time since power-on.
    pub fn saw(&mut self, at: Duration, fact: &Fact) {
        self.last = at;
        match fact {
            Fact::Line { text } => self.line(at, text),
            Fact::DhcpAsked => {
                self.reach(Mark::Loader, at);
                self.dhcp_asked.get_or_insert(at);
            }
            Fact::DhcpAnswered { .. } => self.reach(Mark::Address, at),
            Fact::DhcpRefused => self.dhcp_refused = true,
            Fact::HttpAsked { request, path, status, total } => {
                self.reach(Mark::Loader, at);
                self.transfers.push(Transfer {
                    request: *request,
                    path: path.split('?').next().unwrap_or_default().to_owned(),
                    status: *status,
                    sent: 0,
                    total: *total,
                    ended: false,
                    moved: at,
                });
            }
            Fact::HttpMoved { request, sent } => self.moved(*request, *sent, at, false),
            Fact::HttpEnded { request, sent } => self.moved(*request, *sent, at, true),
            // Firmware resets on its own account: SeaBIOS does after each reset, OVMF to settle its memory map.
            Fact::Reset if !self.reached(Mark::Linux) => {}
            Fact::Reset | Fact::Exited { .. } => {
                self.end.get_or_insert_with(|| fact.clone());
            }
        }
    }

    fn moved(&mut self, request: u64, sent: u64, at: Duration, ended: bool) {
        let Some(transfer) = self.transfers.iter_mut().rev().find(|t| t.request == request) else { return };
        (transfer.sent, transfer.moved) = (sent, at);
        transfer.ended |= ended;
        if !transfer.whole() {
            return;
        }
        match transfer.role() {
            PathRole::Script => self.reach(Mark::Script, at),
            PathRole::Kernel => self.reach(Mark::Kernel, at),
            PathRole::Initrd => self.reach(Mark::Initrd, at),
            PathRole::CloudConfig | PathRole::Other => {}
        }
    }

    fn line(&mut self, at: Duration, text: &str) {
        if text.is_empty() {
            return;
        }
        self.reach(words::mark(text).unwrap_or(Mark::Loader), at);
        if text.contains(&self.want.ready) {
            self.reach(Mark::Up, at);
        }
        if self.lines.len() < MOST_LINES {
            self.lines.push(text.to_owned());
        }
    }

    /// The first time counts.
    fn reach(&mut self, mark: Mark, at: Duration) {
        if !self.reached(mark) {
            self.marks.push((mark, at));
        }
    }

    fn reached(&self, mark: Mark) -> bool {
        self.marks.iter().any(|(m, _)| *m == mark)
    }

    /// What was reached and when, in the order of a boot.
    #[must_use]
    pub fn marks(&self) -> Vec<(Mark, Duration)> {
        let mut marks = self.marks.clone();
        marks.sort_unstable();
        marks
    }

    /// The last mark of a boot that was reached.
    #[must_use]
    pub fn furthest(&self) -> Mark {
        self.marks.iter().map(|(m, _)| *m).max().unwrap_or(Mark::Power)
    }

    /// The console's lines so far.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// What the guest said behind `media: <key> `, the last time.
    #[must_use]
    pub fn said(&self, key: &str) -> Option<&str> {
        self.lines.iter().rev().find_map(|l| words::said(l, key))
    }

    /// The boot counter that the guest named.
    #[must_use]
    pub fn boots(&self) -> Option<u64> {
        self.said("boots")?.parse().ok()
    }
}
