//! Runs the tests of this binary as libtest does, and counts what was skipped, with the reasons.
//!
//! What a test lacks is known only once it runs: a program, a package, a mirror. It says so with [`lacks`] or
//! [`skip`] and returns; what [`lacks`] says is a failure where `MEDIA_REQUIRE_VM=1`.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "this is the test program's command line"
)]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

/// A function with `#[test]`.
pub(crate) struct Test {
    /// Its path.
    pub(crate) name: &'static str,
    /// The function.
    pub(crate) run: fn(),
}

inventory::collect!(Test);

thread_local! {
    /// Why the test of this thread was skipped.
    static SKIPPED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether everything must run.
pub(crate) fn is_everything() -> bool {
    std::env::var("MEDIA_REQUIRE_VM").as_deref() == Ok("1")
}

/// Notes that this test, or a part of it, lacks something that `test --install` gets; fails it when everything must
/// run.
pub(crate) fn lacks(reason: &str) {
    assert!(!is_everything(), "{reason}");
    skip(reason);
}

/// Notes that this test, or a part of it, cannot be made here, which no installation changes.
pub(crate) fn skip(reason: &str) {
    SKIPPED.set(Some(reason.lines().next().unwrap_or_default().to_owned()));
}

enum End {
    Passed,
    Failed,
    Skipped(String),
}

/// What the command line asks for.
#[derive(Default)]
struct Choice {
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
    threads: Option<usize>,
}

impl Choice {
    /// Options of libtest that mean nothing here are taken and ignored, since cargo hands them to every test program.
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut choice = Self::default();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (arg.as_str(), None),
            };
            let mut value = || value.clone().or_else(|| args.next()).ok_or(format!("{name} takes a value"));
            match name {
                "--exact" => choice.exact = true,
                "--list" => choice.list = true,
                "--skip" => choice.skip.push(value()?),
                "--test-threads" => {
                    choice.threads = Some(value()?.parse().map_err(|_| format!("{arg}: not a number"))?);
                }
                "--color" | "--format" | "-Z" => drop(value()?),
                "--nocapture" | "--no-capture" | "--show-output" | "--include-ignored" | "-q" | "--quiet" => {
                }
                _ if name.starts_with('-') => return Err(format!("unknown option {arg}")),
                _ => choice.filters.push(arg),
            }
        }
        Ok(choice)
    }

    fn takes(&self, name: &str) -> bool {
        let fits = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        (self.filters.is_empty() || self.filters.iter().any(fits)) && !self.skip.iter().any(fits)
    }

    fn threads(&self) -> usize {
        let said = std::env::var("RUST_TEST_THREADS").ok().and_then(|n| n.parse().ok());
        self.threads.or(said).unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1)
    }
}

/// Runs what the command line asks for.
pub(crate) fn main() -> ExitCode {
    let choice = match Choice::parse(std::env::args().skip(1)) {
        Ok(choice) => choice,
        Err(e) => {
            println!("error: {e}");
            return ExitCode::from(101);
        }
    };
    let path =
        |test: &'static Test| (test.name.split_once("::").map_or(test.name, |(_, rest)| rest), test.run);
    let mut tests: Vec<(&str, fn())> = inventory::iter::<Test>.into_iter().map(path).collect();
    tests.sort_unstable_by_key(|(name, _)| *name);
    let all = tests.len();
    tests.retain(|(name, _)| choice.takes(name));
    if choice.list {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", tests.len());
    let (begin, left) = (Instant::now(), all - tests.len());
    let ends = run_all(tests, choice.threads());
    summary(&ends, left, begin)
}

fn run_all(tests: Vec<(&'static str, fn())>, threads: usize) -> BTreeMap<&'static str, End> {
    let (queue, ends) = (Mutex::new(tests.into_iter()), Mutex::new(BTreeMap::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((name, test)) = next() {
                    let end = run(name, test);
                    let said = match &end {
                        End::Passed => "ok".to_owned(),
                        End::Failed => "FAILED".to_owned(),
                        End::Skipped(reason) => format!("skipped: {reason}"),
                    };
                    println!("test {name} ... {said}");
                    ends.lock().unwrap_or_else(PoisonError::into_inner).insert(name, end);
                }
            });
        }
    });
    ends.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one test in a thread of its name, which a panic is reported under.
fn run(name: &str, test: fn()) -> End {
    let body = move || {
        test();
        SKIPPED.take()
    };
    let thread = thread::Builder::new().name(name.to_owned()).spawn(body).expect("a thread can be started");
    match thread.join() {
        Ok(None) => End::Passed,
        Ok(Some(reason)) => End::Skipped(reason),
        Err(_) => End::Failed,
    }
}

/// The last line, as libtest has it, with what was skipped by reason.
fn summary(ends: &BTreeMap<&str, End>, left: usize, begin: Instant) -> ExitCode {
    let failed: Vec<&str> =
        ends.iter().filter(|(_, end)| matches!(end, End::Failed)).map(|(name, _)| *name).collect();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for end in ends.values() {
        if let End::Skipped(reason) = end {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    if !failed.is_empty() {
        println!("\nfailures:\n    {}", failed.join("\n    "));
    }
    let skipped: usize = reasons.values().sum();
    let reasons: Vec<String> = reasons.iter().map(|(reason, n)| format!("{reason}: {n}")).collect();
    let reasons = if skipped == 0 { String::new() } else { format!(" ({})", reasons.join(", ")) };
    println!(
        "\ntest result: {}. {} passed; {} failed; {skipped} skipped{reasons}; {left} filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        ends.len() - failed.len() - skipped,
        failed.len(),
        begin.elapsed().as_secs_f64(),
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// Without its programs, the suite says how much of it was not tried; where everything must run, that is a failure.
#[test]
fn what_is_skipped_is_counted_with_its_reason() {
    let run = |require: bool| {
        let mut suite = std::process::Command::new(std::env::current_exe().expect("this program"));
        suite.args(["iso::", "--test-threads=1"]).env("PATH", "").env_remove("MEDIA_REQUIRE_VM");
        if require {
            suite.env("MEDIA_REQUIRE_VM", "1");
        }
        let output = suite.output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = run(false);
    assert!(code == Some(0) && said.contains(" ... skipped: genisoimage is missing\n"), "{said}");
    assert!(said.contains(" skipped (") && said.contains("genisoimage is missing: "), "{said}");
    let (code, said) = run(true);
    assert!(code == Some(101) && said.contains("test result: FAILED"), "{said}");
}
