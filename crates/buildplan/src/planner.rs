//! Stages to nodes: memoised, without cycles, equal nodes merged.

use std::{
    any::{Any, TypeId},
    collections::{BTreeSet, HashMap},
    fmt::Debug,
    hash::Hash,
};

use anyhow::{Result, bail};

use super::{Action, Arg, Artifact, CmdSpec, Digest, FetchSpec, Material, NodeId, Product, Resource};

/// A kind of work. A stage *is* its parameters: checked values and other stages, never a path, a shell or a
/// clock. (After rust-lang/rust's `trait Step`.)
pub trait Stage: Clone + Debug + Eq + Hash + 'static {
    /// The artifacts it makes.
    type Out: Clone + 'static;
    /// Its name, in store entries and plans.
    const NAME: &'static str;
    /// Raised when the meaning changes and the actions' text does not.
    const FORMAT: u32;

    /// Plans the nodes.
    ///
    /// # Errors
    /// When the parameters cannot be carried out.
    fn plan(&self, p: &mut Planner) -> Result<Self::Out>;
}

/// A planned piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The stage's name.
    pub stage: &'static str,
    /// The stage's format.
    pub format: u32,
    /// What it is, for people.
    pub label: String,
    /// Names of its outputs.
    pub outputs: Vec<String>,
    /// Actions, run in this order.
    pub actions: Vec<Action>,
    /// What it brings in, and which parts of media it makes.
    pub materials: Vec<Material>,
    /// What it puts together, for a node with one output of a kind that others look into.
    pub product: Option<Product>,
    /// Whether its outputs are made from its inputs, rather than hold them.
    pub derived: bool,
    /// What it needs while it runs.
    pub resource: Resource,
    /// Whether it is made with a secret, its own or one of its inputs': only the owner may read what it makes.
    pub private: bool,
}

impl Node {
    /// The digest that the plan itself wants an output to have, where it says so.
    #[must_use]
    pub fn wanted(&self, output: &str) -> Option<Digest> {
        let fetched = self.actions.iter().find_map(|action| match action {
            Action::Fetch(fetch) if fetch.to == Arg::Out(output.to_owned()) => Some(fetch.sha256),
            _ => None,
        });
        fetched.or_else(|| {
            self.materials.iter().find_map(|material| match material {
                Material::PackageFile { output: name, sha256, .. } if name == output => Some(*sha256),
                _ => None,
            })
        })
    }

    /// The nodes whose outputs it reads.
    #[must_use]
    pub fn inputs(&self) -> BTreeSet<NodeId> {
        let mut inputs = BTreeSet::new();
        self.leaves(&mut |arg| {
            if let Arg::In(artifact) = arg {
                inputs.insert(artifact.node);
            }
        });
        inputs
    }

    /// Calls `f` for each argument of each action.
    pub fn leaves<'a>(&'a self, f: &mut dyn FnMut(&'a Arg)) {
        self.actions.iter().for_each(|a| a.leaves(f));
    }
}

/// Nodes in an order in which each comes after its inputs.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The nodes; a [`NodeId`] is an index.
    pub nodes: Vec<Node>,
}

impl Plan {
    /// The node of an id that this plan gave out.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// All ids, in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// `goals` and everything they need.
    #[must_use]
    pub fn needed(&self, goals: &[NodeId]) -> BTreeSet<NodeId> {
        let mut needed: BTreeSet<NodeId> = goals.iter().copied().collect();
        for id in self.ids().rev() {
            if needed.contains(&id) {
                needed.extend(self.node(id).inputs());
            }
        }
        needed
    }
}

/// Turns stages into a [`Plan`].
#[derive(Default)]
pub struct Planner {
    plan: Plan,
    merged: HashMap<Node, NodeId>,
    memo: HashMap<TypeId, Box<dyn Any>>,
    under_way: Vec<String>,
}

impl Planner {
    /// An empty plan.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The outputs of `stage`, planned on first use.
    ///
    /// # Errors
    /// When the stage cannot be planned or needs itself.
    pub fn ensure<S: Stage>(&mut self, stage: &S) -> Result<S::Out> {
        if let Some(out) = self.table::<S>().get(stage) {
            return Ok(out.clone());
        }
        let name = format!("{stage:?}");
        if self.under_way.contains(&name) {
            bail!("stage {} needs itself: {}", S::NAME, self.under_way.join(" → "));
        }
        self.under_way.push(name);
        let out = stage.plan(self);
        self.under_way.pop();
        let out = out?;
        self.table::<S>().insert(stage.clone(), out.clone());
        Ok(out)
    }

