//! How a command of VBoxManage ended: its error texts and codes, and what to do about them.
//!
//! Exit codes alone do not tell: some errors come with 0 (`--nic9`), and every `dhcpserver` failure is 2, as a
//! syntax error is. The hex code is compared, since its name differs by platform (`NS_ERROR_FAILURE` is
//! `E_FAIL`).

use std::time::Duration;

/// `VBOX_E_OBJECT_NOT_FOUND`: no such machine or medium.
pub const OBJECT_NOT_FOUND: u32 = 0x80bb_0001;
/// `VBOX_E_INVALID_VM_STATE`: starting or stopping, when neither can be interrupted.
pub(crate) const INVALID_VM_STATE: u32 = 0x80bb_0002;
/// `VBOX_E_INVALID_OBJECT_STATE`: locked by a session, among others.
pub(crate) const INVALID_OBJECT_STATE: u32 = 0x80bb_0007;
/// `VBOX_E_OBJECT_IN_USE`: a medium that is attached to a machine.
pub(crate) const OBJECT_IN_USE: u32 = 0x80bb_000c;
/// `VBOX_E_PLATFORM_ARCH_NOT_SUPPORTED`: an x86 machine on an ARM host.
pub(crate) const ARCH_NOT_SUPPORTED: u32 = 0x80bb_0012;
/// `E_ACCESSDENIED`.
pub const ACCESS_DENIED: u32 = 0x8007_0005;

/// How many lines of an error are kept.
const LINES: usize = 4;
/// How long a line of an error may be: a syntax error is followed by up to 40 kB of usage.
const LINE_CHARS: usize = 300;

/// What VBoxManage said was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManageError {
    /// Its words, without details of its own source code.
    pub text: String,
    /// The result code, when it named one.
    pub code: Option<u32>,
}

impl ManageError {
    /// Reads the outcome of a command; `None` when all went well. `code` is `None` after a signal.
    #[must_use]
    pub fn read(code: Option<i32>, stdout: &str, stderr: &str) -> Option<Self> {
        let errors: Vec<&str> = stderr.lines().filter_map(error_text).collect();
        if code == Some(0) && errors.is_empty() {
            return None;
        }
        let said = errors.iter().filter(|l| !l.starts_with("Details:") && !l.starts_with("Context:"));
        let mut lines: Vec<String> = said.take(LINES).map(|l| shortened(l)).collect();
        if lines.is_empty() {
            lines.extend(last_words(stderr).or_else(|| last_words(stdout)));
        }
        if lines.is_empty() {
            lines
                .push(code.map_or("it was killed by a signal".to_owned(), |c| format!("it exited with {c}")));
        }
        Some(Self { text: lines.join("\n"), code: stderr.lines().find_map(result_code) })
    }

    fn says(&self, words: &str) -> bool {
        self.text.contains(words)
    }

    /// Whether the server behind VBoxManage was just ending. It does so about five seconds after its last
    /// client; a command that lands in that moment fails and has done nothing.
    #[must_use]
    pub(crate) fn is_server_race(&self) -> bool {
        self.says("Failed to create the VirtualBox object")
    }

    /// Whether another session holds the machine. After a power-off it does so for a second or two more,
    /// though the machine's state already reads `poweroff`.
    #[must_use]
    pub(crate) fn is_locked(&self) -> bool {
        self.code == Some(INVALID_OBJECT_STATE)
            || ["already locked", "while it is locked", "lock request pending"].iter().any(|w| self.says(w))
    }

    /// Whether the machine's process was just ending while it was asked about.
    #[must_use]
    pub(crate) fn is_unready(&self) -> bool {
        self.says("The object is not ready")
    }

    /// Whether another machine has the medium attached.
    #[must_use]
    pub(crate) fn is_in_use(&self) -> bool {
        self.code == Some(OBJECT_IN_USE)
    }

    /// Whether the guest has not set a video mode yet.
    #[must_use]
    pub(crate) fn is_no_picture(&self) -> bool {
        self.says("Unsupported resolution for screen shot: 0x0")
    }

    /// Whether the machine was off already. This error carries no code.
    #[must_use]
    pub(crate) fn is_not_running(&self) -> bool {
        self.says("is not currently running")
    }

    /// The next step, where one is known.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        if self.code == Some(ARCH_NOT_SUPPORTED) {
            return Some("this host runs ARM guests only; use `--backend qemu`");
        }
        if self.code == Some(ACCESS_DENIED) && self.says("Access denied") {
            return Some(
                "the host-only network must be allowed in /etc/vbox/networks.conf (docs/virtualbox.md)",
            );
        }
        HELPS.iter().find(|(words, _)| self.says(words)).map(|(_, help)| *help)
    }
}

