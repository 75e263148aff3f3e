//! A keeper stands between us and each program that we start: our own binary, which starts the program in its process
//! group and watches whether we still live. When we are killed, and can clean up nothing, it kills the group.
//!
//! `PR_SET_PDEATHSIG` would kill the program and leave what it started itself, `make`'s compilers for one; and it is
//! bound to the thread that started the program, not to the process.

use std::{ffi::OsString, process::ExitCode};

/// The first argument of a keeper; behind it stand our process id, the program and its arguments.
pub(crate) const WORD: &str = "__keep";

/// Our own binary, also when the file was replaced meanwhile.
pub(crate) const SELF: &str = "/proc/self/exe";

/// Acts as keeper when the arguments of this process say so; called before anything else is done.
#[must_use]
pub fn keep(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if args.nth(1)? != WORD {
        return None;
    }
    let owner = args.next()?.to_str()?.parse().ok()?;
    let program = args.next()?;
    std::thread::spawn(move || watch(owner));
    let end = duct::cmd(program.clone(), args).unchecked().run();
    Some(match end {
        Ok(output) => pass_on(output.status),
        Err(e) => {
            use std::io::Write as _;
            // The log is all there is to say it to.
            _ = writeln!(std::io::stderr(), "cannot start {}: {e}", program.display());
            ExitCode::from(127)
        }
    })
}

/// On Windows, in place of a keeper: puts this process into a job object that ends all it started, and what they started,
/// when it ends. Without one, programs may outlive us.
#[cfg(windows)]
pub fn bind_children() {
    let mut limits = win32job::ExtendedLimitInfo::new();
    limits.limit_kill_on_job_close();
    if let Ok(job) = win32job::Job::create_with_limit_info(&limits)
        && job.assign_current_process().is_ok()
    {
        // The system closes the handle when this process ends, however it ends.
        std::mem::forget(job);
    }
}

/// Where keepers stand between us and our programs, there is nothing to do.
#[cfg(not(windows))]
pub fn bind_children() {}

/// Kills the group, this process included, once `owner` is no more the one that started it.
#[cfg(unix)]
fn watch(owner: i32) {
    while rustix::process::getppid().is_some_and(|parent| parent.as_raw_nonzero().get() == owner) {
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    _ = rustix::process::kill_current_process_group(rustix::process::Signal::KILL);
}

#[cfg(not(unix))]
fn watch(_: i32) {}

/// Ends as the program did, also by the same signal.
#[cfg(unix)]
fn pass_on(status: std::process::ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    if let Some(signal) = status.signal().and_then(rustix::process::Signal::from_named_raw) {
        _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
    exit_code(status)
}

#[cfg(not(unix))]
fn pass_on(status: std::process::ExitStatus) -> ExitCode {
    exit_code(status)
}

fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
