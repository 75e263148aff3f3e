//! Prints a JSON schema, for `cargo xtask codegen`: of `media`, with which editors that know Taplo or Even Better TOML complete
//! and check media.toml, or of `manifest`.
//!
//! A program of its own: it alone has our crates compiled with what describes their types.

use std::process::ExitCode;

use report::{Mode, Reporter};
use schemars::{Schema, schema_for};

fn main() -> ExitCode {
    let report = Reporter::new(Mode::Human { terminal: false }, false);
    let Some(schema) = std::env::args().nth(1).and_then(|name| schema(&name)) else {
        report.err_line("error: name a schema: `media` or `manifest`");
        return ExitCode::from(2);
    };
    report.out(attest::json(&schema).trim_end());
    ExitCode::SUCCESS
}

fn schema(name: &str) -> Option<Schema> {
    match name {
        "manifest" => Some(schema_for!(attest::Manifest)),
        "media" => Some(schema_for!(mediaplan::config::raw::MediaToml)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_refuses_an_unknown_key_and_lists_the_engines() {
        let schema = serde_json::to_value(schema("media").unwrap()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["$defs"]["Engine"].to_string().contains("prebuilt"));
        assert!(schema["$defs"]["Profile"]["properties"]["base-url"]["default"].is_string());
    }
}
