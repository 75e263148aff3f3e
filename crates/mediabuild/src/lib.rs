//! Makes what the plan of boot media says: the builtins that its actions call, the observation of the host that it is
//! planned from, and the writer of `dist/`.

pub mod builtin;
pub mod workspace;
