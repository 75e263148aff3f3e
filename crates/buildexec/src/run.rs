//! The only place that starts processes.
//!
//! Every child gets a process group of its own, a cleared environment and a deadline, and writes to files
//! rather than pipes: a grandchild that keeps a pipe open would block the wait (duct's documentation of
//! `kill`, and measured). Dropping a [`RunningCommand`] kills its whole group.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::{keeper, signals::Interrupt};
use buildplan::Cmd;
use failure::{Explain as _, Failure, Kind};

/// How often a wait looks at the child, its log and the interrupt flag.
const TICK: Duration = Duration::from_millis(20);
/// How much of a failed command's output an error shows.
const TAIL_LINES: usize = 15;

/// What every child inherits, and what stops it.
#[derive(Clone)]
pub struct Runner {
    /// Variables each child gets besides its own, such as `PATH`.
    pub base_env: Vec<(String, String)>,
    /// Working folder of commands that name none.
    pub root: Utf8PathBuf,
    /// Ctrl-C.
    pub interrupt: Interrupt,
    /// Whether programs get a [`keeper`], which this process's own binary has to know how to be.
    pub keeper: bool,
}

/// How a command ended.
#[derive(Debug)]
pub struct CommandOutput {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl CommandOutput {
    /// Whether the command exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output as text, damaged characters replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text, damaged characters replaced.
    #[must_use]
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// By a signal.
    Signal,
}

impl Exit {
    /// The exit code; `None` after a signal.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal => None,
        }
    }
}

/// Where a job's two output streams go.
pub struct Streams {
    /// Standard output.
    pub stdout: File,
    /// Standard error.
    pub stderr: File,
}

impl Runner {
    /// Runs `cmd` and returns what it printed, whatever its exit code.
    ///
    /// # Errors
    /// When it cannot be started, passes its deadline or is interrupted.
    pub fn output(&self, cmd: &Cmd) -> Result<CommandOutput> {
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let streams = Streams { stdout: stdout.try_clone()?, stderr: stderr.try_clone()? };
        let mut job = self.spawn(cmd, streams)?;
        let code = job.wait(cmd.deadline, &mut || Ok(()))?;
        Ok(CommandOutput { code, stdout: read_back(stdout)?, stderr: read_back(stderr)? })
    }

    /// Runs `cmd` and returns what it printed.
    ///
    /// # Errors
    /// As [`Self::output`], and [`Kind::Command`] with the last lines it printed when it does not exit with 0.
    pub fn run(&self, cmd: &Cmd) -> Result<CommandOutput> {
        let output = self.output(cmd)?;
        if output.success() {
            return Ok(output);
        }
        let said = if output.stderr.is_empty() { output.text() } else { output.error_text() };
        Err(failed(cmd, output.code, &said))
    }

    /// Runs `cmd` with both streams merged into the file `log`, and hands each line to `on_line` as it comes.
    ///
    /// # Errors
    /// As [`Self::run`]. Where the log is, the caller says: it may move it.
    pub fn logged(&self, cmd: &Cmd, log: &Utf8Path, on_line: &mut dyn FnMut(&str)) -> Result<()> {
        let file = fs_err::OpenOptions::new().create(true).append(true).open(log)?.into_file();
        let begin = file.metadata()?.len();
        let mut tail = LogTail::at_end(log)?;
        let mut job = self.spawn(cmd, Streams { stdout: file.try_clone()?, stderr: file })?;
        let code = job.wait(cmd.deadline, &mut || tail.lines(on_line))?;
        tail.lines(on_line)?;
        if code == Some(0) {
            return Ok(());
        }
        // Other commands may have written before this one.
        let all = fs_err::read(log).unwrap_or_default();
        let own = usize::try_from(begin).ok().and_then(|b| all.get(b..)).unwrap_or_default();
        Err(failed(cmd, code, &String::from_utf8_lossy(own)))
    }

    /// Starts `cmd` and returns while it runs.
    ///
    /// # Errors
    /// When it cannot be started; [`Kind::MissingTool`] when the program does not exist.
    pub fn spawn(&self, cmd: &Cmd, streams: Streams) -> Result<RunningCommand> {
        let input = cmd.start.stdin.clone();
        self.start(cmd, streams, |expr| match input {
            Some(bytes) => expr.stdin_bytes(bytes),
            None => expr.stdin_null(),
        })
    }

