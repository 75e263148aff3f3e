//! Objects by what they are compiled from: `ccache` keeps them where the machine has it, so that sources that changed a
//! little are compiled a little.
//!
//! It must not change what is made, so keys know nothing of it. What it keeps is bounded, ours alone, and does not travel
//! with the store to other machines.

use buildplan::{Cmd, Digest, Input};

use crate::ctx::Ctx;

/// Where it keeps them, below `target/media`.
pub const FOLDER: &str = "ccache";
/// A compile of iPXE leaves 40 MB.
const MOST: &str = "500M";

/// Has `variable` of the command's arguments name `compiler` behind ccache, if the machine has that.
pub(crate) fn reuse(ctx: &Ctx, inputs: &[Input], (variable, compiler): (&str, &str), cmd: &mut Cmd) {
    if ctx.find_program("ccache").is_none() {
        return;
    }
    cmd.args.push(format!("{variable}=ccache {compiler}"));
    // What the node's key says of the machine: ccache by itself would not see another assembler.
    let tools = inputs.iter().filter_map(|input| match input {
        Input::Tool { name, version } => Some(format!("{name} {version}\n")),
        _ => None,
    });
    let tools = Digest::of(tools.collect::<String>().as_bytes());
    let settings = [
        ("DIR", ctx.work.join(FOLDER).into_string()),
        // A person's own settings may be to overlook changes.
        ("CONFIGPATH", "/dev/null".to_owned()),
        ("COMPILERCHECK", format!("string:{tools}")),
        ("MAXSIZE", MOST.to_owned()),
        // Each compile has a folder of its own, whose name gets into no object.
        ("NOHASHDIR", "true".to_owned()),
        // A compile tells what it read by itself: with a run of the preprocessor before it, a first one takes a quarter longer.
        ("DEPEND", "true".to_owned()),
    ];
    cmd.env.extend(settings.map(|(name, value)| (format!("CCACHE_{name}"), value)));
}
