//! A panic in a node is a failure of that node, with its place and its backtrace; the run comes to its end.

use std::{
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind},
    sync::Once,
};

use anyhow::{Result, anyhow};

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// What the hook saw of the last panic: where and why, and the backtrace.
    static SEEN: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Calls `f`; a panic in it becomes an error that names `label`.
///
/// # Errors
/// Those of `f`, and its panics.
pub(crate) fn caught<T>(label: &str, f: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match WATCHED.get() {
            true => see(info),
            false => before(info),
        }));
    });
    WATCHED.set(true);
    // What `f` changes is a node's scratch folder, which goes.
    let end = catch_unwind(AssertUnwindSafe(f));
    WATCHED.set(false);
    end.unwrap_or_else(|_| {
        let (what, trace) = SEEN.take().unwrap_or_default();
        let trace = anyhow!("its backtrace:\n{trace}");
        Err(trace.context(what).context(format!("{label} failed: this program panicked")))
    })
}

fn see(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let said = text.or_else(|| payload.downcast_ref().map(String::as_str)).unwrap_or("it gave no reason");
    let place = info.location().map(|l| format!("{}, line {}", l.file(), l.line()));
    let what = format!("{said} ({})", place.unwrap_or_default());
    SEEN.set(Some((what, frames(&Backtrace::force_capture().to_string()))));
}

/// The frames between the machinery that panics and the one that starts threads.
fn frames(trace: &str) -> String {
    let from = trace.find("core::panicking::").map_or(0, |at| trace[..at].rfind('\n').map_or(0, |n| n + 1));
    let rest = &trace[from..];
    let to = rest
        .find("__rust_begin_short_backtrace")
        .map_or(rest.len(), |at| rest[..at].rfind('\n').unwrap_or(at));
    rest[..to].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_place_and_backtrace() {
        let broken = || -> Result<()> { panic!("five is not {}", 6) };
        let said: Vec<String> =
            caught("the kernel", broken).unwrap_err().chain().map(ToString::to_string).collect();
        assert_eq!(said[0], "the kernel failed: this program panicked");
        assert!(said[1].starts_with("five is not 6 (crates/buildexec/src/panics.rs, line "), "{said:?}");
        assert!(said[2].contains("a_panic_is_an_error_with_its_place"), "{said:?}");
        assert_eq!(caught("the next", || Ok(7)).unwrap(), 7);
    }
}
