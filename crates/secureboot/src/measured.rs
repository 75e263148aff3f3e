//! What the registers (PCRs) of a TPM hold after UEFI started an ISO of ours: predicted from the image alone.
//!
//! Firmware measures the programs that it starts (PCR 4), GRUB its commands (8) and the files that it opens (9), Linux's EFI
//! stub its options and its initrd (9). Left out are registers that the machine decides: firmware and its settings (0 to 3,
//! 5, 6), Secure Boot's keys (7), MokManager's keys (14). Sources: TCG PC Client Platform Firmware Profile 1.05, 3.3.4; GRUB
//! 2.12, `grub-core/commands/tpm.c`; Linux, `drivers/firmware/efi/libstub/efi-stub-helper.c`.

mod grub;

use std::{collections::BTreeMap, io};

use bootiso::{Entry, Iso};
use memchr::memmem;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Error, Program, certificate::hex};
use grub::GrubStep;

/// Raised when the file says something else, or the same in another way.
const FORMAT: u32 = 1;
/// No program is larger.
const PROGRAM_LIMIT: u64 = 128 << 20;
/// No `grub.cfg` is larger.
const SCRIPT_LIMIT: u64 = 1 << 20;
const SHIM: &str = "/EFI/BOOT/BOOTX64.EFI";
const GRUB: &str = "/EFI/BOOT/grubx64.efi";
const KERNEL: &str = "/vmlinuz";
const SCRIPT: &str = "/boot/grub/grub.cfg";

/// What firmware measures before it starts a program: that it begins to, and that its own part is over.
const ACTION: &[u8] = b"Calling EFI Application from Boot Option";
const SEPARATOR: &[u8] = &[0; 4];
/// What Debian's GRUB for CDs, started from a CD, runs before our `grub.cfg`: its own, which is packed inside it.
const EARLY: [&str; 4] = [
    "[ -z (cd0)/boot/grub -o ! -e (cd0)/boot/grub ]",
    "[ -e (cd0)/boot/grub/x86_64-efi/grub.cfg ]",
    "[ -e (cd0)/boot/grub/grub.cfg ]",
    "source (cd0)/boot/grub/grub.cfg",
];
/// How that GRUB is told from others: it starts its own script, then looks for files here.
const MARKS: [&[u8]; 2] = [b"normal (memdisk)/grub.cfg\n\0", b"\0/boot/grub\0"];
/// Its name and version in its SBAT.
const KNOWN: (&str, &str) = ("grub.debian", "2.12-");
/// What Linux's EFI stub calls what it measures, where it measures at all (since 6.2 or so): its options, its initrd.
const OPTIONS: &[u8] = b"LOADED_IMAGE::LoadOptions\0";
const INITRD: &[u8] = b"Linux initrd\0";
/// What GRUB puts in front of a kernel's command line.
const BOOT_IMAGE: &str = "BOOT_IMAGE=";

/// What a TPM's SHA-256 registers will hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Prediction {
    format: u32,
    /// What is predicted, by register.
    pub registers: Vec<Register>,
    /// What cannot be predicted, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Unknown>,
}

/// A register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Register {
    /// Its number.
    pub pcr: u8,
    /// Whether this is with Secure Boot on or off; the same with both unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// What it holds in the end.
    pub sha256: String,
    /// What it was extended with, in order.
    pub events: Vec<MeasuredEvent>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredEvent {
    /// The digest of what was measured.
    pub sha256: String,
    /// What was measured.
    pub what: String,
}

/// A register that cannot be predicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unknown {
    /// Its number.
    pub pcr: u8,
    /// Reason why it cannot be predicted.
    pub why: String,
}

/// Registers of a machine, in hexadecimal digits, by number.
pub type Registers = BTreeMap<u8, String>;

