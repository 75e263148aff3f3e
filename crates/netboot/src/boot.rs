//! One machine's boot: its progress, its rate, and the words for both. Pure.

use std::{collections::VecDeque, fmt, net::IpAddr, time::Duration};

use serde::Serialize;

use super::{
    covered::Covered,
    event::{MachineName, ServedRequest},
};

/// A machine that got nothing for this long, while something must follow, is called silent.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(5);
/// Rates are over this long.
const RATE_OVER: Duration = Duration::from_secs(2);
/// By how much news of a DHCP request may come late. No machine resets and asks again as fast.
const TOLD_LATE: Duration = Duration::from_secs(2);
/// Samples kept for a rate.
const MAX_SAMPLES: usize = 64;

/// Boot progress, in boot order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootStage {
    /// Its DHCP request was seen.
    Dhcp,
    /// It asked for the boot script.
    Script,
    /// It asked for the kernel.
    Kernel,
    /// It asked for the initrd.
    Initrd,
    /// Its operating system asked for the cloud-config.
    CloudConfig,
    /// It said that it is up.
    Up,
}

impl fmt::Display for BootStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dhcp => "DHCP seen",
            Self::Script => "script",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::CloudConfig => "cloud-config",
            Self::Up => "up",
        })
    }
}

/// Whether a boot goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootState {
    /// Bytes move.
    Moving,
    /// Everything it asked for was sent, and it works on that.
    Waiting,
    /// Nothing moved for long although more must follow.
    Silent,
    /// It was refused what it needs.
    Failed,
    /// It is up.
    Up,
}

impl BootState {
    /// Whether a person should look.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::Silent | Self::Failed)
    }
}

/// One machine, as people and pages see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineLine {
    /// Its network address, else its IP address.
    pub name: String,
    /// Its IP address, once it asked over HTTP.
    pub address: Option<IpAddr>,
    /// Latest stage that was reached.
    pub stage: BootStage,
    /// Whether it goes on.
    pub state: BootState,
    /// Stage and state in words: `kernel 62 %`, `initrd 38.0/41.2 MB, silent for 12 s`.
    pub text: String,
    /// Bytes of the current file that were sent.
    pub done: u64,
    /// Length of the current file.
    pub size: u64,
    /// Bytes a second, over the last two.
    pub rate: u64,
    /// Seconds since this boot was first seen.
    pub age: f64,
    /// Seconds since anything moved.
    pub silent: f64,
    /// Boots seen, this one included.
    pub boots: u32,
    /// When each stage of this boot was reached, in seconds since the server started.
    pub reached: Vec<(BootStage, f64)>,
}

/// The present boot of one machine.
#[derive(Debug)]
pub(super) struct MachineBoot {
    pub(super) machine: MachineName,
    pub(super) address: Option<IpAddr>,
    pub(super) stage: BootStage,
    reached: Vec<(BootStage, Duration)>,
    pub(super) last: Duration,
    files: Vec<FileState>,
    failed: Option<String>,
    samples: VecDeque<(Duration, u64)>,
    boots: u32,
}

#[derive(Debug)]
struct FileState {
    path: String,
    size: u64,
    covered: Covered,
}

impl MachineBoot {
    pub(super) fn new(at: Duration) -> Self {
        Self {
            machine: MachineName::default(),
            address: None,
            stage: BootStage::Dhcp,
            reached: Vec::new(),
            last: at,
            files: Vec::new(),
            failed: None,
            samples: VecDeque::new(),
            boots: 1,
        }
    }

    /// Begins another boot, unless this one has only just begun.
    pub(super) fn start(&mut self, stage: BootStage, at: Duration) {
        if self.reached.iter().any(|(s, _)| *s > stage) {
            let (machine, address, boots) = (std::mem::take(&mut self.machine), self.address, self.boots);
            *self = Self { machine, address, boots: boots + 1, ..Self::new(at) };
        }
        self.reach(stage, at);
    }

    /// A DHCP request: another boot, unless it is the one before this boot's script, told late by a log.
    pub(super) fn asked_for_address(&mut self, at: Duration) {
        let since = self
            .reached
            .iter()
            .find(|(s, _)| *s > BootStage::Dhcp)
            .map(|(_, script)| at.saturating_sub(*script));
        match since {
            Some(since) if since < TOLD_LATE => {}
            _ => self.start(BootStage::Dhcp, at),
        }
    }

