//! Actions that are functions of ours, by the name that plans call them.

mod extract;
pub mod fat;
mod git;
mod initrd;
pub mod iso;
mod kernel;
mod room;
mod template;
mod unpack;

use buildexec::action::Table;
pub use template::text;
pub use unpack::digests;

/// Every builtin.
pub const BUILTINS: Table = &[
    ("fat-image", fat::image),
    ("git-apply", git::apply),
    ("git-checkout", git::checkout),
    ("iso", iso::image),
    ("iso-extract", extract::extract),
    ("pick", unpack::pick),
    ("pick-kernel", kernel::pick),
    ("room", room::layout),
    ("seed", room::seed),
    ("smoke-initrd", initrd::smoke),
    ("template", template::template),
    ("unpack", unpack::unpack),
];
