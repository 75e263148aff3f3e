//! A TPM beside the machine, and whether its registers hold what was predicted.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::{Outcome, Trial, failed};
use bootiso::Iso;
use buildexec::{
    ctx::Ctx,
    run::{RunningCommand, Streams},
};
use buildplan::Cmd;
use mediaplan::stage::measured::REGISTERS;
use secureboot::measured::{Prediction, Registers, registers};
use vmspec::scenario::Proof;

/// Registers that `kargs` changes: GRUB's commands, and the files that it reads.
const EDITED: [u8; 2] = [8, 9];
/// How the guest begins a line with a register.
const SAID: &str = "media: pcr-";
/// swtpm listens within a tenth of a second.
const START: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(20);

/// An emulated TPM 2.0. It ends with the machine, or when it is dropped.
pub(super) struct Tpm {
    _job: RunningCommand,
    /// Where QEMU finds it: in a folder of its own, since a socket's path has 107 bytes at most.
    pub(super) socket: Utf8PathBuf,
    _folder: tempfile::TempDir,
}

impl Tpm {
    /// Starts one that nothing was measured into; what it says is kept in `dir`.
    fn start(ctx: &Ctx, dir: &Utf8Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("vm-tpm-").tempdir()?;
        let path = Utf8Path::from_path(folder.path()).context("the temporary folder is not UTF-8")?;
        // swtpm has no way to write a comma in an option's value.
        ensure!(!path.as_str().contains(','), "the temporary folder {path} has a comma in its name");
        let socket = path.join("tpm");
        let cmd = Cmd::new("swtpm", "emulate a TPM")
            .args(["socket", "--tpm2", "--terminate", "--tpmstate", &format!("dir={path}")])
            .args(["--ctrl", &format!("type=unixio,path={socket}")])
            .deadline(Duration::from_secs(24 * 3600));
        let log = dir.join("swtpm.log");
        let stderr = File::create(&log)?;
        let mut job = ctx.runner.spawn(&cmd, Streams { stdout: stderr.try_clone()?, stderr })?;
        let begin = Instant::now();
        while !socket.exists() {
            ctx.check_interrupt()?;
            if job.try_wait()?.is_some() || begin.elapsed() > START {
                bail!("swtpm did not start; it said: {}", fs_err::read_to_string(&log)?.trim());
            }
            std::thread::sleep(TICK);
        }
        Ok(Self { _job: job, socket, _folder: folder })
    }
}

impl Trial<'_> {
    /// What the guest reads of its TPM is what the image predicts: the built one, or one that was edited, by which the
    /// registers of its commands and files differ from those of the build.
    pub(super) fn measured(&mut self) -> Result<Outcome> {
        self.tpm = Some(Tpm::start(self.ctx, self.dir)?);
        let booted = self.boot_once();
        self.tpm = None;
        let (mut session, verdict) = booted?;
        if let failure @ Outcome::Failed { .. } = self.judge(&mut session, verdict) {
            return Ok(failure);
        }
        let said = session.boot().lines().iter().filter_map(|line| line.split_once(SAID));
        let read = registers(&said.map(|(_, rest)| rest).collect::<Vec<_>>().join("\n"));
        let file = self.dist().iso.with_file_name(REGISTERS);
        let built =
            Prediction::from_json(&fs_err::read(&file)?).with_context(|| format!("cannot use {file}"))?;
        let found = match self.scenario.proof {
            Proof::Measured => as_predicted(&built, &read),
            _ => {
                let edited = Prediction::of(&Iso::open(&self.copy())?)?;
                as_predicted(&edited, &read).and_then(|_| as_edited(&built, &read))
            }
        };
        Ok(match found {
            Ok(note) => Outcome::Passed { note: Some(note) },
            Err(why) => failed(&mut session, why),
        })
    }
}

/// Every register that can be predicted is as predicted.
fn as_predicted(prediction: &Prediction, read: &Registers) -> Result<String, String> {
    if let Some(unknown) = prediction.unknown.first() {
        return Err(format!("PCR {} was not predicted: {}", unknown.pcr, unknown.why));
    }
    let all: Vec<String> =
        prediction.compare(read).into_iter().map(|(_, found)| found).collect::<Result<_, _>>()?;
    Ok(all.join(", "))
}

/// The registers that an edit of the command line changes, and no others, differ from those of the build.
fn as_edited(built: &Prediction, read: &Registers) -> Result<String, String> {
    let mut differ = Vec::new();
    for (pcr, found) in built.compare(read) {
        match (found, EDITED.contains(&pcr)) {
            (Ok(_), false) => {}
            (Err(how), true) => differ.push(how),
            (Ok(said), true) => return Err(format!("{said}, but the command line was changed")),
            (Err(how), false) => return Err(how),
        }
    }
    Ok(format!("as predicted of the edited ISO; of the built one {}", differ.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(eight: &str) -> Prediction {
        let one =
            |pcr: u8, fill: &str| serde_json::json!({ "pcr": pcr, "sha256": fill.repeat(64), "events": [] });
        let all = [one(4, "a"), one(8, eight), one(9, eight)];
        let text = serde_json::json!({ "format": 1, "registers": all }).to_string();
        Prediction::from_json(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_edit_changes_the_commands_and_files_and_no_program() {
        let read = registers(&format!("4 {}\n8 {}\n9 {}\n", "a".repeat(64), "b".repeat(64), "b".repeat(64)));
        assert!(as_predicted(&prediction("b"), &read).unwrap().contains("PCR 9"));
        assert!(as_predicted(&prediction("c"), &read).unwrap_err().starts_with("PCR 8 (GRUB's commands"));
        let note = as_edited(&prediction("c"), &read).unwrap();
        assert!(note.contains("PCR 8") && note.contains("PCR 9") && !note.contains("PCR 4"), "{note}");
        assert!(as_edited(&prediction("b"), &read).unwrap_err().contains("the command line was changed"));
        let other = registers(&format!("4 {}\n8 {}\n9 {}\n", "d".repeat(64), "b".repeat(64), "b".repeat(64)));
        assert!(as_edited(&prediction("c"), &other).unwrap_err().starts_with("PCR 4"));
    }
}
