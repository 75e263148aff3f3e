//! What this host has for QEMU: the program, the UEFI firmware, and whether KVM works.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use buildexec::ctx::Ctx;
use buildexec::{regular, run::Streams, store::TEXT_LIMIT};
use buildplan::Cmd;
use failure::{Failure, Kind};
use vmspec::qemu::{Accel, OVMF_PLACES, Ovmf, QemuHost, SECURE_OVMF};

/// The program that runs machines.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// How long an answer of the probe is believed: a host's `/dev/kvm` changes with reboots and permissions.
const BELIEVED: Duration = Duration::from_secs(3600);
/// A guest that prints does so within some 0.3 s; one whose KVM hangs never does.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// What the probe's guest prints.
const PROBE_WORDS: &[u8] = b"media: alive\r\n";

/// Looks at the host.
///
/// # Errors
/// [`Kind::MissingTool`] without QEMU.
pub(crate) fn find(ctx: &Ctx) -> Result<QemuHost> {
    let program = ctx.find_program(PROGRAM).ok_or_else(|| {
        Failure::new(Kind::MissingTool, format!("`{PROGRAM}` is not installed")).help(
            "`cargo xtask doctor --install` installs what is missing (here the package qemu-system-x86)",
        )
    })?;
    let accel = accel(ctx, &program)?;
    Ok(QemuHost { program: program.into_string(), accel, ovmf: ovmf(), secure: secure() })
}

/// As [`find`]; where QEMU is not installed, as if it were.
///
/// # Errors
/// When the probe cannot be carried out.
pub(crate) fn find_or_guess(ctx: &Ctx) -> Result<QemuHost> {
    if ctx.find_program(PROGRAM).is_some() {
        return find(ctx);
    }
    Ok(QemuHost { program: PROGRAM.to_owned(), accel: Accel::Tcg, ovmf: ovmf(), secure: secure() })
}

/// The first of the known places that exists.
#[must_use]
pub(crate) fn ovmf() -> Option<Ovmf> {
    OVMF_PLACES.iter().find_map(|(code, vars)| {
        let code = Utf8PathBuf::from(*code);
        let vars = vars.map(Utf8PathBuf::from);
        match vars {
            None if code.exists() => Some(Ovmf::Whole(code)),
            Some(vars) if code.exists() && vars.exists() => Some(Ovmf::Split { code, vars }),
            _ => None,
        }
    })
}

/// The firmware with Secure Boot on, where it is installed.
fn secure() -> Option<Ovmf> {
    let (code, vars) = SECURE_OVMF;
    let found = Ovmf::Split { code: code.into(), vars: vars.into() };
    (Utf8Path::new(code).exists() && Utf8Path::new(vars).exists()).then_some(found)
}

/// The probe's answer, as kept on disk.
#[derive(Serialize, Deserialize)]
struct ProbeAnswer {
    accel: Accel,
    at: SystemTime,
}

/// KVM where it runs a guest, else TCG.
///
/// That `/dev/kvm` can be opened says little: under nested virtualisation it may open and then hang the guest in
/// its firmware. So a guest of one sector must print a line first.
fn accel(ctx: &Ctx, program: &Utf8Path) -> Result<Accel> {
    if !Utf8Path::new("/dev/kvm").exists() {
        return Ok(Accel::Tcg);
    }
    let cache = ctx.work.join("kvm.json");
    let known =
        regular::read(&cache, TEXT_LIMIT).ok().and_then(|b| serde_json::from_slice::<ProbeAnswer>(&b).ok());
    if let Some(known) = known.filter(|k| k.at.elapsed().is_ok_and(|age| age < BELIEVED)) {
        return Ok(known.accel);
    }
    let accel = if probe(ctx, program, Accel::Kvm)? { Accel::Kvm } else { Accel::Tcg };
    fs_err::create_dir_all(&ctx.work)?;
    let known = ProbeAnswer { accel, at: SystemTime::now() };
    fs_err::write(&cache, serde_json::to_vec(&known)?)?;
    Ok(accel)
}

/// Whether a guest that only prints a line does so with `accel`.
///
/// # Errors
/// When the guest cannot be set up, or an interrupt comes.
pub fn probe(ctx: &Ctx, program: &Utf8Path, accel: Accel) -> Result<bool> {
    let dir = tempfile::tempdir()?;
    let dir = Utf8Path::from_path(dir.path())
        .ok_or_else(|| anyhow::anyhow!("the temporary folder is not UTF-8"))?;
    let (disk, serial) = (dir.join("probe.img"), dir.join("serial"));
    fs_err::write(&disk, boot_sector(PROBE_WORDS))?;
    fs_err::write(&serial, "")?;
    let cmd = Cmd::new(program.as_str(), "try KVM")
        .args(["-accel", if accel == Accel::Kvm { "kvm" } else { "tcg" }])
        .args(["-no-user-config", "-nodefaults", "-machine", "pc", "-m", "16", "-display", "none"])
        .args(["-drive", &format!("if=floppy,format=raw,file={}", disk.as_str().replace(',', ",,"))])
        .args(["-serial", &format!("file:{serial}")]);
    let log = tempfile::tempfile()?;
    let mut job = ctx.runner.spawn(&cmd, Streams { stdout: log.try_clone()?, stderr: log })?;
    let start = Instant::now();
    while start.elapsed() < PROBE_LIMIT {
        if fs_err::read(&serial)?.starts_with(PROBE_WORDS) {
            return Ok(true);
        }
        if job.try_wait()?.is_some() {
            return Ok(false);
        }
        ctx.check_interrupt()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(false)
}

/// A boot sector that writes `words` (488 bytes at most, the rest is cut) to the first serial port and halts. 16-bit
/// code at 0x7c00:
///
/// ```text
/// 00  31 c0      xor ax, ax
/// 02  8e d8      mov ds, ax
/// 04  be 14 7c   mov si, 0x7c14     ; the words
/// 07  ba f8 03   mov dx, 0x3f8      ; COM1, ready without a set-up in a virtual machine
/// 0a  ac         lodsb
/// 0b  84 c0      test al, al
/// 0d  74 03      jz 0x12
/// 0f  ee         out dx, al
/// 10  eb f8      jmp 0x0a
/// 12  fa f4      cli; hlt
/// ```
#[must_use]
pub fn boot_sector(words: &[u8]) -> Vec<u8> {
    let mut sector = vec![
        0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x14, 0x7c, 0xba, 0xf8, 0x03, 0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb,
        0xf8, 0xfa, 0xf4,
    ];
    sector.extend_from_slice(&words[..words.len().min(488)]);
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector
}
