//! Runs what a plan needs, as much at once as the machine allows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use camino::Utf8Path;

use super::{
    action::NodeRun,
    panics,
    store::{Inspection, Store},
    tree,
};
use crate::ctx::Ctx;
use buildplan::{Action, Keys, Node, NodeId, Plan, Resource};
use failure::{Failure, Kind};
use report::{Event, TaskResult};

/// How often one that waits for a node looks whether Ctrl-C came.
const TICK: Duration = Duration::from_millis(100);
/// Downloads at once.
const NET: usize = 4;

/// What a run did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Nodes whose outputs were made, in order of completion.
    pub built: Vec<NodeId>,
    /// Nodes that the store had.
    pub cached: Vec<NodeId>,
}

/// Makes `goals` and whatever they need that the store does not have.
///
/// # Errors
/// The first failure; others that were under way are shown as warnings. No node starts after it, but for downloads when
/// it was one: unavailable inputs are reported together, with [`Unavailable`] among the causes.
pub fn execute(
    ctx: &Ctx,
    plan: &Plan,
    keys: &Keys,
    goals: &[NodeId],
    epoch: u64,
    store: &Store,
) -> Result<Summary> {
    let (todo, cached) = missing(ctx, plan, keys, goals, store)?;
    let shared = SharedState {
        run: Run { ctx, plan, keys, epoch, store },
        state: Mutex::new(NodeState::new(plan, &todo, ctx.jobs(), ctx.globals.offline)),
        changed: Condvar::new(),
    };
    let workers = (ctx.jobs() + NET + 1).min(todo.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| shared.work());
        }
    });
    let state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    finish(ctx, plan, state).map(|built| Summary { built, cached })
}

/// Walks from the goals: what the store has ends a branch. What a node is going to read is read here first, so that it
/// is made again when a disk changed it.
fn missing(
    ctx: &Ctx,
    plan: &Plan,
    keys: &Keys,
    goals: &[NodeId],
    store: &Store,
) -> Result<(BTreeSet<NodeId>, Vec<NodeId>)> {
    let mut todo = BTreeSet::new();
    let mut cached = BTreeMap::new();
    let mut queue: Vec<(NodeId, Inspection)> = goals.iter().map(|id| (*id, Inspection::Stamps)).collect();
    while let Some((id, look)) = queue.pop() {
        if todo.contains(&id) || cached.get(&id).is_some_and(|looked| *looked >= look) {
            continue;
        }
        ctx.check_interrupt()?;
        let node = plan.node(id);
        if store.find(node, keys.key(id), look, &ctx.report)?.is_some() {
            cached.insert(id, look);
            continue;
        }
        cached.remove(&id);
        todo.insert(id);
        queue.extend(node.inputs().into_iter().map(|input| (input, Inspection::Contents)));
    }
    Ok((todo, cached.into_keys().collect()))
}

fn finish(ctx: &Ctx, plan: &Plan, state: NodeState) -> Result<Vec<NodeId>> {
    let mut errors = state.errors.into_iter().chain(unavailable(plan, state.unavailable));
    let Some(first) = errors.next() else { return Ok(state.built) };
    for other in errors.filter(|e| failure::kind_of(e) != Some(Kind::Interrupted)) {
        ctx.report.warn(format!("also: {other:#}"));
    }
    Err(first)
}