/// Words of errors, and what to do about them.
const HELPS: [(&str, &str); 10] = [
    (
        "/dev/vboxnetctl",
        "the host-only module is not loaded: `sudo modprobe vboxnetadp`; if it was never built, install \
         `virtualbox-dkms` (Debian, Ubuntu) or run `sudo /sbin/vboxconfig` (Oracle's package); on macOS host-only \
         interfaces are gone",
    ),
    (
        "terminated unexpectedly during startup",
        "VirtualBox does not say why; most often its kernel driver is not loaded: `sudo modprobe vboxdrv`; if it was \
         never built, install `virtualbox-dkms` (Debian, Ubuntu) or run `sudo /sbin/vboxconfig` (Oracle's package)",
    ),
    (
        "Kernel driver not installed",
        "load the driver with `sudo modprobe vboxdrv`; if it was never built, install `virtualbox-dkms` (Debian, \
         Ubuntu) or run `sudo /sbin/vboxconfig` (Oracle's package)",
    ),
    (
        "VERR_INTNET_FLT_IF_NOT_FOUND",
        "in the properties of the `VirtualBox Host-Only` adapter, tick `VirtualBox NDIS6 Bridged Networking Driver`, \
         or disable and enable the adapter",
    ),
    (
        "Host-only adapters are no longer supported",
        "macOS needs a host-only network instead of an adapter; run `vm rm` for this machine and start again",
    ),
    (
        "Failed to create the VirtualBox object",
        "the folder of VirtualBox's settings (VBOX_USER_HOME, else ~/.config/VirtualBox) must be writable; does \
         `VBoxManage list vms` answer by hand?",
    ),
    (
        "VERR_ALREADY_EXISTS",
        "a file of that name is there already; `vm rm` removes what belongs to this machine",
    ),
    (
        "does not match the value",
        "a disk was replaced behind VirtualBox's back; `VBoxManage closemedium disk FILE` forgets the old one",
    ),
    ("Could not find file for the medium", "the image is not there; `cargo xtask dist` builds it"),
    ("Failed to create file", "the folder of the screenshot must exist and be writable"),
];

/// The unfinished last line of an answer that was cut off. VBoxManage ends every line; when it meets a character that
/// its locale lacks, it stops in front of it, with exit code 0 and no error.
#[must_use]
pub fn cut_off(answer: &str) -> Option<&str> {
    answer.rsplit('\n').next().filter(|rest| !rest.is_empty())
}

/// The words behind `VBoxManage: error:`, which Windows writes as `VBoxManage.exe: error:`. Progress
/// (`0%...10%...`) may stand before them on the same line.
fn error_text(line: &str) -> Option<&str> {
    let at = ["VBoxManage: error:", "VBoxManage.exe: error:", "VBoxHeadless: Error"]
        .iter()
        .find_map(|m| line.find(m).map(|at| (at, m.len())));
    let (at, len) = at?;
    let before = &line[..at];
    (before.is_empty() || before.ends_with("...")).then(|| line[at + len..].trim())
}

/// The code in `Details: code NAME (0x80bb0004), component …` or `Code NAME (0x80070005) - Access denied`.
fn result_code(line: &str) -> Option<u32> {
    let text = error_text(line)?;
    let rest = text.strip_prefix("Details: code ").or_else(|| text.strip_prefix("Code "))?;
    let (_, hex) = rest.split_once(" (0x")?;
    u32::from_str_radix(hex.split_once(')')?.0, 16).ok()
}

fn last_words(text: &str) -> Option<String> {
    text.lines().rev().map(str::trim).find(|l| !l.is_empty()).map(shortened)
}

fn shortened(line: &str) -> String {
    line.trim().chars().take(LINE_CHARS).collect()
}

/// What a failure of a step means. On every step the server's race is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It failed.
    Plain,
    /// A lock goes away by itself: another try.
    Unlock,
    /// A picture comes by itself: another try.
    Picture,
    /// A machine that is off is what was wanted.
    Stop,
    /// It may have worked all the same: look whether the machine is still registered.
    Forget,
    /// A medium that is not known is closed already; one that another machine uses stays.
    Close,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Give up.
    Fail,
    /// Wait, then run the same command again.
    Again(Duration),
    /// It is as good as done.
    Done,
    /// Done when the machine is not registered any more.
    DoneIfForgotten,
}

