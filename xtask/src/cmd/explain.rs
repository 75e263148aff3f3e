//! `dist --explain`: which nodes would be built, and which of their inputs changed.

use anyhow::Result;

use super::build::Build;
use crate::{
    ctx::Ctx,
    exec::store::{Entry, Store},
    plan::{Input, Keys},
};

/// Prints a line a node, and under each that would be built what changed since its last time.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn run(ctx: &Ctx, build: &Build<'_>, keys: &Keys) -> Result<()> {
    let store = Store::open(&ctx.work, &ctx.report, &ctx.runner.interrupt)?;
    let old = store.all()?;
    let mut text = String::new();
    for id in keys.ids() {
        let node = build.planned.plan.node(id);
        let state = if store.find(node, keys.key(id), &ctx.report)?.is_some() { "cached" } else { "build" };
        text += &format!("{state:>7} {}: {}\n", node.stage, node.label);
        if state == "build" {
            let last = old.iter().rfind(|e| e.stage == node.stage && e.label == node.label);
            text += &match last {
                None => "          never built here\n".to_owned(),
                Some(last) => changes(last, keys.inputs(id)),
            };
        }
    }
    ctx.report.out(&text);
    Ok(())
}

fn changes(last: &Entry, now: &[Input]) -> String {
    let mut text = String::new();
    let short = |v: &str| v.chars().take(60).collect::<String>();
    for input in now {
        match last.inputs.iter().find(|i| i.label == input.label) {
            None => text += &format!("          new: {}\n", input.label),
            Some(old) if old.value != input.value => {
                text +=
                    &format!("          {}: {} → {}\n", input.label, short(&old.value), short(&input.value));
            }
            Some(_) => {}
        }
    }
    for old in last.inputs.iter().filter(|o| !now.iter().any(|i| i.label == o.label)) {
        text += &format!("          gone: {}\n", old.label);
    }
    if text.is_empty() { "          its entry was removed\n".to_owned() } else { text }
}
