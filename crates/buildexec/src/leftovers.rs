//! Programs that outlived the run that started them: its [`keeper`](super::keeper) was killed with it, or the system
//! has none.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{ctx::Ctx, run::Runner};
use failure::{Failure, Kind};

/// A program that was killed is gone after this long.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// A running program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    id: i32,
    /// The program and its arguments, with a blank between each two.
    command: String,
}

/// The programs whose file name begins with `program` and whose command line contains one of `texts`.
///
/// # Errors
/// When running programs cannot be listed.
pub fn find(runner: &Runner, program: &str, texts: &[&str]) -> Result<Vec<Leftover>> {
    let mut all = list(runner)?;
    all.retain(|l| is_one(l, program, texts));
    Ok(all)
}

fn is_one(leftover: &Leftover, program: &str, texts: &[&str]) -> bool {
    let own = leftover.command.split(' ').next().unwrap_or_default();
    let name = own.rsplit('/').next().unwrap_or_default();
    name.starts_with(program) && texts.iter().any(|text| leftover.command.contains(text))
}

/// Kills `leftovers` and waits until they are gone.
///
/// # Errors
/// [`Kind::Command`] when one stays, such as a program of another user.
pub fn end(ctx: &Ctx, leftovers: &[Leftover]) -> Result<()> {
    let begin = Instant::now();
    while let Some(Leftover { id, command }) = leftovers.iter().find(|l| kill(l.id)) {
        if begin.elapsed() > KILL_TIMEOUT {
            return Err(Failure::new(Kind::Command, format!("could not end the process {id}: {command}"))
                .help(format!("end it with `kill -9 {id}`"))
                .into());
        }
        ctx.check_interrupt()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Kills the process `id`, and says whether it was still there.
#[cfg(unix)]
fn kill(id: i32) -> bool {
    use rustix::process::{Pid, Signal, kill_process};
    // One that belongs to another user is there as well.
    Pid::from_raw(id).is_some_and(|pid| kill_process(pid, Signal::KILL) != Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn kill(_: i32) -> bool {
    false
}

/// Reading `/proc` needs no program; a minimal Debian has no `ps`.
#[cfg(target_os = "linux")]
fn list(_: &Runner) -> Result<Vec<Leftover>> {
    let mut all = Vec::new();
    for entry in fs_err::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended since. One that has, and that its parent has not asked about, has no command line.
        let words = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
        all.push(Leftover { id, command });
    }
    Ok(all)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn list(runner: &Runner) -> Result<Vec<Leftover>> {
    let ps = buildplan::Cmd::new("ps", "list running programs").args(["-axww", "-o", "pid=,command="]);
    Ok(runner.run(&ps)?.text().lines().filter_map(listed).collect())
}

/// On Windows a job object ends all that we started.
#[cfg(not(unix))]
fn list(_: &Runner) -> Result<Vec<Leftover>> {
    Ok(Vec::new())
}

/// Reads a line of `ps -o pid=,command=`.
#[cfg(any(test, all(unix, not(target_os = "linux"))))]
fn listed(line: &str) -> Option<Leftover> {
    let (id, command) = line.trim_start().split_once(' ')?;
    Some(Leftover { id: id.parse().ok()?, command: command.trim_start().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_ps_is_a_program_with_its_words() {
        let leftover =
            listed("  812 /opt/homebrew/bin/qemu-system-x86_64 -serial file:/a b/serial.log").unwrap();
        assert_eq!(leftover.id, 812);
        assert!(is_one(&leftover, "qemu-system-", &["/a b/"]));
        assert!(!is_one(&leftover, "qemu-system-", &["/a c/"]));
    }

    #[test]
    fn a_program_that_only_names_another_is_not_that_one() {
        let leftover = listed("7 less /m/qemu-system-x86_64.log").unwrap();
        assert!(!is_one(&leftover, "qemu-system-", &["/m/"]));
    }
}
