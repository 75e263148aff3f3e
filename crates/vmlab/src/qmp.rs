//! QEMU's control protocol (QMP): one JSON object a line, over the machine's standard input and output.

use std::{
    io::{PipeWriter, Write as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use serde_json::{Value, json};

use buildexec::run::LogTail;
use failure::{Failure, Kind};

/// A command is answered within milliseconds; a screen picture in TCG takes longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The connection to a running QEMU.
pub(crate) struct Control {
    to: PipeWriter,
    from: LogTail,
    next: u64,
    events: Vec<Value>,
}

impl Control {
    /// Opens the connection: `to` is QEMU's standard input, `log` the file of its standard output.
    ///
    /// # Errors
    /// When the log cannot be read or QEMU does not take the greeting.
    pub(crate) fn open(to: PipeWriter, log: &Utf8Path) -> Result<Self> {
        // QEMU keeps what it is told until it has greeted, so there is nothing to wait for here.
        let mut this = Self { to, from: LogTail::at_start(log)?, next: 0, events: Vec::new() };
        this.send("qmp_capabilities", &Value::Null)?;
        Ok(this)
    }

    /// Runs a command and gives what it returns.
    ///
    /// # Errors
    /// When QEMU is gone, does not answer, or refuses; the message is QEMU's.
    pub(crate) fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let id = self.send(command, arguments)?;
        let start = Instant::now();
        loop {
            let mut found = None;
            for message in self.read()? {
                if message.get("id") == Some(&json!(id)) {
                    found = Some(answer(command, &message));
                } else {
                    self.keep(message);
                }
            }
            if let Some(found) = found {
                return found;
            }
            if start.elapsed() > ANSWER_TIMEOUT {
                let text = format!("QEMU did not answer `{command}` within {} s", ANSWER_TIMEOUT.as_secs());
                return Err(Failure::new(Kind::Command, text).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The events since the last call: objects with `event` and `data`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn events(&mut self) -> Result<Vec<Value>> {
        for message in self.read()? {
            self.keep(message);
        }
        Ok(std::mem::take(&mut self.events))
    }

    fn keep(&mut self, message: Value) {
        if message.get("event").is_some() {
            self.events.push(message);
        }
    }

    fn send(&mut self, command: &str, arguments: &Value) -> Result<u64> {
        self.next += 1;
        let mut message = json!({ "execute": command, "id": self.next });
        if !arguments.is_null() {
            message["arguments"] = arguments.clone();
        }
        writeln!(self.to, "{message}").with_context(|| format!("could not tell QEMU to `{command}`"))?;
        Ok(self.next)
    }

    fn read(&mut self) -> Result<Vec<Value>> {
        let mut messages = Vec::new();
        // Before the greeting, warnings of libraries may stand on standard output.
        self.from.lines(&mut |line| messages.extend(serde_json::from_str::<Value>(line)))?;
        Ok(messages)
    }
}

fn answer(command: &str, message: &Value) -> Result<Value> {
    match message.get("error") {
        None => Ok(message.get("return").cloned().unwrap_or_default()),
        Some(error) => {
            let why = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given");
            Err(Failure::new(Kind::Command, format!("QEMU refused `{command}`: {why}")).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    fn append(path: &Utf8Path, text: &str) {
        let mut file = fs_err::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn commands_are_matched_to_their_answers_and_events_are_kept() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let path = Utf8Path::from_path(log.path()).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let mut control = Control::open(writer, path).unwrap();
        let say = |text: &str| append(path, text);
        say("a warning\n{\"QMP\": {}}\n{\"return\": {}, \"id\": 1}\n");
        say("{\"return\": {\"status\": \"running\"}, \"id\": 2}\n{\"event\": \"RESET\", \"data\": {}}\n");
        assert_eq!(control.execute("query-status", &Value::Null).unwrap()["status"], "running");
        say("{\"error\": {\"desc\": \"no such\"}, \"id\": 3}\n");
        let error = control.execute("nonsense", &json!({ "a": 1 })).unwrap_err();
        assert_eq!(error.to_string(), "QEMU refused `nonsense`: no such");
        assert_eq!(control.events().unwrap()[0]["event"], "RESET");
        let sent: Vec<_> = BufReader::new(reader).lines().take(3).map(Result::unwrap).collect();
        assert_eq!(sent[2], r#"{"arguments":{"a":1},"execute":"nonsense","id":3}"#);
    }
}
