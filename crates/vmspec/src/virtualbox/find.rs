//! Where VBoxManage is.

use camino::Utf8PathBuf;

use super::System;
use failure::{Failure, Kind};

/// Where VBoxManage is: on the search path, where Windows' installer says, or where installers put it. `variable` reads the
/// environment, `program` looks for a program by its name or path.
///
/// # Errors
/// [`Kind::MissingTool`] with how to install it.
pub fn find<'e>(
    system: System,
    variable: impl Fn(&str) -> Option<&'e str>,
    program: impl Fn(&str) -> Option<Utf8PathBuf>,
) -> Result<Utf8PathBuf, Failure> {
    let on_path = ["VBoxManage", "vboxmanage"].map(str::to_owned);
    on_path.into_iter().chain(usual_places(system, variable)).find_map(|name| program(&name)).ok_or_else(
        || {
            let message =
                "VBoxManage was not found, on the search path or where VirtualBox is usually installed";
            Failure::new(Kind::MissingTool, message).help(
                "install VirtualBox from https://www.virtualbox.org/wiki/Downloads, or use `--backend qemu`",
            )
        },
    )
}

/// Windows puts VBoxManage on no search path. Its installer sets `VBOX_MSI_INSTALL_PATH` (before 4.3.12
/// `VBOX_INSTALL_PATH`), which may hold several folders.
fn usual_places<'e>(system: System, variable: impl Fn(&str) -> Option<&'e str>) -> Vec<String> {
    match system {
        System::Linux => {
            vec!["/usr/lib/virtualbox/VBoxManage".to_owned(), "/opt/VirtualBox/VBoxManage".to_owned()]
        }
        System::MacOs => vec![
            "/usr/local/bin/VBoxManage".to_owned(),
            "/Applications/VirtualBox.app/Contents/MacOS/VBoxManage".to_owned(),
        ],
        System::Windows => {
            let named = ["VBOX_MSI_INSTALL_PATH", "VBOX_INSTALL_PATH"].into_iter().filter_map(&variable);
            let folders = named.flat_map(|v| v.split(';')).map(str::trim).filter(|f| !f.is_empty());
            let usual = variable("ProgramFiles").unwrap_or(r"C:\Program Files");
            let usual = format!(r"{usual}\Oracle\VirtualBox");
            folders.chain([usual.as_str()]).map(|f| system.join(f, "VBoxManage.exe")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_installers_name_the_folder() {
        let variable = |name: &str| (name == "VBOX_MSI_INSTALL_PATH").then_some(r"D:\VBox\;E:\Old");
        let places = [
            r"D:\VBox\VBoxManage.exe",
            r"E:\Old\VBoxManage.exe",
            r"C:\Program Files\Oracle\VirtualBox\VBoxManage.exe",
        ];
        assert_eq!(usual_places(System::Windows, variable), places);
        // The search path goes first, and each place is asked for by its path.
        let second = |name: &str| (name == places[1]).then(|| name.into());
        assert_eq!(find(System::Windows, variable, second).unwrap(), places[1]);
        let missing = find(System::Linux, |_| None, |_| None).unwrap_err();
        assert_eq!(failure::kind_of(&missing.into()), Some(Kind::MissingTool));
    }
}
