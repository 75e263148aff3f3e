//! One thin file a command.

pub(crate) mod ci;
pub(crate) mod codegen;
pub(crate) mod test;
