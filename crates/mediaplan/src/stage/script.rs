//! iPXE scripts and loader configurations, filled in from templates.

use anyhow::Result;

use buildplan::{Arg, Artifact, Material, Planner, Product, Stage, TextSpec};

/// A template with its variables. A variable without a value, or a value without a variable, is refused
/// when it is filled in, with the line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Script {
    /// The template, from the repository's root.
    pub template: String,
    /// The file that comes out.
    pub name: &'static str,
    /// Variables and their values, in order.
    pub variables: Vec<(&'static str, ScriptValue)>,
    /// The variable that gets an embed area behind it, for edits of the finished file.
    pub embed_area: Option<&'static str>,
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ScriptValue {
    /// For all to see.
    Text(String),
    /// Not to be shown in plans.
    Secret(String),
}

impl ScriptValue {
    pub(super) fn arg(&self) -> Arg {
        match self {
            Self::Text(text) => Arg::Lit(text.clone()),
            Self::Secret(text) => Arg::Secret(text.clone()),
        }
    }
}

impl Stage for Script {
    type Out = Artifact;
    const NAME: &'static str = "script";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>(format!("{} from {}", self.name, self.template));
        let to = node.out(self.name);
        let syntax = if self.name.ends_with(".cfg") { "config" } else { "ipxe" };
        let (name, template) = (self.name.to_owned(), self.template.clone());
        node.derived().material(Material::Script { name, template: template.clone() });
        let variables = self.variables.iter().map(|(name, value)| (*name, value.arg())).collect();
        let text = TextSpec { template, syntax, embed_area: self.embed_area, variables };
        node.product(Product::Text(text), to);
        Ok(node.finish_one())
    }
}
