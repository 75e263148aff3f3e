//! Actions that are functions of ours, by the name that plans call them.

mod apt;
mod extract;
mod fat;
mod git;
mod initrd;
mod kernel;
mod room;
mod template;

use buildexec::action::Table;
pub use template::text;

/// Every builtin.
pub const BUILTINS: Table = &[
    ("apt-download", apt::download),
    ("fat-image", fat::image),
    ("git-apply", git::apply),
    ("git-checkout", git::checkout),
    ("iso-extract", extract::extract),
    ("pick-kernel", kernel::pick),
    ("room", room::layout),
    ("seed", room::seed),
    ("smoke-initrd", initrd::smoke),
    ("template", template::template),
];