impl Prediction {
    /// Predicts what starting `iso` as a CD leaves in the registers. A stick that firmware starts by the same boot catalogue
    /// leaves the same.
    ///
    /// # Errors
    /// When no shim starts the image, or it cannot be read.
    pub fn of(iso: &Iso) -> Result<Self, Error> {
        let [shim, grub] = [efi(iso, SHIM)?, efi(iso, GRUB)?];
        let (file, script) = (read(iso, KERNEL, PROGRAM_LIMIT)?, read(iso, SCRIPT, SCRIPT_LIMIT)?);
        let kernel = Program::read(&file);
        let mut programs = vec![
            event(ACTION, String::from_utf8_lossy(ACTION).into_owned()),
            event(SEPARATOR, "separator".to_owned()),
            program(SHIM, &Program::read(&shim)?),
            program(GRUB, &Program::read(&grub)?),
        ];
        let mut registers = vec![register(4, Some(false), programs.clone())];
        // With Secure Boot on, GRUB has shim check the kernel, and firmware start it.
        if let Ok(kernel) = &kernel {
            programs.push(program(KERNEL, kernel));
            registers.push(register(4, Some(true), programs));
        }
        let mut unknown = Vec::new();
        let steps = known(&grub).and_then(|()| {
            let text = std::str::from_utf8(&script).map_err(|_| format!("{SCRIPT} is not UTF-8"))?;
            grub::steps(text).map_err(|why| format!("{SCRIPT}: {why}"))
        });
        match steps {
            Ok(steps) => {
                let (commands, files) = loaded(iso, &steps, &file, &script)?;
                registers.extend([register(8, None, commands), register(9, None, files)]);
            }
            Err(why) => unknown.extend([8, 9].map(|pcr| Unknown { pcr, why: why.clone() })),
        }
        Ok(Self { format: FORMAT, registers, unknown })
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// When it is not one, or of another version.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let read: Self = serde_json::from_slice(bytes).map_err(|e| Error::Prediction(e.to_string()))?;
        match read.format {
            FORMAT => Ok(read),
            other => Err(Error::Prediction(format!("its format is {other}, not {FORMAT}"))),
        }
    }

    /// As text; the same for the same image everywhere.
    ///
    /// # Errors
    /// None of its own.
    pub fn to_json(&self) -> Result<String, Error> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::Prediction(e.to_string()))?;
        Ok(text + "\n")
    }

    /// Holds a machine's registers against the prediction: for each that is predicted, what was found, or how it differs.
    #[must_use]
    pub fn compare(&self, machine: &Registers) -> Vec<(u8, Result<String, String>)> {
        let mut numbers: Vec<u8> = self.registers.iter().map(|r| r.pcr).collect();
        numbers.dedup();
        numbers.into_iter().map(|pcr| (pcr, self.compare_one(pcr, machine.get(&pcr)))).collect()
    }

    fn compare_one(&self, pcr: u8, value: Option<&String>) -> Result<String, String> {
        let name = format!("PCR {pcr} ({})", meaning(pcr));
        let Some(value) = value else { return Err(format!("{name} is missing from the registers")) };
        let all: Vec<&Register> = self.registers.iter().filter(|r| r.pcr == pcr).collect();
        match all.iter().find(|r| r.sha256 == *value) {
            Some(Register { secure_boot: None, .. }) => Ok(format!("{name} is as predicted")),
            Some(Register { secure_boot: Some(on), .. }) => {
                Ok(format!("{name} is as predicted with Secure Boot {}", if *on { "on" } else { "off" }))
            }
            None => {
                let short = |text: &str| text.chars().take(16).collect::<String>();
                let wanted: Vec<String> = all.iter().map(|r| short(&r.sha256)).collect();
                Err(format!("{name} is {}, not {}", short(value), wanted.join(" or ")))
            }
        }
    }
}

/// The registers in a text: that of `grep . /sys/class/tpm/tpm0/pcr-sha256/*`, of `tpm2_pcrread sha256`, or any lines with a
/// number and then 64 hexadecimal digits.
#[must_use]
pub fn registers(text: &str) -> Registers {
    let mut found = Registers::new();
    let mut is_other_bank = false;
    for line in text.lines().map(str::trim) {
        if let Some(bank) = line.strip_suffix(':') {
            is_other_bank = bank != "sha256";
        }
        let words = || line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
        let value = words().next_back().map(|w| w.strip_prefix("0x").or(w.strip_prefix("0X")).unwrap_or(w));
        let value = value.filter(|v| v.len() == 64 && v.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = words().rev().nth(1).and_then(|w| w.parse().ok());
        if let (Some(value), Some(number), false) = (value, number, is_other_bank) {
            found.entry(number).or_insert_with(|| value.to_ascii_lowercase());
        }
    }
    found
}

fn meaning(pcr: u8) -> &'static str {
    match pcr {
        4 => "the programs that firmware and shim started",
        8 => "GRUB's commands and the kernel's command line",
        _ => "the files that were loaded: grub.cfg, kernel, initrd",
    }
}

