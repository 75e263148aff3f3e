//! Where a measurement was made.

use serde::{Deserialize, Serialize};

use buildexec::ctx::Ctx;

/// What a reader needs to compare seconds with their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BenchHost {
    /// The day.
    pub(crate) date: String,
    /// The processor's name.
    pub(crate) processor: String,
    /// Processors that may be used.
    pub(crate) cores: usize,
    /// Memory in MiB.
    pub(crate) memory: u64,
    /// The kernel.
    pub(crate) kernel: String,
    /// The distribution.
    pub(crate) system: String,
    /// Processes that wanted to run beside the measurement, on average of a minute.
    pub(crate) load: String,
}

/// This machine, as Linux describes it.
pub(crate) fn describe(ctx: &Ctx) -> BenchHost {
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str, separator: char| {
        let line = text.lines().find_map(|l| l.strip_prefix(key)?.trim_start().strip_prefix(separator));
        line.unwrap_or("unknown").trim().trim_matches('"').to_owned()
    };
    let memory = after(&read("/proc/meminfo"), "MemTotal", ':');
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    BenchHost {
        date: date.get(5..16).unwrap_or_default().to_owned(),
        processor: after(&read("/proc/cpuinfo"), "model name", ':'),
        cores: ctx.jobs(),
        memory: memory.split(' ').next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or_default() >> 10,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        system: after(&read("/etc/os-release"), "PRETTY_NAME", '='),
        load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
    }
}
