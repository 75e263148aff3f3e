//! The words on a serial console, and what they mean.

use super::Mark;

/// A line as a person would read it: control sequences (ANSI), carriage returns and other control characters
/// are removed. GRUB and UEFI firmware paint with them.
#[must_use]
pub fn clean(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                if chars.next_if_eq(&'[').is_some() {
                    // A control sequence ends with its first letter or `@`…`~`.
                    while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
                } else {
                    chars.next();
                }
            }
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    let line = out.trim_end();
    undoubled(line).unwrap_or_else(|| line.to_owned())
}

/// A line whose every letter stands twice: UEFI firmware repeats on the serial line what iPXE writes there itself.
fn undoubled(line: &str) -> Option<String> {
    let letters: Vec<char> = line.chars().collect();
    let doubled = letters.len().is_multiple_of(2) && letters.chunks(2).all(|pair| pair[0] == pair[1]);
    let words = letters.len() >= 8 && letters.iter().any(|c| c.is_alphanumeric());
    (doubled && words).then(|| letters.into_iter().step_by(2).collect())
}

/// The mark that a line shows.
pub(super) fn mark(line: &str) -> Option<Mark> {
    if line.contains("Linux version ") {
        return Some(Mark::Linux);
    }
    let said = line.strip_prefix("media: ")?;
    Some(match said.split(' ').next()? {
        "state" => Mark::State,
        "cloud-config" => Mark::CloudConfig,
        "up" | "nonce" | "cmdline" | "boots" | "done" => Mark::Userspace,
        // Our iPXE scripts speak in the same manner.
        _ => return None,
    })
}

/// What stands behind `media: <key> ` in a line.
pub(super) fn said<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.strip_prefix("media: ")?.strip_prefix(key)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix(' ') }
}

/// GRUB asked shim whether the kernel is signed.
pub(crate) const BY_GRUB: &str = "GRUB refuses the kernel, whose signature does not hold";
/// Shim checked GRUB.
pub(crate) const BY_SHIM: &str = "shim refuses GRUB, whose signature does not hold";
/// The firmware checked what it was to start.
pub(crate) const BY_FIRMWARE: &str =
    "the firmware refuses the loader: it is unsigned, by another key, or revoked";

/// Who says in a line that Secure Boot forbids what comes next.
#[must_use]
pub fn refusal(line: &str) -> Option<&'static str> {
    let by_firmware = line.contains("BdsDxe: failed to ")
        && (line.contains("Access Denied") || line.contains("Security Violation"));
    match line {
        // GRUB 2.12 through shim's protocol, and by itself.
        l if l.contains("bad shim signature") || l.contains("shim_lock protocol not found") => Some(BY_GRUB),
        l if l.contains("Verification failed: (0x1A)") => Some(BY_SHIM),
        _ => by_firmware.then_some(BY_FIRMWARE),
    }
}

/// A line by which a boot loader says that it cannot go on.
pub(super) fn loader_failure(line: &str) -> bool {
    const WORDS: &[&str] = &[
        // SeaBIOS, OVMF
        "No bootable device",
        "Boot failed: could not read the boot disk",
        "BdsDxe: No bootable option",
        // isolinux
        "Could not find kernel image",
        "Failed to load",
        "Invalid or corrupt kernel image",
        // GRUB
        "error: file `",
        "error: no such device",
        "error: you need to load the kernel first",
        "Entering rescue mode",
    ];
    WORDS.iter().any(|w| line.contains(w))
}

/// The file, iPXE's error number and what its clock shows, in the line by which our signed scripts say that a
/// signature does not hold:
/// `REFUSED: vmlinuz from http://… is not signed by a trusted key (0x1c69e502, clock 0x6b0a9535)`.
pub(super) fn refused(line: &str) -> Option<(&str, u32, Option<u64>)> {
    let (file, rest) = line.strip_prefix("REFUSED: ")?.split_once(" from ")?;
    let (number, clock) = rest.rsplit_once('(')?.1.split_once(", clock ")?;
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    Some((file, u32::try_from(hex(number)?).ok()?, hex(clock.trim_end_matches(')'))))
}

/// How the diagnosis of a refused HTTPS server begins.
pub(crate) const BY_IPXE_SERVER: &str = "iPXE refused the server ";

