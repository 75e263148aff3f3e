//! Steps as text that a person can read, keep, and paste into a shell.

use super::{Act, ManageStep, Todo};
use crate::quote::{self, Shell};

/// Each step as one line, with its reason above it.
#[must_use]
pub fn script(todo: &Todo, shell: Shell) -> String {
    let mut text = String::new();
    for note in &todo.notes {
        text += &format!("# note: {note}\n");
    }
    for step in &todo.steps {
        text += &format!("# {}\n{}\n", step.why().replace('\n', " "), line(step, shell));
        if step.look_again {
            text += "# (what follows is decided by its answer; this is the likely rest)\n";
        }
    }
    if let Some(serve) = &todo.serve {
        text += &format!("# in another shell: {serve}\n");
    }
    if let Some(step) = &todo.start {
        text += &format!("# {}\n{}\n", step.why().replace('\n', " "), line(step, shell));
    }
    for step in &todo.later {
        text += &format!("# later, to {}:\n#   {}\n", step.why().replace('\n', " "), line(step, shell));
    }
    text
}

fn line(step: &ManageStep, shell: Shell) -> String {
    match (&step.act, shell) {
        (Act::Manage(cmd), _) => quote::line(cmd, shell),
        (Act::Remove { path, .. }, Shell::Sh) => format!("rm {}", quote::sh(path)),
        (Act::Remove { path, .. }, Shell::PowerShell) => format!("Remove-Item {}", quote::powershell(path)),
        (Act::SetAside { from, to, .. }, Shell::Sh) => format!("mv {} {}", quote::sh(from), quote::sh(to)),
        (Act::SetAside { from, to, .. }, Shell::PowerShell) => {
            format!("Move-Item -Force {} {}", quote::powershell(from), quote::powershell(to))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Rule, *};

    #[test]
    fn files_are_moved_in_the_shells_own_words() {
        let act = Act::SetAside {
            from: "/v m/a.vbox".to_owned(),
            to: "/v m/b".to_owned(),
            why: "set aside".to_owned(),
        };
        let gone = Act::Remove { path: "/v m/c".to_owned(), why: "remove it".to_owned() };
        let step = |act| ManageStep { act, rule: Rule::Plain, look_again: false };
        let todo =
            Todo { steps: vec![step(act), step(gone)], notes: vec!["n".to_owned()], ..Todo::default() };
        let sh = "# note: n\n# set aside\nmv '/v m/a.vbox' '/v m/b'\n# remove it\nrm '/v m/c'\n";
        assert_eq!(script(&todo, Shell::Sh), sh);
        let powershell = script(&todo, Shell::PowerShell);
        assert!(powershell.contains("Move-Item -Force '/v m/a.vbox' '/v m/b'\n"), "{powershell}");
        assert!(powershell.ends_with("Remove-Item '/v m/c'\n"), "{powershell}");
    }
}
