//! Events for a person: moving bars on a terminal, plain lines elsewhere.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Event, ProgressUnit, table};

/// Without a terminal, progress is a line at most this often.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Human {
    bars: MultiProgress,
    running: BTreeMap<String, TaskBar>,
    live: super::live::Block,
    terminal: bool,
    quiet: bool,
}

struct TaskBar {
    bar: ProgressBar,
    last_line: std::time::Instant,
}

impl Human {
    pub(super) fn new(terminal: bool, quiet: bool) -> Self {
        let target =
            if terminal && !quiet { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            bars: MultiProgress::with_draw_target(target),
            running: BTreeMap::new(),
            live: super::live::Block::default(),
            terminal,
            quiet,
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Warning { text } => self.line(&format!("warning: {text}")),
            _ if self.quiet => {}
            Event::Started { label } => self.start(label),
            Event::Progress { label, done, total, unit } => self.progress(label, *done, *total, *unit),
            Event::Finished { label, result, seconds } => {
                self.end(label);
                self.line(&format!("{:>9} {label}  {seconds:.1} s", result.word()));
            }
            Event::Failed { label } => {
                self.end(label);
                self.line(&format!("{:>9} {label}", "failed"));
            }
            Event::Ended { label } => self.end(label),
            Event::Cached { label } => self.line(&format!("{:>9} {label}", "cached")),
            Event::Note { text } => self.line(text),
        }
    }

    fn start(&mut self, label: &str) {
        let bar = self.bars.add(ProgressBar::new_spinner().with_message(failure::shown(label)));
        bar.set_style(style("{spinner} {msg} {elapsed}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.running.insert(label.to_owned(), TaskBar { bar, last_line: std::time::Instant::now() });
    }

    fn progress(&mut self, label: &str, done: u64, total: Option<u64>, unit: ProgressUnit) {
        let Some(task) = self.running.get_mut(label) else { return };
        if let Some(total) = total.filter(|t| task.bar.length() != Some(*t)) {
            task.bar.set_style(style(match unit {
                ProgressUnit::Bytes => {
                    "{spinner} {msg} [{bar:24}] {decimal_bytes}/{decimal_total_bytes} {elapsed}"
                }
                ProgressUnit::Steps => "{spinner} {msg} [{bar:24}] {pos}/{len} {elapsed}",
            }));
            task.bar.set_length(total);
        }
        task.bar.set_position(done);
        if !self.terminal && task.last_line.elapsed() >= PLAIN_EVERY {
            task.last_line = std::time::Instant::now();
            self.line(&format!("{:>9} {label}: {}", "…", amount(done, total, unit)));
        }
    }

    fn end(&mut self, label: &str) {
        if let Some(task) = self.running.remove(label) {
            task.bar.finish_and_clear();
            self.bars.remove(&task.bar);
        }
    }

    pub(super) fn live(&mut self, lines: &[String]) {
        self.live.set(&self.bars, lines);
    }

    pub(super) fn line(&mut self, line: &str) {
        let line = plain(line);
        self.pause(|| write_stderr(&line));
    }

    pub(super) fn pause(&mut self, f: impl FnOnce()) {
        self.bars.suspend(f);
    }

    pub(super) fn clear(&mut self) {
        for (_, task) in std::mem::take(&mut self.running) {
            task.bar.finish_and_clear();
        }
        self.live.set(&self.bars, &[]);
    }
}

/// `1.5 MB of 4.0 MB` or `3 of 10`.
fn amount(done: u64, total: Option<u64>, unit: ProgressUnit) -> String {
    let shown = |n: u64| match unit {
        ProgressUnit::Bytes => table::bytes(n),
        ProgressUnit::Steps => n.to_string(),
    };
    let of = total.map(|total| format!(" of {}", shown(total))).unwrap_or_default();
    shown(done) + &of
}

/// A text without characters that would do something to a terminal; lines and tabs stay.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let acts = |c: char| failure::is_control(c) && !matches!(c, '\n' | '\t');
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let spell = |c: char| if acts(c) { c.escape_unicode().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(spell).collect())
}

fn write_stderr(line: &str) {
    use std::io::Write as _;
    // Standard error may be closed; there is nowhere left to say so.
    _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates are literals")
        .progress_chars("=> ")
        .tick_chars("|/-\\ ")
}

/// `error:`, its causes, and a `help:` line for each known next step.
pub(super) fn error_text(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        text += &format!("\n  because: {}", cause.to_string().trim_end().replace('\n', "\n    "));
    }
    for help in failure::helps_of(error) {
        text += &format!("\n  help: {}", help.replace('\n', "\n        "));
    }
    text.split('\n').map(shortened).collect::<Vec<_>>().join("\n")
}

/// A line that people can read: of what a file or a server said, the beginning is enough to find it.
fn shortened(line: &str) -> String {
    const MOST: usize = 1000;
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} characters more)", &line[..end], line[end..].chars().count()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_the_unit_of_what_is_counted() {
        assert_eq!(amount(1_500_000, Some(4_000_000), ProgressUnit::Bytes), "1.5 MB of 4.0 MB");
        assert_eq!(amount(2_000, None, ProgressUnit::Bytes), "2.0 kB");
        assert_eq!(amount(3, Some(10), ProgressUnit::Steps), "3 of 10");
    }

    #[test]
    fn a_long_line_is_shortened() {
        let error = anyhow::anyhow!("`{}`", "ü".repeat(5000)).context("short");
        let text = error_text(&error);
        assert!(text.starts_with("error: short\n  because: `ü"), "{text}");
        assert!(text.ends_with("ü… (4013 characters more)"), "{text}");
        assert_eq!(shortened(&"x".repeat(1000)), "x".repeat(1000));
    }
}
