//! The live view for a log: a line when a machine reaches a stage, stops, fails or is up. Pure.

use std::collections::HashMap;

use super::boot::{BootStage, BootState, MachineLine};

/// What was said about each machine.
#[derive(Debug, Default)]
pub struct Log(HashMap<String, LastLine>);

#[derive(Debug, Default)]
struct LastLine {
    boots: u32,
    stages: usize,
    state: Option<(BootStage, BootState)>,
}

impl Log {
    /// What is new since the last call, a line each.
    pub fn news(&mut self, lines: &[MachineLine], now: f64) -> Vec<String> {
        let mut news = Vec::new();
        for line in lines {
            let said = self.0.entry(line.name.clone()).or_default();
            if said.boots != line.boots {
                *said = LastLine { boots: line.boots, ..LastLine::default() };
            }
            for (stage, at) in line.reached.iter().skip(said.stages) {
                news.push(format!("{at:>9.3} s  {:<17}  {stage}", line.name));
            }
            said.stages = line.reached.len();
            let worth = line.state.is_trouble()
                || (line.state == BootState::Waiting && line.stage == BootStage::Initrd);
            let state = Some((line.stage, line.state));
            if worth && said.state != state {
                news.push(format!("{now:>9.3} s  {:<17}  {}", line.name, line.text));
            }
            said.state = state;
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_said_once() {
        let mut line = MachineLine {
            name: "10.0.0.1".to_owned(),
            address: None,
            stage: BootStage::Kernel,
            state: BootState::Moving,
            text: "kernel 10 %".to_owned(),
            done: 1,
            size: 10,
            rate: 0,
            age: 0.0,
            silent: 0.0,
            boots: 1,
            reached: vec![(BootStage::Script, 1.0), (BootStage::Kernel, 2.0)],
        };
        let mut log = Log::default();
        assert_eq!(log.news(&[line.clone()], 2.0).len(), 2);
        line.text = "kernel 20 %".to_owned();
        assert!(log.news(&[line.clone()], 3.0).is_empty(), "moving is not news");
        (line.state, line.text) = (BootState::Silent, "kernel, silent for 5 s".to_owned());
        assert_eq!(
            log.news(&[line.clone()], 8.0),
            ["    8.000 s  10.0.0.1           kernel, silent for 5 s"]
        );
        line.text = "kernel, silent for 6 s".to_owned();
        assert!(log.news(&[line.clone()], 9.0).is_empty());
        line.boots = 2;
        assert_eq!(log.news(&[line], 10.0).len(), 3, "another boot is reported again");
    }
}