/// Downloads that no source gave: the cause of an error that lists them.
#[derive(Debug)]
pub struct Unavailable {
    /// The nodes that wanted them, in the plan's order.
    pub nodes: Vec<NodeId>,
    said: String,
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Unavailable {}

/// One error for all inputs that no source gave; a single one speaks for itself.
fn unavailable(plan: &Plan, mut inputs: Vec<(NodeId, anyhow::Error)>) -> Option<anyhow::Error> {
    if inputs.len() < 2 {
        return inputs.pop().map(|(_, e)| e);
    }
    inputs.sort_by_key(|(id, _)| *id);
    let label = |(id, _): &(NodeId, _)| plan.node(*id).label.clone();
    let show = |(_, e): &(NodeId, anyhow::Error)| format!("{e}\n{}", root_cause(e));
    // The packages of a distribution all have the same mirrors: one of them tells as much as fifty.
    let (packages, files): (Vec<_>, Vec<_>) = inputs.iter().partition(|(id, _)| is_package(plan.node(*id)));
    let mut labels: Vec<String> = files.iter().map(|input| label(input)).collect();
    let mut said: Vec<String> = files.iter().map(|input| show(input)).collect();
    if let Some((first, more)) = packages.split_first() {
        said.push(show(first));
        labels.push(if more.is_empty() { label(first) } else { format!("{} packages", packages.len()) });
    }
    let message = format!("{} inputs are not available: {}", inputs.len(), labels.join(", "));
    let nodes = inputs.iter().map(|(id, _)| *id).collect();
    let mut helps: Vec<&str> = inputs.iter().flat_map(|(_, e)| failure::helps_of(e)).collect();
    helps.sort_unstable();
    helps.dedup();
    Some(
        Failure::new(Kind::Network, message)
            .help(helps.join("\n"))
            .source(Unavailable { nodes, said: said.join("\n") })
            .into(),
    )
}

/// Whether to go on with a download after another one failed, in order to name all that is missing. Where the mirrors of
/// a distribution are not reached, dozens of packages would wait for the same answer.
fn is_worth_asking(node: &Node, offline: bool) -> bool {
    node.resource == Resource::Net && (offline || !is_package(node))
}

/// Whether a node does nothing but download a package of the distribution.
#[must_use]
pub fn is_package(node: &Node) -> bool {
    node.actions.iter().any(|action| matches!(action, Action::Fetch(fetch) if fetch.purl.is_some()))
}

/// The last cause, indented: what each source said.
fn root_cause(e: &anyhow::Error) -> String {
    e.root_cause().to_string().lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

struct Run<'a> {
    ctx: &'a Ctx,
    plan: &'a Plan,
    keys: &'a Keys,
    epoch: u64,
    store: &'a Store,
}

struct NodeState {
    /// Nodes to run, with the inputs each still waits for.
    waiting: BTreeMap<NodeId, BTreeSet<NodeId>>,
    free: BTreeMap<Resource, usize>,
    built: Vec<NodeId>,
    errors: Vec<anyhow::Error>,
    /// Downloads that no source gave.
    unavailable: Vec<(NodeId, anyhow::Error)>,
    /// Whether a download that is missing is found out at no cost.
    offline: bool,
}

impl NodeState {
    fn new(plan: &Plan, todo: &BTreeSet<NodeId>, jobs: usize, offline: bool) -> Self {
        let waits = |id: &NodeId| plan.node(*id).inputs().intersection(todo).copied().collect();
        Self {
            waiting: todo.iter().map(|id| (*id, waits(id))).collect(),
            // One `make -jN` at a time; it does not keep small nodes from running beside it.
            free: BTreeMap::from([(Resource::Cpu, jobs), (Resource::AllCpus, 1), (Resource::Net, NET)]),
            built: Vec::new(),
            errors: Vec::new(),
            unavailable: Vec::new(),
            offline,
        }
    }

    fn next(&mut self, plan: &Plan) -> Option<NodeId> {
        let free = &self.free;
        let ready =
            |id: &NodeId, waits: &BTreeSet<NodeId>| waits.is_empty() && free[&plan.node(*id).resource] > 0;
        let id = self.waiting.iter().find(|(id, waits)| ready(id, waits)).map(|(id, _)| *id)?;
        self.waiting.remove(&id);
        *self.free.get_mut(&plan.node(id).resource)? -= 1;
        Some(id)
    }

    fn done(&mut self, plan: &Plan, id: NodeId, result: Result<()>) {
        *self.free.entry(plan.node(id).resource).or_default() += 1;
        match result {
            Ok(()) => {
                self.built.push(id);
                self.waiting.values_mut().for_each(|waits| {
                    waits.remove(&id);
                });
            }
            Err(e) if failure::kind_of(&e) == Some(Kind::Network) => {
                self.unavailable.push((id, e));
                let offline = self.offline;
                self.waiting.retain(|id, _| is_worth_asking(plan.node(*id), offline));
            }
            Err(e) => self.stop(e),
        }
    }

    /// Nothing starts any more.
    fn stop(&mut self, e: anyhow::Error) {
        self.errors.push(e);
        self.waiting.clear();
    }
}

struct SharedState<'a> {
    run: Run<'a>,
    state: Mutex<NodeState>,
    changed: Condvar,
}

