//! Steps as text that a person can read, keep, and paste into a shell.

use super::{Act, Step, Todo};
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
    for step in &todo.later {
        text += &format!("# later, to {}:\n#   {}\n", step.why().replace('\n', " "), line(step, shell));
    }
    text
}

fn line(step: &Step, shell: Shell) -> String {
    match (&step.act, shell) {
        (Act::Manage(cmd), _) => quote::line(cmd, shell),
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
        let todo = Todo {
            steps: vec![Step { act, rule: Rule::Plain, look_again: false }],
            notes: vec!["n".to_owned()],
            ..Todo::default()
        };
        assert_eq!(script(&todo, Shell::Sh), "# note: n\n# set aside\nmv '/v m/a.vbox' '/v m/b'\n");
        assert!(script(&todo, Shell::PowerShell).ends_with("Move-Item -Force '/v m/a.vbox' '/v m/b'\n"));
    }
}
