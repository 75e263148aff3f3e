//! The rows: what is measured, one function each.

mod boot;
mod build;
mod dist;
mod docker;
mod download;
mod image;
mod ipxe;
mod kargs;
mod params;
mod power_on;
mod profiles;
mod serve;

use anyhow::Result;
pub(crate) use ipxe::BothWays;

use crate::{lab::BenchLab, series::RowResult};
use failure::{Failure, Kind};
use report::table::table;

/// A row of the table of goals.
pub(crate) struct Row {
    /// Its number there.
    pub(crate) number: u8,
    /// Its name.
    pub(crate) name: &'static str,
    /// What is measured.
    pub(crate) about: &'static str,
    /// Whether it takes minutes, and runs only when it is named.
    slow: bool,
    /// Measures.
    pub(crate) run: fn(&BenchLab) -> Result<Vec<RowResult>>,
}

/// Every row.
pub(crate) const ROWS: &[Row] = &[
    Row {
        number: 1,
        name: "cold-source",
        about: "`dist` from nothing, iPXE from source",
        slow: true,
        run: ipxe::cold,
    },
    Row {
        number: 2,
        name: "script-change",
        about: "another boot script, iPXE from source",
        slow: true,
        run: ipxe::script,
    },
    Row {
        number: 3,
        name: "near-commit",
        about: "another commit of iPXE, from source",
        slow: true,
        run: ipxe::near,
    },
    Row { number: 4, name: "no-op", about: "`dist` when nothing changed", slow: false, run: dist::no_op },
    Row {
        number: 5,
        name: "parameters",
        about: "new parameters of a 170 MB image, published with both checksums",
        slow: false,
        run: dist::parameters,
    },
    Row {
        number: 6,
        name: "variants",
        about: "20 variants of a 170 MB image, with checksums",
        slow: false,
        run: dist::variants,
    },
    Row {
        number: 7,
        name: "kargs",
        about: "one parameter of a 170 MB image, in place",
        slow: false,
        run: kargs::run,
    },
    Row {
        number: 8,
        name: "download",
        about: "a download of 1 GB, verified",
        slow: false,
        run: download::run,
    },
    Row {
        number: 9,
        name: "serve",
        about: "1, 100 and 1,000 clients of `serve`",
        slow: false,
        run: serve::run,
    },
    Row {
        number: 10,
        name: "size",
        about: "bytes of an ISO that are not its payload",
        slow: false,
        run: image::size,
    },
    Row {
        number: 11,
        name: "power-on",
        about: "a machine from power-on to the guest's words",
        slow: true,
        run: boot::run,
    },
    Row {
        number: 12,
        name: "cold-build",
        about: "this program compiled from nothing",
        slow: true,
        run: build::cold,
    },
    Row {
        number: 13,
        name: "profiles",
        about: "a repository of 1 to 10,000 profiles",
        slow: false,
        run: profiles::run,
    },
    Row {
        number: 14,
        name: "params",
        about: "a line of 1,000 parameters, checked",
        slow: false,
        run: params::run,
    },
    Row {
        number: 15,
        name: "docker-info",
        about: "the Docker host from power-on to `docker info`, by stages",
        slow: true,
        run: docker::run,
    },
];

/// The rows that are meant: by name or number, `all`, or those that are quick where none is named.
///
/// # Errors
/// [`Kind::Usage`] when there is no such row.
pub(crate) fn choose(names: &[String]) -> Result<Vec<&'static Row>> {
    let is = |row: &Row, name: &String| row.name == name || row.number.to_string() == *name || name == "all";
    if let Some(unknown) = names.iter().find(|name| !ROWS.iter().any(|row| is(row, name))) {
        let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        let text = format!("no such row: {unknown}");
        return Err(Failure::new(Kind::Usage, text)
            .help(format!("choose among {}", known.join(", ")))
            .into());
    }
    let chosen =
        |row: &&Row| if names.is_empty() { !row.slow } else { names.iter().any(|name| is(row, name)) };
    Ok(ROWS.iter().filter(chosen).collect())
}

/// The rows for a person.
pub(crate) fn list() -> String {
    let when = |row: &Row| if row.slow { "when named" } else { "always" };
    let row = |r: &Row| vec![r.number.to_string(), r.name.to_owned(), when(r).to_owned(), r.about.to_owned()];
    table(&["ROW", "NAME", "RUNS", "MEASURES"], &ROWS.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_name_and_by_number_and_no_other_way() {
        let names = |chosen: Vec<&Row>| chosen.iter().map(|r| r.name).collect::<Vec<_>>();
        assert_eq!(names(choose(&["kargs".to_owned(), "4".to_owned()]).unwrap()), ["no-op", "kargs"]);
        assert!(choose(&[]).unwrap().iter().all(|row| !row.slow));
        assert_eq!(choose(&["all".to_owned()]).unwrap().len(), ROWS.len());
        assert!(choose(&["karg".to_owned()]).is_err());
    }
}