/// Whether this is the GRUB of which it is known what it runs by itself.
fn known(grub: &[u8]) -> Result<(), String> {
    let sbat = Program::read(grub).ok().and_then(|p| p.sbat).unwrap_or_default();
    // Component, generation, vendor, package, version.
    let fields = sbat.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let version = fields.filter(|f| f.first() == Some(&KNOWN.0)).find_map(|f| f.get(4).copied());
    let is_known = version.is_some_and(|v| v.starts_with(KNOWN.1));
    if is_known && MARKS.iter().all(|mark| memmem::find(grub, mark).is_some()) {
        return Ok(());
    }
    let version = version.map(|v| format!(" {v}")).unwrap_or_default();
    Err(format!(
        "what this GRUB{version} runs before {SCRIPT} is unknown; only Debian's GRUB 2.12 for CDs is known"
    ))
}

/// What GRUB and the kernel measure: commands, and files.
fn loaded(
    iso: &Iso,
    steps: &[GrubStep],
    kernel: &[u8],
    script: &[u8],
) -> Result<(Vec<MeasuredEvent>, Vec<MeasuredEvent>), Error> {
    let command = |text: &str| event(text.as_bytes(), format!("grub_cmd: {text}"));
    let mut commands: Vec<MeasuredEvent> = EARLY.iter().map(|text| command(text)).collect();
    let mut files = vec![event(script, SCRIPT.to_owned())];
    let mut options = Vec::new();
    let mut initrd = Joined::default();
    for step in steps {
        match step {
            GrubStep::Command(text) => commands.push(command(text)),
            GrubStep::Kernel(file, line) => {
                files.push(streamed(iso, file, &mut Joined::default())?);
                commands.push(event(line.as_bytes(), format!("kernel_cmdline: {line}")));
                let text = format!("{BOOT_IMAGE}{line}");
                let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                options.push(event(&bytes, format!("options of the kernel: {text}")));
            }
            GrubStep::Initrd(names) => {
                for name in names {
                    files.push(streamed(iso, name, &mut initrd)?);
                }
            }
        }
    }
    if memmem::find(kernel, OPTIONS).is_some() {
        files.extend(options);
    }
    if initrd.length > 0 && memmem::find(kernel, INITRD).is_some() {
        let what = "the initrd, as the kernel got it".to_owned();
        files.push(MeasuredEvent { sha256: hex(&initrd.hash.finalize()), what });
    }
    Ok((commands, files))
}

/// Files one after the other, each from a multiple of 4 bytes on, as GRUB hands them to the kernel.
#[derive(Default)]
struct Joined {
    hash: Sha256,
    length: u64,
}

/// The event of a file, which is also joined to others.
fn streamed(iso: &Iso, path: &str, joined: &mut Joined) -> Result<MeasuredEvent, Error> {
    let entry = iso.find(path).map_err(|e| Error::Image(e.to_string()))?;
    let gap = joined.length.next_multiple_of(4) - joined.length;
    joined.hash.update(&[0; 4][..usize::try_from(gap).expect("less than 4")]);
    let mut hash = Sha256::new();
    let (mut reader, mut piece) = (iso.reader(&entry), vec![0; 1 << 20]);
    let mut length = 0;
    loop {
        let read = io::Read::read(&mut reader, &mut piece).map_err(|e| Error::Image(e.to_string()))?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        joined.hash.update(&piece[..read]);
        length += read as u64;
    }
    joined.length += gap + length;
    Ok(MeasuredEvent { sha256: hex(&hash.finalize()), what: path.to_owned() })
}

