//! From facts to a verdict: is it up, can it still come up, and if not, what is it that hangs.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{Boot, BootEnd, Fact, Mark, PathRole, Transfer, words};

/// Why a boot did not come to what was wanted. Each has a name for scripts and one for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// No boot loader ever spoke.
    NoLoader,
    /// A boot loader said that it cannot go on.
    Loader,
    /// Secure Boot refused a program.
    SecureBoot,
    /// The machine got no address.
    NoDhcp,
    /// The machine has an address and never asked for the boot script.
    NoScript,
    /// The boot script is not on the server.
    ScriptMissing,
    /// Another file is not on the server.
    FileMissing,
    /// iPXE refused a file whose signature does not hold.
    Refused,
    /// A transfer began and stopped half-way.
    Stalled,
    /// The kernel cannot use its initrd.
    WrongInitrd,
    /// The guest's kernel panicked.
    Panic,
    /// The kernel runs and its first process says nothing, or stopped talking.
    Silent,
    /// The guest found no cloud-config, or not the one that was meant.
    NoCloudConfig,
    /// The guest says something else than it should.
    WrongWords,
    /// The guest reset the machine.
    Reset,
    /// The virtual machine ended.
    Exited,
    /// It goes on, but too slowly.
    Slow,
}

impl Cause {
    /// Its name for scripts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoLoader => "no-loader",
            Self::Loader => "loader",
            Self::SecureBoot => "secure-boot",
            Self::NoDhcp => "no-dhcp",
            Self::NoScript => "no-script",
            Self::ScriptMissing => "script-missing",
            Self::FileMissing => "file-missing",
            Self::Refused => "refused",
            Self::Stalled => "stalled",
            Self::WrongInitrd => "wrong-initrd",
            Self::Panic => "panic",
            Self::Silent => "silent",
            Self::NoCloudConfig => "no-cloud-config",
            Self::WrongWords => "wrong-words",
            Self::Reset => "reset",
            Self::Exited => "exited",
            Self::Slow => "slow",
        }
    }
}

/// Why a boot did not come to what was wanted, and the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Why.
    pub cause: Cause,
    /// A sentence for people.
    pub text: String,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause.name(), self.text)
    }
}

/// A DHCP server that will answer has done so by then: clients ask again after 1, 2, 4 and 8 seconds.
const DHCP_TIMEOUT: Duration = Duration::from_secs(15);
/// A transfer that moved nothing for so long has stopped.
const STALL: Duration = Duration::from_secs(10);
/// A script that was missing may be asked for under its second name, or again.
const SECOND_TRY: Duration = Duration::from_secs(4);
/// Lines that follow a fatal one, such as a panic's, make the transcript useful.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// On a host that does much else, a boot was seen to take twenty times as long. So a guest that still says something has
/// so many times its limit.
const SLOW_FACTOR: u32 = 3;

impl Boot {
    /// What has become of the boot by `now`; `None` while it may still come up.
    #[must_use]
    pub fn verdict(&self, now: Duration) -> Option<BootEnd> {
        let hung = |cause, text: String| Some(BootEnd::Hung(Diagnosis { cause, text }));
        if let Some(verdict) = self.console(now) {
            return Some(verdict);
        }
        if self.reached(Mark::Up) {
            return Some(self.up().map_or(BootEnd::Up, BootEnd::Hung));
        }
        if let Some(diagnosis) = self.network(now) {
            return Some(BootEnd::Hung(diagnosis));
        }
        match &self.end {
            Some(Fact::Exited { code }) => {
                let code = code.map_or("by a signal".to_owned(), |c| format!("with {c}"));
                return hung(Cause::Exited, format!("the virtual machine ended {code}, {}", self.where_()));
            }
            Some(Fact::Reset) => {
                return hung(Cause::Reset, format!("the guest reset itself, {}", self.where_()));
            }
            _ => {}
        }
        if now < self.want.limit {
            return None;
        }
        let diagnosis = self.at_the_limit(now);
        let goes_on = matches!(diagnosis.cause, Cause::Slow | Cause::Loader | Cause::Silent)
            && now < self.last + self.want.limit / 4
            && now < self.want.limit * SLOW_FACTOR;
        (!goes_on).then_some(BootEnd::Hung(diagnosis))
    }