    /// A stage is left only forwards: an operating system may fetch the kernel again for its own use.
    pub(super) fn reach(&mut self, stage: BootStage, at: Duration) {
        self.last = at;
        if !self.reached.iter().any(|(s, _)| *s == stage) {
            self.reached.push((stage, at));
        }
        self.stage = self.stage.max(stage);
    }

    /// The state of the file that is asked for; it becomes the current one.
    pub(super) fn file(&mut self, asked: &ServedRequest) {
        self.failed = None;
        let known = self.files.iter().position(|f| f.path == asked.path && f.size == asked.size);
        let mut file = known.map(|i| self.files.remove(i)).unwrap_or_else(|| FileState {
            path: asked.path.clone(),
            size: asked.size,
            covered: Covered::default(),
        });
        match asked.status {
            // Everything again from the start: what came before was thrown away.
            200 => file.covered = Covered::default(),
            304 => file.covered.add(0, asked.size),
            _ => {}
        }
        self.files.retain(|f| f.path != asked.path);
        self.files.push(file);
    }

    /// More of a file was sent.
    pub(super) fn got(&mut self, at: Duration, path: &str, start: u64, len: u64) {
        self.last = at;
        if let Some(file) = self.files.iter_mut().find(|f| f.path == path) {
            file.covered.add(start, start + len);
        }
        self.samples.push_back((at, len));
        if self.samples.len() > MAX_SAMPLES {
            self.samples.pop_front();
        }
    }

    /// It cannot have what it needs.
    pub(super) fn refuse(&mut self, stage: BootStage, asked: &ServedRequest) {
        self.failed = Some(format!("{stage} refused: {} for {}", asked.status, asked.path));
    }

    /// iPXE does not believe a file.
    pub(super) fn refused_by_ipxe(&mut self, at: Duration, file: &str, error: u32, clock: Option<u64>) {
        self.last = at;
        self.failed = Some(format!("iPXE refused {file}: {} ({error:08x})", pki::ipxe_reason(error, clock)));
    }

    fn rate(&self, now: Duration) -> u64 {
        let from = now.saturating_sub(RATE_OVER);
        let bytes: u64 = self.samples.iter().filter(|(at, _)| *at > from).map(|(_, n)| n).sum();
        bytes / RATE_OVER.as_secs()
    }

    pub(super) fn line(&self, now: Duration) -> MachineLine {
        let silent = now.saturating_sub(self.last);
        let (done, size) = self.files.last().map_or((0, 0), |f| (f.covered.total(), f.size));
        let state = self.state(done, size, silent);
        let begin = self.reached.first().map_or(self.last, |(_, at)| *at);
        let address = self.address.map(|a| a.to_string());
        let name = self.machine.mac.clone().or(address).or(self.machine.uuid.clone()).unwrap_or_default();
        MachineLine {
            name,
            address: self.address,
            stage: self.stage,
            state,
            text: self.text(state, done, size, silent),
            done,
            size,
            rate: self.rate(now),
            age: now.saturating_sub(begin).as_secs_f64(),
            silent: silent.as_secs_f64(),
            boots: self.boots,
            reached: self.reached.iter().map(|(s, at)| (*s, at.as_secs_f64())).collect(),
        }
    }

    fn state(&self, done: u64, size: u64, silent: Duration) -> BootState {
        let unfinished = done < size;
        // Behind the initrd the kernel starts, and is silent as long as it likes.
        let started = self.stage >= BootStage::Initrd && !unfinished;
        match () {
            () if self.stage == BootStage::Up => BootState::Up,
            () if self.failed.is_some() => BootState::Failed,
            () if silent >= SILENT_AFTER && !started => BootState::Silent,
            () if unfinished => BootState::Moving,
            () => BootState::Waiting,
        }
    }

    fn text(&self, state: BootState, done: u64, size: u64, silent: Duration) -> String {
        let stage = self.stage;
        let far = || match size {
            0 => stage.to_string(),
            _ if done >= size => format!("{stage} sent"),
            _ => format!("{stage} {:.1}/{:.1} MB", megabytes(done), megabytes(size)),
        };
        match state {
            BootState::Up => "up".to_owned(),
            BootState::Failed => self.failed.clone().unwrap_or_default(),
            BootState::Silent => format!("{}, silent for {} s", far(), silent.as_secs()),
            BootState::Moving => format!("{stage} {} %", done * 100 / size.max(1)),
            BootState::Waiting if stage >= BootStage::Initrd => format!("{stage} sent, starting"),
            BootState::Waiting if stage == BootStage::Dhcp => stage.to_string(),
            BootState::Waiting => format!("{stage} sent"),
        }
    }
}

/// Millions of bytes, as boot loaders and disks count.
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