fn event(bytes: &[u8], what: String) -> MeasuredEvent {
    MeasuredEvent { sha256: hex(&Sha256::digest(bytes)), what }
}

fn program(path: &str, program: &Program) -> MeasuredEvent {
    MeasuredEvent { sha256: program.digest_hex(), what: format!("{path}, as Authenticode hashes it") }
}

fn register(pcr: u8, secure_boot: Option<bool>, events: Vec<MeasuredEvent>) -> Register {
    let mut value = [0; 32];
    for event in &events {
        let digest = bytes(&event.sha256);
        value = Sha256::new().chain_update(value).chain_update(digest).finalize().into();
    }
    Register { pcr, secure_boot, sha256: hex(&value), events }
}

fn bytes(digits: &str) -> Vec<u8> {
    let pair = |at: usize| digits.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    (0..digits.len()).step_by(2).filter_map(pair).collect()
}

fn efi(iso: &Iso, path: &str) -> Result<Vec<u8>, Error> {
    let wrong = |e: bootiso::Error| Error::Image(e.to_string());
    let at = iso.find("/efi.img").map_err(wrong)?.extents.first().map_or(0, |e| e.offset);
    let files = iso.fat_files(at).map_err(wrong)?;
    let file: Option<&Entry> = files.iter().find(|f| f.path.eq_ignore_ascii_case(path));
    let file = file.ok_or_else(|| Error::Image(format!("no such file in its FAT image: {path}")))?;
    iso.read(file, PROGRAM_LIMIT).map_err(wrong)
}

fn read(iso: &Iso, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
    iso.find(path).and_then(|entry| iso.read(&entry, limit)).map_err(|e| Error::Image(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_read_from_linux_and_from_tpm2_tools() {
        let (a, b) = ("0a".repeat(32), "1b".repeat(32));
        let linux = format!("/sys/class/tpm/tpm0/pcr-sha256/4:{}\n/sys/…/10:{b}\n", a.to_uppercase());
        assert_eq!(registers(&linux), Registers::from([(4, a.clone()), (10, b.clone())]));
        let tool =
            format!("  sha3_256:\n    4 : 0x{b}\n  sha256:\n    4 : 0x{}\n    8 : 0x{b}\n", a.to_uppercase());
        assert_eq!(registers(&tool), Registers::from([(4, a.clone()), (8, b)]));
        for other in ["", "4", "4:0a", &format!("x:{a}"), &format!("{a}:4"), &format!("256:{a}")] {
            assert!(registers(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn a_register_is_extended_as_a_tpm_does_it() {
        let separator = event(SEPARATOR, String::new());
        let value = register(2, None, vec![separator]).sha256;
        // PCR 2 and 3 of OVMF: a separator and nothing else.
        assert_eq!(value, "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969");
    }

    #[test]
    fn each_register_is_compared_by_itself_and_named() {
        let one = |pcr, on, fill: &str| Register {
            pcr,
            secure_boot: on,
            sha256: fill.repeat(64),
            events: Vec::new(),
        };
        let registers =
            vec![one(4, Some(false), "a"), one(4, Some(true), "b"), one(8, None, "c"), one(9, None, "d")];
        let prediction = Prediction { format: FORMAT, registers, unknown: Vec::new() };
        let found = prediction.compare(&Registers::from([(4, "b".repeat(64)), (8, "e".repeat(64))]));
        let said: Vec<String> =
            found.into_iter().map(|(_, r)| r.unwrap_or_else(|e| format!("no: {e}"))).collect();
        assert_eq!(
            said,
            [
                "PCR 4 (the programs that firmware and shim started) is as predicted with Secure Boot on",
                "no: PCR 8 (GRUB's commands and the kernel's command line) is eeeeeeeeeeeeeeee, not cccccccccccccccc",
                "no: PCR 9 (the files that were loaded: grub.cfg, kernel, initrd) is missing from the registers",
            ]
        );
        let text = prediction.to_json().unwrap();
        assert_eq!(Prediction::from_json(text.as_bytes()).unwrap(), prediction);
        assert!(Prediction::from_json(text.replace("\"format\": 1", "\"format\": 2").as_bytes()).is_err());
    }
}