    /// What the console says: fatal lines, and a word about cloud-config.
    fn console(&self, now: Duration) -> Option<BootEnd> {
        let settled = now >= self.last + LAST_WORDS || self.end.is_some();
        let hung = |cause, line: &str| Some(BootEnd::Hung(Diagnosis { cause, text: quote(line) }));
        let find = |is: fn(&str) -> bool| self.lines.iter().find(|l| is(l)).filter(|_| settled);
        if let Some(line) = find(words::initrd_failure) {
            return hung(Cause::WrongInitrd, line);
        }
        if let Some(line) = find(words::panic) {
            return hung(Cause::Panic, line);
        }
        if let Some((file, number, clock)) =
            self.lines.iter().filter(|_| settled).find_map(|l| words::refused(l))
        {
            let missing =
                self.transfers.iter().any(|t| t.status >= 400 && t.path.ends_with(&format!("/{file}.sig")));
            let why = if missing {
                "its signature is not on the server".to_owned()
            } else {
                pki::ipxe_reason(number, clock)
            };
            let text = format!("iPXE refused {file}: {why} ({number:08x})");
            return Some(BootEnd::Hung(Diagnosis { cause: Cause::Refused, text }));
        }
        if let Some((url, why)) = self.lines.iter().filter(|_| settled).find_map(|l| words::refused_server(l))
        {
            let text = format!("{}{url}: {why}", words::BY_IPXE_SERVER);
            return Some(BootEnd::Hung(Diagnosis { cause: Cause::Refused, text }));
        }
        if let Some(line) = find(|l| words::refusal(l).is_some()).filter(|_| !self.reached(Mark::Linux)) {
            let who = words::refusal(line).unwrap_or_default();
            // Without the box that shim paints around its words.
            let words: Vec<&str> = line.split_whitespace().filter(|word| word.is_ascii()).collect();
            let text = format!("{who}: {}", quote(&words.join(" ")));
            return Some(BootEnd::Hung(Diagnosis { cause: Cause::SecureBoot, text }));
        }
        let line = find(words::loader_failure).filter(|_| !self.reached(Mark::Linux))?;
        hung(Cause::Loader, line)
    }

    /// Whether the words of a guest that is up are the right ones.
    fn up(&self) -> Option<Diagnosis> {
        let wrong = |text: String| Some(Diagnosis { cause: Cause::WrongWords, text });
        let has = |word: &str| {
            let shown = |l: &String| l.contains("Command line:") || l.starts_with("media: cmdline ");
            self.lines.iter().filter(|l| shown(l)).any(|l| format!("{l} ").contains(&format!(" {word} ")))
        };
        if let Some(nonce) = &self.want.nonce {
            let said = self.said("nonce");
            if !has(&format!("media.nonce={nonce}")) || said.is_some_and(|s| s != nonce) {
                let text =
                    format!("nonce {} instead of {nonce}: another boot's words", said.unwrap_or("(none)"));
                return wrong(text);
            }
        }
        if let Some(missing) = self.want.cmdline.iter().find(|w| !has(w)) {
            return wrong(format!("`{missing}` is not on the guest's command line"));
        }
        if let Some((key, value)) = self.want.facts.iter().find(|(key, value)| self.said(key) != Some(*value))
        {
            let said = self.said(key).unwrap_or("nothing");
            return wrong(format!("the guest says {said} for {key}, but `{value}` was expected"));
        }
        self.config()
    }

    /// Whether the cloud-config is the one that was meant.
    fn config(&self) -> Option<Diagnosis> {
        let wanted = self.want.cloud_config.as_deref()?;
        let said: Vec<&str> = self.lines.iter().filter_map(|l| words::said(l, "cloud-config")).collect();
        if said.contains(&wanted) {
            return None;
        }
        let found = said.iter().find(|s| **s != "none" && !s.starts_with("unreachable "));
        let text = match found {
            None => format!("the guest found none, but `{wanted}` was expected"),
            Some(other) => format!("the guest found {}, but `{wanted}` was expected", quote(other)),
        };
        Some(Diagnosis { cause: Cause::NoCloudConfig, text })
    }

