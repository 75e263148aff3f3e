//! `cargo xtask doctor`.

use anyhow::Result;

use buildexec::{ctx::Ctx, host_inputs::BuildHost};
use buildplan::HostInputs as _;
use mediabuild::workspace::preflight;
use mediaplan::stage::needs::{self, Need};
use report::table::wrap;
use serde::Serialize;
use vmspec::virtualbox::{self, System};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask doctor            # what is found, and what is missing for what\n\
\x20 cargo xtask doctor --install  # install the rest")]
pub struct DoctorArgs {
    /// Install what is missing with apt, as root or through sudo.
    #[arg(long)]
    pub install: bool,
}

/// A need and the version found.
#[derive(Debug, Serialize)]
struct ToolRow {
    what: String,
    package: &'static str,
    #[serde(rename = "for")]
    purpose: &'static str,
    /// Whether everything works without it.
    optional: bool,
    found: Option<String>,
}

/// Lists everything that any command needs, with the versions found.
///
/// # Errors
/// [`failure::Kind::MissingTool`] when something is missing, with the command that installs it.
pub(crate) fn run(ctx: &Ctx, args: &DoctorArgs) -> Result<()> {
    if args.install {
        let optional = needs::optional().into_iter().flat_map(|(_, needs)| needs);
        preflight::check(ctx, &needs::all().into_iter().chain(optional).collect::<Vec<_>>(), true)?;
    }
    if std::env::consts::OS != "linux" {
        return elsewhere(ctx, std::env::consts::OS);
    }
    let machine = BuildHost::new(ctx, 0);
    let found = |need: &Need| -> Option<String> {
        if need.what.starts_with('/') {
            return preflight::is_there(ctx, need).then(|| "found".to_owned());
        }
        machine.tool(&need.what).ok().map(|t| t.version)
    };
    let mut rows = Vec::new();
    let all = needs::by_purpose().into_iter().map(|part| (part, false));
    for ((purpose, needs), optional) in all.chain(needs::optional().into_iter().map(|part| (part, true))) {
        rows.extend(needs.into_iter().map(|need| ToolRow {
            found: found(&need),
            what: need.what,
            package: need.package,
            purpose,
            optional,
        }));
    }
    let missing: Vec<Need> = needs::all()
        .into_iter()
        .filter(|need| rows.iter().any(|row| row.what == need.what && row.found.is_none()))
        .collect();
    if ctx.globals.json {
        ctx.report.out_json(&rows);
    } else {
        ctx.report.out(&page(&rows, report::columns().unwrap_or(80)));
    }
    if missing.is_empty() { Ok(()) } else { Err(preflight::failure(&missing.iter().collect::<Vec<_>>())) }
}

/// Where media cannot be built, VirtualBox is all that a command may lack.
fn elsewhere(ctx: &Ctx, os: &str) -> Result<()> {
    let found =
        virtualbox::find(System::current(), |name| ctx.env.get(name), |program| ctx.find_program(program));
    let purpose = "boot media in VirtualBox (`vm --backend virtualbox`)";
    let row = ToolRow {
        what: "VBoxManage".to_owned(),
        package: "",
        purpose,
        optional: false,
        found: found.as_ref().ok().map(ToString::to_string),
    };
    if ctx.globals.json {
        ctx.report.out_json(&[row]);
    } else {
        ctx.report.out(&page_elsewhere(&row, os));
    }
    Ok(found.map(drop)?)
}

fn page_elsewhere(row: &ToolRow, os: &str) -> String {
    let found = row.found.as_deref().unwrap_or("MISSING");
    let limits = preflight::limits(os, "docker").unwrap_or_default();
    format!("To {}:\n  {} {found}\n\n{limits}\n", row.purpose, row.what)
}

