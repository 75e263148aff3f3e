//! The `${{ }}` expressions that our workflows use: a path into a context, and `toJSON` and `fromJSON` of one. Anything
//! else is refused.

use anyhow::Result;
use serde_json::Value;

use failure::{Failure, Kind};

/// Replaces every `${{ }}` in `text` by what `contexts` (`github`, `matrix`, `needs`, `steps`) have there.
///
/// # Errors
/// [`Kind::Config`] for an expression that is not supported.
pub(crate) fn expand(contexts: &Value, text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${{") {
        let (expression, after) = behind.split_once("}}").ok_or_else(|| unknown(behind, "it has no end"))?;
        out += before;
        out += &evaluate(contexts, expression.trim())?;
        rest = after;
    }
    Ok(out + rest)
}

fn evaluate(contexts: &Value, expression: &str) -> Result<String> {
    let inner = |name: &str| expression.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(path) = inner("toJSON") {
        return Ok(member(contexts, path)?.to_string());
    }
    // A value that is text stays text: where JSON is wanted, as for a matrix, that is what reads it.
    Ok(match member(contexts, inner("fromJSON").unwrap_or(expression))? {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    })
}

/// A member that does not exist is empty, as at GitHub; a context that does not exist is refused.
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

fn unknown(expression: &str, why: &str) -> anyhow::Error {
    let text = format!("the expression `{expression}` is not supported: {why}");
    Failure::new(Kind::Config, text)
        .help("put the logic into `cargo xtask`, or teach it to maintain/src/ci/expr.rs")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_json_are_expanded_and_anything_else_is_refused_by_name() {
        let c = serde_json::json!({ "needs": { "plan": { "result": "success", "outputs": { "m": "{\"a\":[1]}" } } } });
        assert_eq!(expand(&c, "<${{ needs.plan.result }}>${{needs.none.x}}!").unwrap(), "<success>!");
        assert_eq!(expand(&c, "${{ fromJSON(needs.plan.outputs.m) }}").unwrap(), "{\"a\":[1]}");
        assert!(expand(&c, "${{ toJSON(needs) }}").unwrap().starts_with("{\"plan\":{"));
        assert_eq!(expand(&c, "plain").unwrap(), "plain");
        for bad in
            ["${{ secrets.X }}", "${{ needs.a == 'b' }}", "${{ format('x') }}", "${{ needs.plan", "${{ }}"]
        {
            let error = expand(&c, bad).unwrap_err().to_string();
            assert!(error.contains("is not supported"), "{error}");
        }
    }
}
