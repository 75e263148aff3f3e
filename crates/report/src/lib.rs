//! The only place that prints: results go to standard output, everything else to standard error.
//!
//! Code elsewhere hands over [`Event`]s and texts. [`Reporter`] shows them to a person (progress bars on a
//! terminal, plain lines otherwise), to GitHub Actions (groups and annotations) or to a script (one JSON
//! object a line on standard error).

mod human;
mod live;
pub mod program;
pub mod table;

use std::{
    io::{self, Write as _},
    sync::{Arc, Mutex, OnceLock},
};

use serde::Serialize;

use failure::{Failure, Kind};

/// Who reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A person; `terminal` says whether bars may move.
    Human {
        /// Whether standard error is a terminal.
        terminal: bool,
    },
    /// A GitHub Actions log.
    GitHub,
    /// A script: one JSON object a line.
    Json,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Work on a node or another long task began.
    Started {
        /// What it is, for people.
        label: String,
    },
    /// It got further.
    Progress {
        /// The label it started with.
        label: String,
        /// Units done.
        done: u64,
        /// Out of how much, when known.
        total: Option<u64>,
        /// What `done` and `total` count.
        unit: ProgressUnit,
    },
    /// It ended well.
    Finished {
        /// The label it started with.
        label: String,
        /// What came of it.
        result: TaskResult,
        /// How long it took.
        seconds: f64,
    },
    /// It ended badly; the error itself follows at the end.
    Failed {
        /// The label it started with.
        label: String,
    },
    /// It ended; a remark says what came of it.
    Ended {
        /// The label it started with.
        label: String,
    },
    /// Nothing had to be done.
    Cached {
        /// What was found ready.
        label: String,
    },
    /// A remark.
    Note {
        /// The remark, in one sentence.
        text: String,
    },
    /// A remark that wants attention.
    Warning {
        /// The remark, in one sentence.
        text: String,
    },
}

/// What progress is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressUnit {
    /// Bytes, shown as kB, MB or GB.
    Bytes,
    /// Objects, packages, boots: whatever the task is made of.
    Steps,
}

/// What came of a task that ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskResult {
    /// A result of a plan was made.
    Built,
    /// An input was downloaded, or taken from a folder, and verified.
    Fetched,
    /// Nothing that is kept: a scan, an installation.
    Done,
}

impl TaskResult {
    /// The word in front of the task's label.
    fn word(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Fetched => "fetched",
            Self::Done => "done",
        }
    }
}

/// Where results and events are reported. Cheap to clone; clones share one terminal.
#[derive(Clone)]
pub struct Reporter {
    mode: Mode,
    human: Arc<Mutex<human::Human>>,
    /// Why standard output could not be written.
    stdout: Arc<OnceLock<io::Error>>,
}

impl Reporter {
    /// A reporter for `mode`; `quiet` drops everything but results, warnings and errors.
    #[must_use]
    pub fn new(mode: Mode, quiet: bool) -> Self {
        let terminal = matches!(mode, Mode::Human { terminal: true });
        Self { mode, human: Arc::new(Mutex::new(human::Human::new(terminal, quiet))), stdout: Arc::default() }
    }

    /// Who reads.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Shows an event.
    pub fn event(&self, event: &Event) {
        match self.mode {
            Mode::Json => self.line(&serde_json::to_string(event).expect("events are plain data")),
            Mode::GitHub => {
                if let Event::Warning { text } = event {
                    self.line(&format!("::warning::{}", escape_github(text)));
                } else {
                    self.with(|h| h.event(event));
                }
            }
            Mode::Human { .. } => self.with(|h| h.event(event)),
        }
    }