/// The rows under a line for each purpose, at most `width` columns wide, and a summary.
fn page(rows: &[ToolRow], width: usize) -> String {
    // A path takes 48 columns; on a terminal without room for more, nothing is aligned.
    let column = if width < 80 { 0 } else { 48 };
    let mut text = String::new();
    let mut missing = Vec::new();
    for part in rows.chunk_by(|a, b| a.purpose == b.purpose) {
        text += &format!("To {}:\n", part[0].purpose);
        for row in part {
            let lacks = if row.optional { "not installed, optional" } else { "MISSING" };
            let found = row.found.as_deref().map_or(lacks, version);
            text += &wrap(&format!("  {:<column$} {found}", row.what), 6, width);
        }
        if part.iter().any(|row| row.found.is_none() && !row.optional) {
            missing.push(part[0].purpose);
        }
    }
    text.push('\n');
    let summary = match missing.as_slice() {
        [] => "All found: every command works here.".to_owned(),
        // That profile is made of pinned packages alone.
        _ => {
            format!("`dist smoke` works here. What does not yet: {}.", missing.join("; "))
        }
    };
    text + &wrap(&summary, 2, width)
}

/// The version number in a program's output, such as `2.47.3` in `git version 2.47.3`. A program without one may have
/// complained of the question: it is there, that is all.
fn version(said: &str) -> &str {
    let words = said.split([' ', '(', ')', '/', ',']).map(|word| word.trim_start_matches('v'));
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    let short = words.map(unnamed).find(is_number).unwrap_or("found");
    short.char_indices().nth(28).map_or(short, |(end, _)| &short[..end])
}

/// `6.1.0` of `iproute2-6.1.0`.
fn unnamed(word: &str) -> &str {
    match word.rsplit_once('-') {
        Some((name, rest)) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => rest,
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_number_in_what_a_program_says() {
        for (said, number) in [
            ("git version 2.47.3 (754c44c2)", "2.47.3"),
            ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0 (75e997ec)", "12.2.0-14+deb12u1"),
            ("GNU ld (GNU Binutils for Debian) 2.40 (f6d71a1b)", "2.40"),
            ("This is perl 5, version 36, subversion 0 (v5.36.0) built for x86_64-linux", "5.36.0"),
            ("nginx version: nginx/1.22.1 (bc08ffbb)", "1.22.1"),
            ("ip utility, iproute2-6.1.0, libbpf 1.1.0", "6.1.0"),
            ("e2fsck 1.47.0 (5-Feb-2023)", "1.47.0"),
            ("unrecognized option '--version'", "found"),
            ("found", "found"),
        ] {
            assert_eq!(version(said), number);
        }
    }

    /// What Debian's packages bring is needed there in WSL or a container alone.
    #[test]
    fn where_media_cannot_be_built_no_tool_for_that_is_asked_for() {
        let found = Some(r"C:\Program Files\Oracle\VirtualBox\VBoxManage.exe".to_owned());
        let row =
            ToolRow { what: "VBoxManage".to_owned(), package: "", purpose: "boot", optional: false, found };
        let page = page_elsewhere(&row, "windows");
        assert!(page.starts_with("To boot:\n  VBoxManage C:\\Program Files"), "{page}");
        assert!(page.contains("wsl --exec") && !page.contains("`dist smoke` works"), "{page}");
    }

    #[test]
    fn the_page_fits_80_columns_and_ends_with_a_summary() {
        let row = |need: Need, purpose, optional, found: Option<&str>| ToolRow {
            what: need.what,
            package: need.package,
            purpose,
            optional,
            found: found.map(str::to_owned),
        };
        let rows = |found: Option<&'static str>| -> Vec<ToolRow> {
            let parts = needs::by_purpose().into_iter().map(|part| (part, false));
            let parts = parts.chain(needs::optional().into_iter().map(|part| (part, true)));
            parts
                .flat_map(|((purpose, needs), optional)| {
                    needs.into_iter().map(move |n| row(n, purpose, optional, found))
                })
                .collect()
        };
        let long = "a program that says a great deal about itself before it comes to its number";
        let (all, none) = (page(&rows(Some(long)), 80), page(&rows(None), 80));
        for line in all.lines().chain(none.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for line in page(&rows(None), 50).lines().filter(|line| !line.contains("/usr/share/keyrings/")) {
            assert!(line.chars().count() <= 50, "{line}");
        }
        assert!(all.ends_with("\n\nAll found: every command works here.\n"), "{all}");
        let last = none.split_once("\n\n").unwrap().1.replace("\n  ", " ");
        assert!(last.contains("boot media in QEMU (`vm`)") && last.contains("compile iPXE"), "{last}");
        assert!(
            none.contains("ccache") && !last.contains("quickly"),
            "what is optional is missed by nothing: {last}"
        );
    }
}