    /// As [`Self::spawn`], for a program that is spoken to while it runs: its input is the other end of `input`.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub fn spawn_piped(
        &self,
        cmd: &Cmd,
        streams: Streams,
        input: std::io::PipeReader,
    ) -> Result<RunningCommand> {
        self.start(cmd, streams, |expr| expr.stdin_file(input))
    }

    fn start(
        &self,
        cmd: &Cmd,
        streams: Streams,
        input: impl FnOnce(duct::Expression) -> duct::Expression,
    ) -> Result<RunningCommand> {
        self.interrupt.check()?;
        let cwd = cmd.cwd.as_ref().unwrap_or(&self.root);
        let env = self.base_env.iter().cloned().chain(cmd.env.clone());
        let env: HashMap<String, String> = env.collect();
        let expr = self
            .expression(cmd, env.get("PATH").map_or("", String::as_str))?
            .dir(cwd)
            .full_env(env)
            .stdout_file(streams.stdout)
            .stderr_file(streams.stderr)
            .unchecked();
        let handle = own_group(input(expr)).start().map_err(|e| cannot_start(cmd, e))?;
        Ok(RunningCommand { handle, why: cmd.why.clone(), interrupt: self.interrupt.clone(), ended: false })
    }

    /// The program, or its keeper. That there is no such program is said here: the keeper could only fail.
    fn expression(&self, cmd: &Cmd, search_path: &str) -> Result<duct::Expression> {
        let words: Vec<&String> = cmd.start.through.iter().chain([&cmd.program]).chain(&cmd.args).collect();
        if !self.keeper || !cfg!(target_os = "linux") {
            return Ok(duct::cmd(words[0], &words[1..]));
        }
        if find_program(words[0], search_path).is_none() {
            return Err(cannot_start(cmd, std::io::Error::from_raw_os_error(NO_ENTRY)));
        }
        let head = [keeper::WORD.to_owned(), std::process::id().to_string()];
        Ok(duct::cmd(keeper::SELF, head.iter().chain(words)))
    }
}

#[cfg(unix)]
fn own_group(expr: duct::Expression) -> duct::Expression {
    use std::os::unix::process::CommandExt as _;
    expr.before_spawn(|c| {
        c.process_group(0);
        Ok(())
    })
}

#[cfg(not(unix))]
fn own_group(expr: duct::Expression) -> duct::Expression {
    expr
}

/// Has `program` take the place of this process, with its terminal, folder and environment, but for the variables
/// `without`; signals reach it, and its exit code is ours. Returns what went wrong.
#[expect(clippy::disallowed_methods, reason = "what takes our place needs no group and no deadline of ours")]
pub fn replace<'n>(
    program: &str,
    args: impl IntoIterator<Item = OsString>,
    without: impl Iterator<Item = &'n str>,
) -> anyhow::Error {
    let mut command = std::process::Command::new(program);
    without.for_each(|name| _ = command.env_remove(name));
    let e = replace_by(command.args(args));
    let kind = if e.kind() == std::io::ErrorKind::NotFound { Kind::MissingTool } else { Kind::Command };
    Failure::new(kind, format!("cannot start `{program}`")).source(e).into()
}

#[cfg(unix)]
fn replace_by(command: &mut std::process::Command) -> std::io::Error {
    use std::os::unix::process::CommandExt as _;
    command.exec()
}

/// This process waits, and ends as the program did; the job object ends both.
#[cfg(not(unix))]
fn replace_by(command: &mut std::process::Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(e) => e,
    }
}

/// `ENOENT`, with the words that the system has for it.
const NO_ENTRY: i32 = 2;

fn cannot_start(cmd: &Cmd, e: std::io::Error) -> anyhow::Error {
    let kind = if e.kind() == std::io::ErrorKind::NotFound { Kind::MissingTool } else { Kind::Command };
    Failure::new(kind, format!("could not {}: cannot start `{}`", cmd.why, cmd.program)).source(e).into()
}

/// A running command.
pub struct RunningCommand {
    handle: duct::Handle,
    why: String,
    interrupt: Interrupt,
    ended: bool,
}

