//! Fills in a template: `{{name}}` becomes a value, nothing else changes.

use anyhow::{Result, bail};
use camino::Utf8Path;

use bootiso::embed::{REGION, region};
use buildexec::action::Call;
use buildplan::{Arg, Node, Product, TextSpec};
use failure::{Explain as _, Failure, Kind};

/// The node's [`TextSpec`], `to`.
///
/// # Errors
/// [`Kind::Config`] with file and line: an unknown or unused variable, an iPXE script that does not begin with
/// `#!ipxe`.
pub(super) fn template(call: &Call<'_>) -> Result<()> {
    let Some(Product::Text(spec)) = &call.node().product else {
        bail!("`{}` plans no text", call.job.label())
    };
    let text = read(&call.job.ctx.root, spec)?;
    if spec.syntax == "ipxe" && text.lines().next() != Some("#!ipxe") {
        let message = format!("{}, line 1: an iPXE script begins with `#!ipxe`", spec.template);
        return Err(Failure::new(Kind::Config, message).into());
    }
    let filled = filled(spec, &text)?;
    fs_err::write(call.out("to")?, filled).explain(Kind::Storage, || "cannot write a script".to_owned())
}

/// The text that a node makes of a template below `root`: what `template` writes, without running it.
///
/// # Errors
/// [`Kind::Config`], as `template`.
pub fn text(root: &Utf8Path, node: &Node) -> Result<Option<String>> {
    let Some(Product::Text(spec)) = &node.product else { return Ok(None) };
    filled(spec, &read(root, spec)?).map(Some)
}

fn read(root: &Utf8Path, spec: &TextSpec) -> Result<String> {
    let path = root.join(&spec.template);
    fs_err::read_to_string(&path).explain(Kind::Config, || format!("cannot read {path}"))
}

/// The contents of the template with its variables filled in.
fn filled(spec: &TextSpec, text: &str) -> Result<String> {
    let values = spec.variables.iter().map(|(name, value)| {
        let (Arg::Lit(value) | Arg::Secret(value)) = value else {
            bail!("the value of `{name}` is not a text")
        };
        let value = if spec.embed_area == Some(name) { region(value, REGION)? } else { value.clone() };
        Ok((*name, value))
    });
    let variables: Vec<(&str, String)> = values.collect::<Result<_>>()?;
    fill(text, &variables).map_err(|e| Failure::new(Kind::Config, format!("{}, {e}", spec.template)).into())
}

/// Fills in `variables`; the error says which line and what.
fn fill(text: &str, variables: &[(&str, impl AsRef<str>)]) -> Result<String, String> {
    let mut used = vec![false; variables.len()];
    let mut filled = String::with_capacity(text.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("{{") {
            let at = |what: String| format!("line {}: {what}", number + 1);
            let Some((name, after)) = after.split_once("}}") else {
                return Err(at("`{{` without `}}`".to_owned()));
            };
            let Some(found) = variables.iter().position(|(n, _)| *n == name) else {
                let known: Vec<_> = variables.iter().map(|(n, _)| *n).collect();
                return Err(at(format!("unknown variable `{name}`; known variables: {}", known.join(", "))));
            };
            used[found] = true;
            filled += before;
            filled += variables[found].1.as_ref();
            rest = after;
        }
        filled += rest;
    }
    match used.iter().position(|u| !u) {
        Some(unused) => {
            Err(format!("line {}: `{{{{{}}}}}` is not used", text.lines().count(), variables[unused].0))
        }
        None => Ok(filled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_and_ipxe_settings_left_alone() {
        let filled = fill("set a {{a}}/{{b}}\necho ${a}\n", &[("a", "1"), ("b", "2")]);
        assert_eq!(filled.unwrap(), "set a 1/2\necho ${a}\n");
    }

    #[test]
    fn an_unknown_variable_is_named_with_its_line() {
        let error = fill("#!ipxe\nset a {{c}}\n", &[("a", "1")]).unwrap_err();
        assert_eq!(error, "line 2: unknown variable `c`; known variables: a");
    }

    #[test]
    fn a_variable_that_nobody_reads_is_refused() {
        assert!(fill("#!ipxe\n", &[("args", "quiet")]).unwrap_err().contains("`{{args}}` is not used"));
        assert!(fill("{{args\n", &[("args", "quiet")]).unwrap_err().contains("without"));
    }
}
