//! A plan as text, JSON or DOT. Paths stay symbolic and secrets hidden, so the text is the same on every
//! machine.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Action, FetchSource, Node, Plan, key::kind};

/// How to print a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, and for snapshots.
    Text,
    /// For scripts.
    Json,
    /// For Graphviz.
    Dot,
}

/// Prints `plan`.
#[must_use]
pub fn render(plan: &Plan, format: Format) -> String {
    match format {
        Format::Text => text(plan),
        Format::Json => serde_json::to_string_pretty(&json(plan)).expect("a plan is plain data") + "\n",
        Format::Dot => dot(plan),
    }
}

fn text(plan: &Plan) -> String {
    let mut out = String::new();
    for (i, node) in plan.nodes.iter().enumerate() {
        _ = writeln!(out, "node{i} {} v{}: {}{}", node.stage, node.format, node.label, marks(node));
        for action in &node.actions {
            _ = writeln!(out, "    {}", lines(action));
        }
        _ = writeln!(out, "    → {}", node.outputs.join(", "));
    }
    out
}

fn marks(node: &Node) -> String {
    let mut marks = String::new();
    if node.resource != super::Resource::Cpu {
        _ = write!(marks, " [{:?}]", node.resource);
    }
    if node.private {
        marks += " [private]";
    }
    marks
}

/// An action on one line; the text of a written file follows on lines of its own.
fn lines(action: &Action) -> String {
    match action {
        Action::Run(cmd) => {
            let mut line = "run".to_owned();
            for (name, value) in &cmd.env {
                _ = write!(line, " {name}={value}");
            }
            match &cmd.start.tree {
                Some(tree) => _ = write!(line, " {tree}/{}", cmd.program),
                None => _ = write!(line, " {}", cmd.program),
            }
            for arg in &cmd.args {
                _ = write!(line, " {}", quoted(&arg.to_string()));
            }
            if let Some(cwd) = &cmd.cwd {
                _ = write!(line, " (in {cwd})");
            }
            line
        }
        Action::Fetch(fetch) => {
            let sources: Vec<String> = fetch.sources.iter().map(source).collect();
            format!("fetch {} sha256 {} from {}", fetch.to, fetch.sha256, sources.join(" or "))
        }
        Action::Copy { from, to } => format!("copy {from} to {to}"),
        Action::Write { to, text } => {
            let text: String = text.iter().map(ToString::to_string).collect();
            let mut all = format!("write {to}");
            for line in text.lines() {
                _ = write!(all, "\n        | {line}");
            }
            all
        }
        Action::Builtin { name, args } => {
            let args: Vec<String> =
                args.iter().map(|(label, arg)| format!("{label}={}", quoted(&arg.to_string()))).collect();
            format!("{name} {}", args.join(" ")).trim_end().to_owned()
        }
    }
}

fn source(source: &FetchSource) -> String {
    match source {
        FetchSource::File(path) => path.clone(),
        FetchSource::Url(url) => super::shown_url(url),
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([' ', '\n', '\'', '"']) {
        format!("{text:?}")
    } else {
        text.to_owned()
    }
}

fn json(plan: &Plan) -> Value {
    let nodes = plan.nodes.iter().enumerate().map(|(i, node)| {
        let inputs: Vec<usize> = node.inputs().iter().map(|id| id.index()).collect();
        let actions: Vec<Value> =
            node.actions.iter().map(|a| json!({"kind": kind(a), "text": lines(a)})).collect();
        json!({
            "id": i, "stage": node.stage, "format": node.format, "label": node.label,
            "resource": format!("{:?}", node.resource),
            "inputs": inputs, "outputs": node.outputs, "materials": node.materials, "actions": actions,
        })
    });
    json!({ "nodes": nodes.collect::<Vec<_>>() })
}

fn dot(plan: &Plan) -> String {
    let mut out = "digraph plan {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for (i, node) in plan.nodes.iter().enumerate() {
        let label = format!("{}: {}", node.stage, node.label).replace('"', "'");
        _ = writeln!(out, "  n{i} [label=\"{label}\"];");
        for input in node.inputs() {
            _ = writeln!(out, "  n{} -> n{i};", input.index());
        }
    }
    out + "}\n"
}