    fn table<S: Stage>(&mut self) -> &mut HashMap<S, S::Out> {
        self.memo
            .entry(TypeId::of::<S>())
            .or_insert_with(|| Box::new(HashMap::<S, S::Out>::new()))
            .downcast_mut()
            .expect("the table of a type holds that type")
    }

    /// Begins a node of stage `S`; `label` tells people what it makes.
    pub fn node<S: Stage>(&mut self, label: impl Into<String>) -> NodeBuilder<'_> {
        let node = Node {
            stage: S::NAME,
            format: S::FORMAT,
            label: label.into(),
            outputs: Vec::new(),
            actions: Vec::new(),
            materials: Vec::new(),
            product: None,
            derived: false,
            resource: Resource::Cpu,
            private: false,
        };
        NodeBuilder { planner: self, node }
    }

    /// The plan so far.
    #[must_use]
    pub fn finish(self) -> Plan {
        self.plan
    }

    fn add(&mut self, mut node: Node) -> NodeId {
        let mut private = node.inputs().iter().any(|id| self.plan.node(*id).private);
        node.leaves(&mut |arg| private |= matches!(arg, Arg::Secret(_)));
        node.private = private;
        let next = NodeId(self.plan.nodes.len());
        let id = *self.merged.entry(node.clone()).or_insert(next);
        if id == next {
            self.plan.nodes.push(node);
        }
        id
    }
}

/// A node while it is being written.
pub struct NodeBuilder<'p> {
    planner: &'p mut Planner,
    node: Node,
}

impl NodeBuilder<'_> {
    /// Names an output, a file or a folder, and gives the argument that stands for it.
    pub fn out(&mut self, name: impl Into<String>) -> Arg {
        let name = name.into();
        if !self.node.outputs.contains(&name) {
            self.node.outputs.push(name.clone());
        }
        Arg::Out(name)
    }

    /// Says what it brings in, or which part of media it makes.
    pub fn material(&mut self, material: Material) -> &mut Self {
        self.node.materials.push(material);
        self
    }

    /// Says that its outputs are made from its inputs, and do not hold them.
    pub fn derived(&mut self) -> &mut Self {
        self.node.derived = true;
        self
    }

    /// Puts `product` together as the output `to`.
    pub fn product(&mut self, product: Product, to: Arg) -> &mut Self {
        let (name, args) = product.call(to);
        self.node.product = Some(product);
        self.builtin(name, args)
    }

    /// Says what it needs; default: one core.
    pub fn resource(&mut self, resource: Resource) -> &mut Self {
        self.node.resource = resource;
        self
    }

    /// Runs a program.
    pub fn run(&mut self, cmd: CmdSpec) -> &mut Self {
        self.action(Action::Run(cmd))
    }

    /// Downloads a file.
    pub fn fetch(&mut self, fetch: FetchSpec) -> &mut Self {
        self.resource(Resource::Net).action(Action::Fetch(fetch))
    }

    /// Copies a file or a folder.
    pub fn copy(&mut self, from: impl Into<Arg>, to: Arg) -> &mut Self {
        self.action(Action::Copy { from: from.into(), to })
    }

    /// Writes a file.
    pub fn write<A: Into<Arg>>(&mut self, to: Arg, text: impl IntoIterator<Item = A>) -> &mut Self {
        self.action(Action::Write { to, text: text.into_iter().map(Into::into).collect() })
    }

    /// Calls a function of the executor.
    pub fn builtin(
        &mut self,
        name: &'static str,
        args: impl IntoIterator<Item = (&'static str, Arg)>,
    ) -> &mut Self {
        self.action(Action::Builtin { name, args: args.into_iter().collect() })
    }

    fn action(&mut self, action: Action) -> &mut Self {
        self.node.actions.push(action);
        self
    }

    /// Adds the node to the plan, or finds the equal one that is there.
    pub fn finish(self) -> NodeId {
        self.planner.add(self.node)
    }

    /// As [`Self::finish`], for a node with one output.
    ///
    /// # Panics
    /// When it has none or several: a mistake in the stage.
    pub fn finish_one(self) -> Artifact {
        assert_eq!(self.node.outputs.len(), 1, "`{}` has not one output", self.node.label);
        let name = self.node.outputs[0].clone();
        Artifact { node: self.finish(), name }
    }
}

impl NodeId {
    /// The output `name` of this node.
    #[must_use]
    pub fn artifact(self, name: impl Into<String>) -> Artifact {
        Artifact { node: self, name: name.into() }
    }
}
