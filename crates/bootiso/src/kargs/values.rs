//! Arguments that GRUB's lines take from variables: their values become places, too.

use std::collections::BTreeSet;

use super::{
    config::{ArgsLine, FixedArgs, VariableValue},
    place::ConfigFile,
};
use crate::embed::Loader;

/// The variables that whole arguments of `lines` come from, through others too.
pub(super) fn used(lines: &[ArgsLine], values: &[VariableValue]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut todo: Vec<&String> = lines.iter().flat_map(|l| &l.uses).collect();
    while let Some(name) = todo.pop() {
        if names.insert(name.clone()) {
            todo.extend(values.iter().filter(|v| v.name == *name).flat_map(|v| &v.uses));
        }
    }
    names
}

/// Makes places of the values that GRUB's lines take their words from; those of its `blscfg` are systemd-boot's.
pub(super) fn take_values(files: &mut [ConfigFile]) {
    let of_grub = |f: &&ConfigFile| f.loader != Loader::Isolinux;
    let lines: Vec<ArgsLine> = files.iter().filter(of_grub).flat_map(|f| f.config.lines.clone()).collect();
    let values: Vec<VariableValue> =
        files.iter().filter(of_grub).flat_map(|f| f.config.values.clone()).collect();
    let used = used(&lines, &values);
    let embedded: BTreeSet<&String> = lines.iter().flat_map(|l| &l.embeds).collect();
    for file in files.iter_mut().filter(|f| f.loader == Loader::Grub) {
        for value in std::mem::take(&mut file.config.values) {
            match &value.part {
                Some(part) if used.contains(&value.name) => file.config.lines.push(ArgsLine {
                    entry: value.label(),
                    parts: vec![part.clone()],
                    is_value: true,
                    uses: value.uses.clone(),
                    ..ArgsLine::default()
                }),
                _ if used.contains(&value.name) || embedded.contains(&value.name) && value.has_words() => {
                    let reason = "GRUB makes it part of the arguments, through a variable".to_owned();
                    file.config.fixed.push(value.fixed(reason));
                }
                _ => {}
            }
        }
    }
}

impl VariableValue {
    fn label(&self) -> String {
        if self.name == "@" { self.entry.clone() } else { format!("${}", self.name) }
    }

    fn has_words(&self) -> bool {
        self.text.trim().contains(char::is_whitespace)
    }

    pub(super) fn fixed(&self, reason: String) -> FixedArgs {
        FixedArgs { entry: self.label(), args: Some(self.text.clone()), takes_words: false, reason }
    }
}