impl Rule {
    /// What to do about `fault` after `tries` tries, the failed one included.
    ///
    /// Each wait is bounded: an unwritable settings folder looks like the race of the server at first, and a
    /// machine that another program holds looks like a lock that is going away.
    #[must_use]
    pub fn react(self, fault: &ManageError, tries: u32) -> Reaction {
        let again = |most: u32, millis: u64| {
            if tries < most { Reaction::Again(Duration::from_millis(millis)) } else { Reaction::Fail }
        };
        if fault.is_server_race() {
            return again(5, 1000);
        }
        if fault.is_unready() {
            return again(20, 500);
        }
        match self {
            Self::Unlock if fault.is_locked() => again(20, 500),
            Self::Stop if fault.is_not_running() => Reaction::Done,
            Self::Stop if fault.is_locked() || fault.code == Some(INVALID_VM_STATE) => again(20, 500),
            Self::Picture if fault.is_no_picture() => again(60, 500),
            Self::Forget if fault.is_locked() => again(20, 500),
            Self::Forget if fault.code == Some(OBJECT_NOT_FOUND) => Reaction::Done,
            Self::Forget => Reaction::DoneIfForgotten,
            Self::Close if fault.is_locked() => again(20, 500),
            Self::Close if fault.is_in_use() || fault.code == Some(OBJECT_NOT_FOUND) => Reaction::Done,
            _ => Reaction::Fail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXISTS: &str = "VBoxManage: error: Machine settings file '/vms/service/service.vbox' already exists\n\
        VBoxManage: error: Details: code VBOX_E_FILE_ERROR (0x80bb0004), component MachineWrap, interface IMachine, callee nsISupports\n\
        VBoxManage: error: Context: \"CreateMachine(...)\" at line 341 of file VBoxManageMisc.cpp\n";

    #[test]
    fn an_error_is_its_words_and_its_code() {
        let fault = ManageError::read(Some(1), "", EXISTS).unwrap();
        assert_eq!(fault.text, "Machine settings file '/vms/service/service.vbox' already exists");
        assert_eq!(fault.code, Some(0x80bb_0004));
    }

    #[test]
    fn windows_writes_another_prefix_and_line_end() {
        let text = EXISTS.replace("VBoxManage:", "VBoxManage.exe:").replace('\n', "\r\n");
        assert_eq!(ManageError::read(Some(1), "", &text), ManageError::read(Some(1), "", EXISTS));
    }

    #[test]
    fn an_error_without_a_text_shows_its_code_line() {
        let text = "VBoxManage: error: Code E_ACCESSDENIED (0x80070005) - Access denied (extended info not available)\n\
            VBoxManage: error: Context: \"EnableStaticIPConfig(Bstr(pszIp).raw(), Bstr(pszNetmask).raw())\" at line 242 of file VBoxManageHostonly.cpp\n";
        let fault = ManageError::read(Some(1), "", text).unwrap();
        assert_eq!(fault.code, Some(ACCESS_DENIED));
        assert_eq!(
            fault.text,
            "Code E_ACCESSDENIED (0x80070005) - Access denied (extended info not available)"
        );
    }

    #[test]
    fn an_error_line_is_an_error_even_with_exit_code_0_and_a_warning_is_none() {
        let fault = ManageError::read(Some(0), "", "VBoxManage: error: Invalid NIC number 9\n").unwrap();
        assert_eq!(fault, ManageError { text: "Invalid NIC number 9".to_owned(), code: None });
        let warning = "VBoxManage: warning: Interface \"vboxnet0\" doesn't seem to exist\n\
            Warning: --audio is deprecated and will be removed soon.\n0%...10%...100%\n";
        assert_eq!(ManageError::read(Some(0), "Medium created. UUID: x\n", warning), None);
    }

    #[test]
    fn progress_before_an_error_is_left_out() {
        let text = "0%...NS_ERROR_FAILURE\nVBoxManage: error: Failed to create the host-only adapter\n\
            VBoxManage: error: VBoxNetAdpCtl: Error while adding new interface: failed to open /dev/vboxnetctl: No such file or directory\n\
            VBoxManage: error: Details: code NS_ERROR_FAILURE (0x80004005), component HostNetworkInterfaceWrap, interface IHostNetworkInterface\n";
        let fault = ManageError::read(Some(1), "", text).unwrap();
        assert!(
            fault.text.starts_with("Failed to create the host-only adapter\nVBoxNetAdpCtl:"),
            "{}",
            fault.text
        );
        assert_eq!(fault.code, Some(0x8000_4005));
        assert!(fault.help().unwrap().contains("modprobe vboxnetadp"));
        let same_line = ManageError::read(Some(1), "", "0%...10%...VBoxManage: error: no\n").unwrap();
        assert_eq!(same_line.text, "no");
    }

    #[test]
    fn the_usage_behind_a_syntax_error_is_left_out() {
        let usage = "Usage - ".to_owned() + &"x".repeat(40_000);
        let text = format!("VBoxManage: error: DHCP server already exists\n{usage}\n");
        assert_eq!(ManageError::read(Some(2), "", &text).unwrap().text, "DHCP server already exists");
        let only_usage = ManageError::read(Some(1), &usage, "").unwrap();
        assert_eq!(only_usage.text.chars().count(), LINE_CHARS);
    }

    #[test]
    fn an_answer_that_ends_in_the_middle_of_a_line_is_cut_off() {
        assert_eq!(cut_off("\"a\" {u}\n\"B"), Some("\"B"));
        assert_eq!(cut_off("CfgFile=\""), Some("CfgFile=\""));
        assert_eq!((cut_off(""), cut_off("a\n"), cut_off("a\r\n")), (None, None, None));
    }

    #[test]
    fn no_words_at_all_are_still_an_error() {
        assert_eq!(ManageError::read(Some(1), "", "").unwrap().text, "it exited with 1");
        assert_eq!(ManageError::read(None, "", "").unwrap().text, "it was killed by a signal");
    }

    const ALL: [Rule; 6] = [Rule::Plain, Rule::Unlock, Rule::Picture, Rule::Stop, Rule::Forget, Rule::Close];

    fn fault(text: &str, code: Option<u32>) -> ManageError {
        ManageError { text: text.to_owned(), code }
    }

    #[test]
    fn a_machine_that_was_just_ending_is_asked_again() {
        let closing = fault("The object is not ready", Some(ACCESS_DENIED));
        for rule in ALL {
            assert!(matches!(rule.react(&closing, 19), Reaction::Again(_)), "{rule:?}");
            assert_eq!(rule.react(&closing, 20), Reaction::Fail);
        }
    }

    #[test]
    fn a_disk_that_another_machine_uses_is_left_open() {
        let used =
            fault("Medium '/d.vdi' cannot be closed because it is still attached", Some(OBJECT_IN_USE));
        assert_eq!(Rule::Close.react(&used, 1), Reaction::Done);
        assert_eq!(Rule::Plain.react(&used, 1), Reaction::Fail);
    }

    #[test]
    fn each_retry_is_for_what_gets_better_and_is_bounded() {
        let race = fault("Failed to create the VirtualBox object!", None);
        let locked = fault(
            "The machine 'service' is already locked for a session (or being unlocked)",
            Some(INVALID_OBJECT_STATE),
        );
        let pending = fault("The machine 'service' already has a lock request pending", None);
        let dark = fault("Unsupported resolution for screen shot: 0x0 (screen 0)", None);
        let off = fault("Machine 'service' is not currently running.", None);
        let other = fault("Could not find a registered machine named 'x'", Some(OBJECT_NOT_FOUND));
        for rule in ALL {
            assert!(matches!(rule.react(&race, 1), Reaction::Again(_)), "{rule:?}");
            assert_eq!(rule.react(&race, 5), Reaction::Fail);
        }
        for locked in [&locked, &pending] {
            assert!(matches!(Rule::Unlock.react(locked, 19), Reaction::Again(_)));
            assert_eq!(Rule::Unlock.react(locked, 20), Reaction::Fail);
            assert_eq!(Rule::Plain.react(locked, 1), Reaction::Fail);
        }
        assert!(matches!(Rule::Picture.react(&dark, 1), Reaction::Again(_)));
        assert_eq!(Rule::Unlock.react(&dark, 1), Reaction::Fail);
        assert_eq!(Rule::Stop.react(&off, 1), Reaction::Done);
        assert_eq!(Rule::Picture.react(&off, 1), Reaction::Fail);
        let starting = fault("Invalid machine state: Starting", Some(INVALID_VM_STATE));
        assert!(matches!(Rule::Stop.react(&starting, 1), Reaction::Again(_)));
        assert_eq!(Rule::Plain.react(&starting, 1), Reaction::Fail);
        assert_eq!(Rule::Forget.react(&other, 1), Reaction::Done);
        assert_eq!(Rule::Forget.react(&off, 1), Reaction::DoneIfForgotten);
    }
}