    /// What the network says: no address, missing files, transfers that stand still.
    fn network(&self, now: Duration) -> Option<Diagnosis> {
        if !self.want.netboot || self.reached(Mark::Linux) {
            return None;
        }
        if let Some(missing) = self.missing(now) {
            let cause =
                if missing.role() == PathRole::Script { Cause::ScriptMissing } else { Cause::FileMissing };
            return Some(Diagnosis {
                cause,
                text: format!("{} was answered with {}", missing.path, missing.status),
            });
        }
        let still = |t: &&Transfer| !t.ended && t.sent < t.total && now >= t.moved + STALL;
        if let Some(t) = self.transfers.iter().find(still) {
            let text = format!(
                "{} stopped at {} of {} bytes, silent for {} s",
                t.path,
                t.sent,
                t.total,
                (now - t.moved).as_secs()
            );
            return Some(Diagnosis { cause: Cause::Stalled, text });
        }
        let asked = self.dhcp_asked.filter(|_| !self.reached(Mark::Address) && self.transfers.is_empty())?;
        let text = match self.dhcp_refused {
            true => "the DHCP server refused".to_owned(),
            false => format!("asked for {:.1} s without an answer", asked.as_secs_f64()),
        };
        (now >= asked + DHCP_TIMEOUT).then_some(Diagnosis { cause: Cause::NoDhcp, text })
    }

    /// A file that the boot needs, was refused, and was not had later.
    fn missing(&self, now: Duration) -> Option<&Transfer> {
        let needed =
            |t: &&Transfer| matches!(t.role(), PathRole::Script | PathRole::Kernel | PathRole::Initrd);
        self.transfers.iter().filter(needed).find(|t| {
            let had = |other: &Transfer| other.role() == t.role() && other.status < 400;
            t.status >= 400 && now >= t.moved + SECOND_TRY && !self.transfers.iter().any(had)
        })
    }

    /// The limit has passed: what was it waiting for.
    fn at_the_limit(&self, now: Duration) -> Diagnosis {
        let limit = self.want.limit.as_secs();
        let quiet = (now - self.last).as_secs();
        if let Some(line) = self.lines.iter().find(|l| words::lost_timer(l)) {
            let text = format!("a processor's timer stopped, {}: {}", self.reached_so_far(), quote(line));
            return Diagnosis { cause: Cause::Silent, text };
        }
        let (cause, text) = match self.furthest() {
            Mark::Power => (Cause::NoLoader, format!("no boot loader spoke within {limit} s")),
            Mark::Loader if self.want.netboot => {
                (Cause::NoDhcp, format!("no DHCP request was seen within {limit} s"))
            }
            Mark::Address => {
                (Cause::NoScript, format!("it has an address and asked for no script within {limit} s"))
            }
            _ if quiet < 5 => (Cause::Slow, format!("not up within {} s, {}", now.as_secs(), self.where_())),
            Mark::Loader | Mark::Script | Mark::Kernel | Mark::Initrd => {
                (Cause::Loader, format!("silent for {quiet} s, {}", self.where_()))
            }
            _ => (Cause::Silent, format!("silent for {quiet} s, {}", self.where_())),
        };
        Diagnosis { cause, text }
    }

    fn reached_so_far(&self) -> String {
        format!("after {}", self.furthest().label())
    }

    /// Where a boot is, in words.
    fn where_(&self) -> String {
        let after = self.reached_so_far();
        self.lines.last().map_or(after.clone(), |l| format!("{after}; the last line was {}", quote(l)))
    }
}

fn quote(line: &str) -> String {
    let short: String = line.chars().take(160).collect();
    format!("`{short}`")
}

#[cfg(test)]
mod tests;