impl SharedState<'_> {
    fn lock(&self) -> MutexGuard<'_, NodeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(id) = state.next(self.run.plan) {
                drop(state);
                let result = self.run.node(id);
                state = self.lock();
                state.done(self.run.plan, id, result);
                self.changed.notify_all();
            } else if state.waiting.is_empty() {
                return;
            } else if let Err(e) = self.run.ctx.check_interrupt() {
                state.stop(e);
            } else {
                let waited = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner);
                state = waited.0;
            }
        }
    }
}

/// Whether a node is a download or is made here.
fn outcome(node: &Node) -> TaskResult {
    let is_fetch = |action: &Action| matches!(action, Action::Fetch(_));
    if node.actions.iter().all(is_fetch) { TaskResult::Fetched } else { TaskResult::Built }
}

impl Run<'_> {
    fn node(&self, id: NodeId) -> Result<()> {
        let node = self.plan.node(id);
        let label = node.label.clone();
        let report = &self.ctx.report;
        report.event(&Event::Started { label: label.clone() });
        let start = Instant::now();
        let scratch = self.store.scratch(&format!("{}-{}", node.stage, self.keys.key(id).short(16)))?;
        let job = NodeRun::new(self.ctx, self.plan, self.keys, id, &scratch, self.epoch);
        let made = || {
            job.run()?;
            self.store.keep(&job).map(drop)
        };
        let result = panics::caught(&label, made);
        match result {
            Ok(()) => {
                let seconds = start.elapsed().as_secs_f64();
                report.event(&Event::Finished { label, result: outcome(node), seconds });
                Ok(())
            }
            Err(e) => {
                report.event(&Event::Failed { label });
                Err(self.failed(id, &scratch, e))
            }
        }
    }

    /// Removes what a failed node left, or says where it is. Its log stays in either case.
    fn failed(&self, id: NodeId, scratch: &Utf8Path, e: anyhow::Error) -> anyhow::Error {
        let node = self.plan.node(id);
        let full = disk_full(&e) || free(scratch) < LITTLE;
        let logs = self.ctx.work.join("logs");
        let log = logs.join(format!("{}-{}.log", node.stage, self.keys.key(id).short(8)));
        let mut logged =
            fs_err::create_dir_all(&logs).is_ok() && fs_err::rename(scratch.join("log"), &log).is_ok();
        if node.private {
            logged &= tree::private(&log).is_ok();
        }
        self.put_away(scratch);
        let kind = failure::kind_of(&e);
        if kind == Some(Kind::Interrupted) {
            e
        } else if full {
            Failure::new(Kind::Storage, format!("no space left on the disk while making {}", node.label))
                .help("free some space (`cargo xtask gc` removes old store entries) and run it again")
                .source(e)
                .into()
        } else if let (true, Some(kind @ (Kind::Command | Kind::Network))) = (logged, kind) {
            Failure::new(kind, format!("{} failed", node.label))
                .help(format!("the whole output is in {log}"))
                .source(e)
                .into()
        } else {
            e
        }
    }

    fn put_away(&self, scratch: &Utf8Path) {
        if !self.ctx.globals.keep_failed {
            _ = tree::remove(scratch);
            return;
        }
        if let Ok(kept) = self.store.put_aside(scratch) {
            self.ctx.report.note(format!("kept {kept}"));
        }
    }
}

/// A program that fails with less than this free on the disk fails for that reason: some, such as grub-mkimage,
/// cannot even say so, since their log is on the same disk.
const LITTLE: u64 = 1 << 20;

/// Bytes free on the disk of `path`; many, where that cannot be asked.
#[cfg(unix)]
fn free(path: &Utf8Path) -> u64 {
    rustix::fs::statvfs(path.as_std_path()).map_or(u64::MAX, |s| s.f_bavail.saturating_mul(s.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Utf8Path) -> u64 {
    u64::MAX
}

/// Whether an error says that the disk is full: ours by its kind, a program's by its words (libc's, xorriso's).
fn disk_full(e: &anyhow::Error) -> bool {
    let words = ["No space left on device", "exceeds free space on media"];
    e.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::StorageFull)
            || words.iter().any(|w| cause.to_string().contains(w))
    })
}
