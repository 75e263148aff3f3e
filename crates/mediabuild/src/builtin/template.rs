//! Fills in a template: `{{name}}` becomes a value, nothing else changes.

use anyhow::Result;
use camino::Utf8Path;

use bootiso::embed::{REGION, region};
use buildexec::action::Call;
use buildplan::{Action, Arg, Node};
use failure::{Explain as _, Failure, Kind};

/// `template`, pairs of `name` and `value`, `kind` (`ipxe` or `config`), maybe `room` (the name of the variable
/// whose value gets an embed area behind it), `to`.
///
/// # Errors
/// [`Kind::Config`] with file and line: an unknown or unused variable, an iPXE script that does not begin with
/// `#!ipxe`.
pub(super) fn template(call: &Call<'_>) -> Result<()> {
    let path = call.path("template")?;
    let text = fs_err::read_to_string(path).explain(Kind::Config, || format!("cannot read {path}"))?;
    let name = path.strip_prefix(&call.job.ctx.root).unwrap_or(path);
    if call.text("kind")? == "ipxe" && text.lines().next() != Some("#!ipxe") {
        return Err(Failure::new(
            Kind::Config,
            format!("{name}, line 1: an iPXE script begins with `#!ipxe`"),
        )
        .into());
    }
    let filled = filled(name.as_str(), &text, call.all("name").zip(call.all("value")), call.find("room"))?;
    fs_err::write(call.out("to")?, filled).explain(Kind::Storage, || "cannot write a script".to_owned())
}

/// The text that a node makes of a template below `root`, and its name: what `template` writes, without running it.
///
/// # Errors
/// [`Kind::Config`], as `template`.
pub fn text(root: &Utf8Path, node: &Node) -> Result<Option<(String, String)>> {
    let [Action::Builtin { name: "template", args }] = node.actions.as_slice() else { return Ok(None) };
    let literal = |label: &str| {
        let of = move |(l, arg): &(&str, Arg)| match arg {
            Arg::Lit(text) | Arg::Secret(text) if *l == label => Some(text.clone()),
            _ => None,
        };
        args.iter().filter_map(of).collect::<Vec<_>>()
    };
    let Some((_, Arg::Src(path))) = args.iter().find(|(l, _)| *l == "template") else { return Ok(None) };
    let text =
        fs_err::read_to_string(root.join(path)).explain(Kind::Config, || format!("cannot read {path}"))?;
    let (names, values, embed_area) = (literal("name"), literal("value"), literal("room"));
    let pairs = names.iter().map(String::as_str).zip(values.iter().map(String::as_str));
    let filled = filled(path, &text, pairs, embed_area.first().map(String::as_str))?;
    Ok(Some((node.outputs[0].clone(), filled)))
}

/// `text`, the contents of the template `name`, with its variables filled in; behind the one called `embed_area` comes
/// an embed area.
fn filled<'a>(
    name: &str,
    text: &str,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    embed_area: Option<&str>,
) -> Result<String> {
    let values = pairs.map(|(name, value)| {
        let value = if embed_area == Some(name) { region(value, REGION)? } else { value.to_owned() };
        Ok((name, value))
    });
    let variables: Vec<(&str, String)> = values.collect::<Result<_>>()?;
    fill(text, &variables).map_err(|e| Failure::new(Kind::Config, format!("{name}, {e}")).into())
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
                return Err(at(format!("unknown variable `{name}`; there are: {}", known.join(", "))));
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
        assert_eq!(error, "line 2: unknown variable `c`; there are: a");
    }

    #[test]
    fn a_variable_that_nobody_reads_is_refused() {
        assert!(fill("#!ipxe\n", &[("args", "quiet")]).unwrap_err().contains("`{{args}}` is not used"));
        assert!(fill("{{args\n", &[("args", "quiet")]).unwrap_err().contains("without"));
    }
}
