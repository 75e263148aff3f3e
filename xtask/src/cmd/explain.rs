//! `dist --explain`: which nodes would be built, and which of their inputs changed.

use anyhow::Result;
use serde::Serialize;

use super::build::Build;
use buildexec::ctx::Ctx;
use buildexec::store::{Inspection, Store, StoreEntry};
use buildplan::{Input, Keys};

/// Prints one line per node and, below each that would be built, what changed since it was last built.
///
/// # Errors
/// When the store is unreadable.
pub(super) fn run(ctx: &Ctx, build: &Build<'_>, keys: &Keys) -> Result<()> {
    let store = Store::open(&ctx.work, &ctx.report, &ctx.runner.interrupt)?;
    let old = store.all()?;
    let mut nodes = Vec::new();
    for id in keys.ids() {
        let node = build.planned.plan.node(id);
        let cached = store.find(node, keys.key(id), Inspection::Stamps, &ctx.report)?.is_some();
        let last = old.iter().rfind(|e| e.stage == node.stage && e.label == node.label);
        let why = match last {
            _ if cached => Vec::new(),
            None => vec!["never built here".to_owned()],
            Some(last) => changes(last, keys.inputs(id)),
        };
        nodes.push(Explained { stage: node.stage, label: &node.label, cached, why });
    }
    if ctx.globals.json {
        ctx.report.out_json(&nodes);
    } else {
        ctx.report.out(&nodes.iter().map(Explained::text).collect::<String>());
    }
    Ok(())
}

/// What `dist` would do with a node.
#[derive(Serialize)]
struct Explained<'a> {
    stage: &'a str,
    label: &'a str,
    cached: bool,
    /// What changed since it was last built; empty where it is there.
    why: Vec<String>,
}

impl Explained<'_> {
    fn text(&self) -> String {
        let state = if self.cached { "cached" } else { "build" };
        let why: String = self.why.iter().map(|w| format!("          {w}\n")).collect();
        format!("{state:>7} {}: {}\n{why}", self.stage, self.label)
    }
}

fn changes(last: &StoreEntry, now: &[Input]) -> Vec<String> {
    let mut found = Vec::new();
    let short = |v: &str| v.chars().take(60).collect::<String>();
    for input in now {
        let (label, value) = (input.label(), input.value());
        match last.inputs.iter().find(|i| i.label == label) {
            None => found.push(format!("new: {label}")),
            Some(old) if old.value != value => {
                found.push(format!("{label}: {} → {}", short(&old.value), short(&value)));
            }
            Some(_) => {}
        }
    }
    let gone = last.inputs.iter().filter(|o| !now.iter().any(|i| i.label() == o.label));
    found.extend(gone.map(|old| format!("gone: {}", old.label)));
    if found.is_empty() { vec!["its entry was removed".to_owned()] } else { found }
}