/// The HTTPS server that iPXE refuses, and what is wrong with its certificate, in the line by which our signed script says
/// that it got nothing: `No boot script from https://… (0x216eb3c): …`.
pub(super) fn refused_server(line: &str) -> Option<(&str, &'static str)> {
    let (url, rest) = line.strip_prefix("No boot script from ")?.split_once(" (0x")?;
    let number = u32::from_str_radix(rest.split(')').next()?, 16).ok()?;
    let why = pki::ipxe_server_reason(number)?;
    url.starts_with("https:").then_some((url, why))
}

/// A line by which Linux says that its initrd is not what it should be.
pub(super) fn initrd_failure(line: &str) -> bool {
    const WORDS: &[&str] = &[
        "Initramfs unpacking failed",
        "VFS: Unable to mount root fs",
        "VFS: Cannot open root device",
        "No working init found",
        "rootfs image is not initramfs",
    ];
    WORDS.iter().any(|w| line.contains(w))
}

/// A line by which Linux says that it stops for good.
pub(super) fn panic(line: &str) -> bool {
    line.contains("Kernel panic - not syncing")
}

/// A line by which Linux says that a processor's timer stopped. It was seen before the first process, on a machine of two
/// processors that QEMU translated on a busy host.
pub(super) fn lost_timer(line: &str) -> bool {
    line.contains("kthread timer wakeup didn't happen for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paint_is_removed_and_words_stay() {
        assert_eq!(clean("\u{1b}[2J\u{1b}[01;01Hmedia: up\r"), "media: up");
        assert_eq!(clean("\u{1b}c\u{7}a\tb  "), "a b");
        assert_eq!(clean("\u{1b}[31"), "");
        assert_eq!(clean("\u{1b}"), "");
    }

    #[test]
    fn letters_that_firmware_repeats_stand_once() {
        assert_eq!(clean("RREEFFUUSSEEDD::  vvmmlliinnuuzz\r\r"), "REFUSED: vmlinuz");
        for line in ["========", "aabb", "media: up", "aabbccddee f"] {
            assert_eq!(clean(line), line);
        }
    }

    #[test]
    fn who_refused_what_is_told_apart() {
        let cases = [
            ("error: bad shim signature.", Some(BY_GRUB)),
            ("|  Verification failed: (0x1A) Security Violation  |", Some(BY_SHIM)),
            ("BdsDxe: failed to load Boot0001 \"UEFI\" from Sata(0x0): Access Denied", Some(BY_FIRMWARE)),
            ("BdsDxe: failed to load Boot0001 \"UEFI\" from Sata(0x0): Not Found", None),
        ];
        for (line, who) in cases {
            assert_eq!(refusal(line), who, "{line}");
        }
    }

    #[test]
    fn facts_are_read_by_whole_keys() {
        assert_eq!(said("media: boots 3", "boots"), Some("3"));
        assert_eq!(said("media: bootstrap", "boots"), None);
        assert_eq!(said("media: done", "done"), Some(""));
        assert_eq!(said("x media: done", "done"), None);
    }

    #[test]
    fn a_refusal_is_read_with_its_number() {
        let line =
            "REFUSED: vmlinuz from http://h/x is not signed by a trusted key (0x1c69e502, clock 0x6b0a9535)";
        assert_eq!(refused(line), Some(("vmlinuz", 0x1c69_e502, Some(0x6b0a_9535))));
        for line in ["REFUSED: vmlinuz", "REFUSED: a from b (x, c)", "echo REFUSED: a from b (1, c)"] {
            assert_eq!(refused(line), None, "{line}");
        }
    }

    #[test]
    fn a_refused_server_is_told_from_one_that_is_not_there() {
        let line =
            "No boot script from https://192.0.2.1:8089 (0x216eb3c): is \"cargo xtask serve\" running there?";
        let (url, why) = refused_server(line).unwrap();
        assert_eq!(url, "https://192.0.2.1:8089");
        assert!(why.starts_with("no root"), "{why}");
        assert!(refused_server(&line.replace("216eb3c", "216e43c")).unwrap().1.contains("expired"));
        for line in
            ["No boot script from https://a (0x4c126035): x", "No boot script from http://a (0x216eb3c)"]
        {
            assert_eq!(refused_server(line), None, "{line}");
        }
    }

    #[test]
    fn marks_are_read_off_lines() {
        assert_eq!(mark("[    0.000000] Linux version 6.1.0"), Some(Mark::Linux));
        assert_eq!(mark("media: state mounted /dev/vda"), Some(Mark::State));
        assert_eq!(mark("media: up"), Some(Mark::Userspace));
        assert_eq!(mark("media: asking for an address"), None);
    }
}
