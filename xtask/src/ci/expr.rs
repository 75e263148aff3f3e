//! The handful of `${{ }}` expressions that our workflows use: a path into a context, `toJSON` and `fromJSON` of
//! one, and the conditions about what came before. Anything else is refused.

use anyhow::Result;
use serde_json::Value;

use failure::{Failure, Kind};

/// Replaces every `${{ }}` in `text` by what `contexts` (`github`, `matrix`, `needs`, `steps`, `runner`) have there.
///
/// # Errors
/// [`Kind::Config`] for an expression that is not known.
pub fn expand(contexts: &Value, text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${{") {
        let (expression, after) = behind.split_once("}}").ok_or_else(|| unknown(behind, "it has no end"))?;
        out += before;
        out += &as_text(&evaluate(contexts, expression.trim())?);
        rest = after;
    }
    Ok(out + rest)
}

/// The value of a text that is one `${{ }}` and nothing else.
///
/// # Errors
/// As [`expand`].
pub fn value(contexts: &Value, text: &str) -> Result<Value> {
    let inner = text.trim().strip_prefix("${{").and_then(|t| t.strip_suffix("}}"));
    evaluate(contexts, inner.ok_or_else(|| unknown(text, "a value is one `${{ }}`"))?.trim())
}

fn evaluate(contexts: &Value, expression: &str) -> Result<Value> {
    let inner = |name: &str| expression.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(path) = inner("fromJSON") {
        let text = as_text(&member(contexts, path)?);
        return serde_json::from_str(&text).map_err(|_| unknown(expression, "that is not JSON"));
    }
    if let Some(path) = inner("toJSON") {
        return Ok(Value::String(member(contexts, path)?.to_string()));
    }
    member(contexts, expression)
}

/// A member that is not there is empty, as at GitHub; a context that is not there is refused.
fn member(contexts: &Value, path: &str) -> Result<Value> {
    let is_word = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !path.split('.').all(is_word) {
        return Err(unknown(path, "only paths, toJSON and fromJSON are"));
    }
    let mut words = path.split('.');
    let context = words.next().and_then(|word| contexts.get(word));
    let context = context.ok_or_else(|| unknown(path, "this context is not available here"))?;
    Ok(words.try_fold(context, |value, word| value.get(word)).cloned().unwrap_or_default())
}

/// Whether a job or step runs, given whether all before it passed.
///
/// # Errors
/// [`Kind::Config`] for a condition that is not known.
pub fn runs(condition: Option<&str>, passed: bool) -> Result<bool> {
    match condition {
        None | Some("success()") => Ok(passed),
        Some("always()" | "!cancelled()") => Ok(true),
        Some("failure()") => Ok(!passed),
        Some(other) => Err(unknown(other, "a condition is success(), failure(), !cancelled() or always()")),
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn unknown(expression: &str, why: &str) -> anyhow::Error {
    let text = format!("the expression `{expression}` is not known: {why}");
    Failure::new(Kind::Config, text)
        .help("put the logic into `cargo xtask`, or teach it to xtask/src/ci/expr.rs")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Value {
        serde_json::json!({ "needs": { "plan": { "result": "success", "outputs": { "m": "{\"a\":[1]}" } } } })
    }

    #[test]
    fn a_path_and_json_both_ways_are_known() {
        let c = contexts();
        assert_eq!(expand(&c, "<${{ needs.plan.result }}>${{needs.none.x}}!").unwrap(), "<success>!");
        assert_eq!(value(&c, "${{ fromJSON(needs.plan.outputs.m) }}").unwrap()["a"][0], 1);
        assert!(expand(&c, "${{ toJSON(needs) }}").unwrap().starts_with("{\"plan\":{"));
        assert_eq!(expand(&c, "plain").unwrap(), "plain");
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for bad in
            ["${{ secrets.X }}", "${{ needs.a == 'b' }}", "${{ format('x') }}", "${{ needs.plan", "${{ }}"]
        {
            let error = expand(&contexts(), bad).unwrap_err().to_string();
            assert!(error.contains("is not known"), "{error}");
        }
        assert!(value(&contexts(), "plain").is_err());
        assert!(runs(Some("github.ref == 'x'"), true).is_err());
    }

    #[test]
    fn conditions_say_what_runs_behind_a_failure() {
        let of = |c| (runs(c, true).unwrap(), runs(c, false).unwrap());
        assert_eq!(of(None), (true, false));
        assert_eq!(of(Some("always()")), (true, true));
        assert_eq!(of(Some("failure()")), (false, true));
    }
}