    /// Shows that `f` is under way, and how it ended.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn task<T>(&self, label: &str, f: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let start = std::time::Instant::now();
        let label = label.to_owned();
        self.event(&Event::Started { label: label.clone() });
        let result = f();
        self.event(&match &result {
            Ok(_) => {
                let seconds = start.elapsed().as_secs_f64();
                Event::Finished { label, result: TaskResult::Done, seconds }
            }
            Err(_) => Event::Failed { label },
        });
        result
    }

    /// Shows a remark on standard error.
    pub fn note(&self, text: impl Into<String>) {
        self.event(&Event::Note { text: program::spelled(&text.into()).into_owned() });
    }

    /// Shows a remark that wants attention.
    pub fn warn(&self, text: impl Into<String>) {
        self.event(&Event::Warning { text: program::spelled(&text.into()).into_owned() });
    }

    /// Prints a result on standard output, with a final newline. A script that asked for JSON gets what is not JSON yet as
    /// a JSON string. When printing fails, [`Self::finish`] says so.
    pub fn out(&self, text: &str) {
        let text = match self.mode {
            Mode::Json if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() => {
                serde_json::to_string(text).expect("a text is plain data").into()
            }
            _ => human::plain(text),
        };
        let end = if text.ends_with('\n') { "" } else { "\n" };
        _ = self.out_bytes(format!("{text}{end}").as_bytes());
    }

    /// Prints a table on standard output, as wide as the terminal.
    pub fn out_table(&self, head: &[&str], rows: &[Vec<String>]) {
        self.out(&fitted(head, rows));
    }

    /// Shows `lines` below everything else, in place of those shown before. Without a terminal nothing moves, and
    /// the caller prints news as they come ([`Self::is_live`]).
    pub fn live(&self, lines: &[String]) {
        if self.is_live() {
            self.with(|h| h.live(lines));
        }
    }

    /// Whether [`Self::live`] shows anything.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.mode == Mode::Human { terminal: true }
    }

    /// Prints an event of another kind than [`Event`] to a script; people see it in another form.
    pub fn data(&self, event: &impl Serialize) {
        if self.mode == Mode::Json {
            self.line(&serde_json::to_string(event).expect("events are plain data"));
        }
    }

    /// Prints raw bytes on standard output.
    ///
    /// # Errors
    /// [`Kind::Storage`] when standard output cannot be written, now or before.
    pub fn out_bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.with(|h| {
            if self.stdout.get().is_none() {
                h.pause(|| {
                    let mut out = io::stdout().lock();
                    if let Err(e) = out.write_all(bytes).and_then(|()| out.flush()) {
                        _ = self.stdout.set(e);
                    }
                });
            }
        });
        self.stdout.get().map_or(Ok(()), |e| Err(cannot_print(e)))
    }

    /// How a command ends that ended with `end`: a result that could not be printed is a failure, too. Where the
    /// reader has left (`| head`), the rest is not missed, and there is nothing to report.
    ///
    /// # Errors
    /// Those of `end`, and [`Kind::Storage`] when standard output could not be written.
    pub fn finish(&self, end: anyhow::Result<()>) -> anyhow::Result<()> {
        let has_left = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe;
        match (self.stdout.get(), end) {
            (Some(e), Ok(())) if !has_left(e) => Err(cannot_print(e)),
            (Some(_), Err(end)) if end.chain().filter_map(|e| e.downcast_ref()).any(has_left) => Ok(()),
            (_, end) => end,
        }
    }

    /// Prints a value as JSON on standard output.
    pub fn out_json(&self, value: &impl Serialize) {
        self.out(&serde_json::to_string_pretty(value).expect("results are plain data"));
    }

    /// Prints text on standard error as it is, above any bars; for a script, as a note.
    pub fn err_line(&self, text: &str) {
        match self.mode {
            Mode::Json => self.note(text),
            Mode::Human { .. } | Mode::GitHub => self.line(text),
        }
    }

    fn line(&self, line: &str) {
        self.with(|h| h.line(line));
    }

    /// Prints an error with its causes and the next steps.
    pub fn error(&self, error: &anyhow::Error) {
        if self.mode == Mode::Json {
            let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
            let value = serde_json::json!({
                "event": "error",
                "kind": failure::kind_of(error).map(|k| format!("{k:?}")),
                "message": program::spelled(&error.to_string()),
                "causes": causes,
                "help": failure::helps_of(error).into_iter().map(program::spelled).collect::<Vec<_>>(),
            });
            return self.line(&value.to_string());
        }
        if self.mode == Mode::GitHub {
            self.err_line(&format!("::error::{}", escape_github(&error.to_string())));
        }
        self.err_line(&program::spelled(&human::error_text(error)));
    }

    /// Removes all bars, so that what follows starts on a clean line.
    pub fn clear(&self) {
        self.with(human::Human::clear);
    }

    fn with<T>(&self, f: impl FnOnce(&mut human::Human) -> T) -> T {
        f(&mut self.human.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A table as the terminal behind standard output has room for it.
#[must_use]
pub fn fitted(head: &[&str], rows: &[Vec<String>]) -> String {
    match columns() {
        Some(width) => table::table_within(width, head, rows),
        None => table::table(head, rows),
    }
}

/// How wide the terminal behind standard output is; `None` where there is no terminal, or it does not say.
#[must_use]
pub fn columns() -> Option<usize> {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout()) {
        return (size.ws_col > 0).then(|| usize::from(size.ws_col));
    }
    None
}

fn cannot_print(e: &io::Error) -> anyhow::Error {
    Failure::new(Kind::Storage, "cannot write to standard output").source(failure::nameless(e)).into()
}

/// GitHub reads `%`, CR and LF of a workflow command's text in escaped form.
fn escape_github(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