impl RunningCommand {
    /// The process id, its keeper's where it has one, which is also its group's.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.handle.pids().first().copied()
    }

    /// How it ended, once it has.
    ///
    /// # Errors
    /// When the child cannot be waited for.
    pub fn try_wait(&mut self) -> Result<Option<Exit>> {
        let ended = self.handle.try_wait().with_context(|| format!("could not {}", self.why))?;
        if ended.is_some() && !self.ended {
            // What it left in the background would go on writing into a folder that is ours again.
            self.signal_group();
            self.ended = true;
        }
        Ok(ended.map(|o| o.status.code().map_or(Exit::Signal, Exit::Code)))
    }

    /// Waits for the end, calling `on_tick` about fifty times a second.
    ///
    /// # Errors
    /// When the deadline passes or an interrupt comes; the whole group is killed then.
    pub fn wait(
        &mut self,
        deadline: Duration,
        on_tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<i32>> {
        let start = Instant::now();
        loop {
            if let Some(exit) = self.try_wait()? {
                return Ok(exit.code());
            }
            on_tick()?;
            self.interrupt.check()?;
            if start.elapsed() >= deadline {
                self.kill();
                let message = format!("could not {}: timed out after {deadline:?}", self.why);
                return Err(Failure::new(Kind::Command, message).into());
            }
            // Short commands are common: look often at first.
            std::thread::sleep(TICK.min(start.elapsed() / 4 + Duration::from_millis(1)));
        }
    }

    /// Kills the whole group and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended {
            return;
        }
        self.signal_group();
        _ = self.handle.kill();
        _ = self.handle.wait();
        self.ended = true;
    }

    #[cfg(unix)]
    fn signal_group(&self) {
        let pid = self.pid().and_then(|p| i32::try_from(p).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // The group may be gone already; that is what we want.
            _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }

    /// Windows has no process groups to signal; `taskkill /T` ends a program with all that it started.
    #[cfg(not(unix))]
    fn signal_group(&self) {
        if let Some(pid) = self.pid() {
            let words = ["/T", "/F", "/PID"].into_iter().map(str::to_owned).chain([pid.to_string()]);
            // It may have ended already; that is what we want.
            _ = duct::cmd("taskkill", words).stdin_null().stdout_null().stderr_null().unchecked().run();
        }
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads what was appended to a file, line by line.
pub struct LogTail {
    file: File,
    partial: Vec<u8>,
}

impl LogTail {
    /// Starts behind what `path` holds now.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn at_end(path: &Utf8Path) -> Result<Self> {
        let mut tail = Self::at_start(path)?;
        tail.file.seek(SeekFrom::End(0))?;
        Ok(tail)
    }

    /// Starts with what `path` holds now.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn at_start(path: &Utf8Path) -> Result<Self> {
        Ok(Self { file: fs_err::File::open(path)?.into_parts().0, partial: Vec::new() })
    }

    /// Hands over each whole line that came since the last call, without its line end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn lines(&mut self, on_line: &mut dyn FnMut(&str)) -> Result<()> {
        self.file.read_to_end(&mut self.partial)?;
        while let Some(end) = self.partial.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            on_line(String::from_utf8_lossy(&line).trim_end());
        }
        Ok(())
    }

    /// What came after the last line end.
    #[must_use]
    pub fn partial(&self) -> String {
        String::from_utf8_lossy(&self.partial).into_owned()
    }
}

fn read_back(mut file: File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn failed(cmd: &Cmd, code: Option<i32>, said: &str) -> anyhow::Error {
    let end = code.map_or("was killed by a signal".to_owned(), |c| format!("exited with {c}"));
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    let failure = Failure::new(Kind::Command, format!("could not {}: `{}` {end}", cmd.why, cmd.name()));
    if tail.is_empty() { failure.into() } else { failure.source(anyhow::anyhow!("it said:\n{tail}")).into() }
}

/// Where `program` is on the search path of `base_env`, if anywhere.
#[must_use]
pub fn find_program(program: &str, search_path: &str) -> Option<Utf8PathBuf> {
    let found = which::which_in(program, Some(search_path), ".").ok()?;
    Utf8PathBuf::from_path_buf(found).ok()
}

/// Reads a whole file, refusing more than `limit` bytes.
///
/// # Errors
/// When it cannot be read, or [`Kind::Input`] when it is larger.
pub fn read_limited(path: &Utf8Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs_err::File::open(path)
        .map_err(|e| failure::cannot_open(&path, e))?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .explain(Kind::Input, || format!("cannot read {path}"))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::new(Kind::Input, format!("{path} is larger than {limit} bytes")).into());
    }
    Ok(bytes)
}
