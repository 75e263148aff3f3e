//! GRUB's scripts: where they start kernels, which variables and calls the arguments come from, what they include.
//!
//! Nothing is run. Every branch counts, since which one is taken is known at boot only.

use std::{collections::BTreeSet, ops::Range};

use super::{
    config::{
        ArgsLine, FixedArgs, LoaderConfig, VariableValue, is_other_program, looks_like_linux,
        starts_inner_image,
    },
    grub_words::{ConfigWord, Piece, Use, pieces, uses},
};

/// Commands that start Linux with the arguments behind the file.
const LINUX: [&str; 6] = ["linux", "linux16", "linuxefi", "linux_xen", "xen_linux", "xen_kernel"];
const MULTIBOOT: [&str; 3] = ["multiboot", "multiboot2", "xen_hypervisor"];
const MODULES: [&str; 3] = ["module", "module2", "xen_module"];
const INCLUDES: [&str; 6] =
    ["configfile", "source", ".", "normal", "extract_entries_configfile", "extract_entries_source"];
/// Menus of ISOLINUX (`grub-core/commands/syslinuxcfg.c`).
const MENUS: [&str; 4] = [
    "syslinux_configfile",
    "syslinux_source",
    "extract_syslinux_entries_configfile",
    "extract_syslinux_entries_source",
];
/// Menus of GRUB Legacy (`grub-core/commands/legacycfg.c`).
const LEGACY: [&str; 4] = [
    "legacy_configfile",
    "legacy_source",
    "extract_legacy_entries_configfile",
    "extract_legacy_entries_source",
];

/// Commands that GRUB's modules have for what other loaders' menus say.
const FOREIGN: [&str; 2] = ["legacy_kernel", "lua"];

/// What a script has said so far.
struct GrubScript<'t> {
    text: &'t str,
    config: LoaderConfig,
    functions: BTreeSet<String>,
    entry: String,
    /// A multiboot kernel whose modules have not been Linux yet, with its arguments.
    multiboot: Option<String>,
    /// Devices that `loopback` makes of files.
    images: BTreeSet<String>,
    /// Whether paths without a device are on one of them.
    is_in_image: bool,
}

/// Reads a script.
pub(super) fn parse(text: &str) -> LoaderConfig {
    let commands = commands(text);
    let function = |c: &&Vec<ConfigWord>| c[0].value == "function" && c.len() > 1;
    let functions = commands.iter().filter(function).map(|c| c[1].value.clone()).collect();
    let mut script = GrubScript {
        text,
        config: LoaderConfig::default(),
        functions,
        entry: String::new(),
        multiboot: None,
        images: BTreeSet::new(),
        is_in_image: false,
    };
    for command in &commands {
        script.assignment(command);
    }
    for command in &commands {
        script.command(command);
    }
    script.end_of_entry();
    for piece in pieces(text) {
        match piece {
            Piece::Comment(range) => script.config.comment(text, range),
            Piece::Word(word) => script.config.indent(text, word.range.start),
            Piece::End => {}
        }
    }
    script.config
}

/// Reads an environment block, as `grub-editenv` writes it. Its values are known and not changed: GRUB writes there too.
pub(super) fn environment(text: &str) -> LoaderConfig {
    let mut config = LoaderConfig::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(name) = name_of(line) else { continue };
        let (name, text) = (name.to_owned(), line[name.len() + 1..].to_owned());
        let uses = uses(&text).into_iter().map(|u| u.name).collect();
        config.values.push(VariableValue { name, entry: String::new(), text, part: None, uses });
    }
    config
}

/// The commands, without the words of the shell's grammar in front of them.
fn commands(text: &str) -> Vec<Vec<ConfigWord>> {
    let mut found = Vec::new();
    let mut command: Vec<ConfigWord> = Vec::new();
    for piece in pieces(text).into_iter().chain([Piece::End]) {
        match piece {
            Piece::Word(word) if command.is_empty() && is_keyword(&word.value) => {}
            Piece::Word(word) => command.push(word),
            Piece::Comment(_) => {}
            Piece::End if command.is_empty() => {}
            Piece::End => found.push(std::mem::take(&mut command)),
        }
    }
    found
}

/// The family of commands that a name belongs to; empty for one without others.
fn family(name: &str) -> &'static str {
    match name {
        n if LINUX.contains(&n) => "linux",
        n if MULTIBOOT.contains(&n) => "multiboot",
        n if MODULES.contains(&n) => "module",
        n if INCLUDES.contains(&n) => "include",
        n if MENUS.contains(&n) => "menu",
        n if LEGACY.contains(&n) => "legacy",
        // Distributions' GRUBs have had `linux32` and others.
        n if FOREIGN.contains(&n) || n.starts_with("linux") && !n.contains('$') => "foreign",
        _ => "",
    }
}

/// Whether one of the words is a command that starts something or leads on, or a variable, which may be one.
fn may_start<'w>(mut words: impl Iterator<Item = &'w str>) -> bool {
    words.any(|w| w.starts_with('$') || w == "chainloader" || !family(w).is_empty())
}

fn is_keyword(word: &str) -> bool {
    matches!(word, "then" | "else" | "do" | "if" | "elif" | "while" | "until" | "!" | "time")
}

impl GrubScript<'_> {
    /// `set name=value`, `name=value`, and the words that a loop goes through.
    fn assignment(&mut self, command: &[ConfigWord]) {
        match (command[0].value.as_str(), command) {
            ("set" | "export", [_, words @ ..]) => words.iter().for_each(|w| self.value_of(w)),
            ("for", [_, name, _, words @ ..]) => {
                for word in words {
                    self.value(&name.value, word, word.range.start, false);
                }
            }
            (_, words) => {
                words.iter().take_while(|w| name_of(&w.value).is_some()).for_each(|w| self.value_of(w))
            }
        }
    }

    fn value_of(&mut self, word: &ConfigWord) {
        if let Some(name) = name_of(&word.value) {
            let name = name.to_owned();
            self.value(&name, word, word.range.start + name.len() + 1, true);
        }
    }

    /// Notes a value whose text, with its quotes, begins at `start` of a word.
    fn value(&mut self, name: &str, word: &ConfigWord, start: usize, is_changeable: bool) {
        let raw = &self.text[start..word.range.end];
        let inner = inner(raw).filter(|_| is_changeable);
        let part = inner.map(|i| start + i.start..start + i.end);
        let text = match &part {
            Some(part) => self.text[part.clone()].to_owned(),
            None => raw.replace(['"', '\''], ""),
        };
        let uses = uses(raw).into_iter().map(|u| u.name).collect();
        let entry = self.entry.clone();
        self.config.values.push(VariableValue { name: name.to_owned(), entry, text, part, uses });
    }

    fn command(&mut self, command: &[ConfigWord]) {
        let words = if command[0].value == "set" { &command[1..] } else { &command[..1] };
        if let Some(device) = words.iter().find_map(|w| w.value.strip_prefix("root=")) {
            self.is_in_image = self.images.contains(device.trim_matches(['(', ')']));
        }
        if let Some(fixed) = self.command_in_variable(&command[0].value) {
            self.config.fixed.push(fixed);
            return;
        }
        let name = self.resolved(&command[0].value, command);
        match (name.as_str(), command) {
            ("menuentry" | "submenu" | "hiddenentry", [_, words @ ..]) => self.menu(words),
            ("function", [_, name, ..]) => {
                self.end_of_entry();
                self.entry = format!("{}()", name.value);
            }
            ("eval", [_, words @ ..]) => self.eval(words),
            ("linux", [_, words @ ..]) => self.linux(words),
            ("chainloader", [_, words @ ..]) => self.chainloader(words),
            ("multiboot", [_, words @ ..]) => {
                self.end_of_entry();
                let words = words.iter().map(|w| w.value.as_str()).filter(|w| !w.starts_with("--"));
                let line = words.collect::<Vec<_>>().join(" ");
                let file = line.split(' ').next().unwrap_or_default();
                self.multiboot = Some(line.clone()).filter(|_| !file.is_empty() && !is_other_program(file));
            }
            ("module", [_, words @ ..]) => self.module(words),
            ("include", [_, file, ..]) if !file.value.starts_with('-') => self.include(&file.value),
            ("include", [_, .., file]) => self.include(&file.value),
            ("menu", [_, .., file]) => self.config.menus.push(file.value.clone()),
            ("legacy", [_, .., file]) => {
                let reason = format!("it continues in `{}`, a menu of GRUB Legacy", file.value);
                self.config.fixed.push(FixedArgs::continued(self.entry.clone(), reason));
            }
            ("foreign", [_, words @ ..]) => {
                let words: Vec<_> = words.iter().map(|w| w.value.as_str()).collect();
                let reason = format!("what follows `{}` is not changed", command[0].value);
                let entry = self.entry.clone();
                self.config.fixed.push(FixedArgs::words(entry, words.join(" "), reason));
            }
            ("blscfg", [_, words @ ..]) => {
                let places = words.iter().map(|w| w.value.clone()).filter(|w| !w.starts_with('-'));
                self.config.entries.extend(places);
            }
            ("load_env", [_, words @ ..]) => self.environment(words),
            ("loopback", [_, words @ ..]) => {
                let device = words.iter().find(|w| !w.value.starts_with('-'));
                self.images.extend(device.map(|w| w.value.clone()));
            }
            (name, [_, words @ ..]) if self.functions.contains(name) => self.call(words),
            _ => {}
        }
    }

    /// The command that a word names: the family it belongs to, or itself.
    fn resolved(&self, word: &str, command: &[ConfigWord]) -> String {
        if self.functions.contains(word) {
            return word.to_owned();
        }
        let named = family(word);
        if !named.is_empty() || !word.contains('$') {
            return if named.is_empty() { word } else { named }.to_owned();
        }
        let uses = uses(word);
        let values = self.config.values.iter().filter(|v| uses.iter().any(|u| u.name == v.name));
        let known = values.map(|v| family(&with_value(word, &uses, &v.text))).find(|f| !f.is_empty());
        let is_linux = || {
            let file = command.get(1).is_some_and(|w| looks_like_linux(&w.value));
            file || without_variables(word, &uses).contains("linux")
        };
        match known {
            Some(family) => family.to_owned(),
            None if is_linux() => "linux".to_owned(),
            None => word.to_owned(),
        }
    }

    /// A file of this image, or of one in it, which is not looked into.
    fn include(&mut self, file: &str) {
        let device = file.strip_prefix('(').and_then(|f| f.split_once(')'));
        let is_inner = device.map_or(self.is_in_image, |(name, _)| self.images.contains(name));
        if is_inner {
            let reason = format!("it continues in `{file}` of an image within this one");
            self.config.fixed.push(FixedArgs::continued(self.entry.clone(), reason));
        } else {
            self.config.includes.push(file.to_owned());
        }
    }

    /// `load_env -f FILE NAME…`; without a file, it is the one that is found by its name.
    fn environment(&mut self, words: &[ConfigWord]) {
        let at = words.iter().position(|w| w.value == "-f" || w.value == "--file");
        let behind = at.and_then(|at| words.get(at + 1)).map(|w| w.value.as_str());
        let file = behind.or_else(|| words.iter().find_map(|w| w.value.strip_prefix("--file=")));
        self.config.environments.extend(file.map(str::to_owned));
    }

    /// A title, options, and words that the entry's commands get as `$1` and so on.
    fn menu(&mut self, words: &[ConfigWord]) {
        self.end_of_entry();
        self.is_in_image = false;
        let (mut rest, mut source) = (Vec::new(), None);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.value.as_str() {
                "--class" | "--users" | "--hotkey" | "--id" => _ = words.next(),
                "--source" => source = words.next().map(|w| w.value.clone()),
                option if option.starts_with("--source=") => {
                    source = Some(option["--source=".len()..].to_owned())
                }
                option if option.starts_with("--") => {}
                _ => rest.push(word),
            }
        }
        if let Some((title, rest)) = rest.split_first() {
            self.entry.clone_from(&title.value);
            for word in rest {
                self.argument(word);
            }
        }
        let reason = "the entry's commands are given as `--source`".to_owned();
        let entry = self.entry.clone();
        self.config.fixed.extend(source.map(|text| FixedArgs::words(entry, text, reason)));
    }

    fn call(&mut self, words: &[ConfigWord]) {
        words.iter().for_each(|w| self.argument(w));
    }

    /// A word that is an argument of a function or entry. Removing a bare one would renumber the others.
    fn argument(&mut self, word: &ConfigWord) {
        let is_quoted = self.text[word.range.clone()].starts_with(['"', '\'']);
        self.value("@", word, word.range.start, is_quoted);
    }

    fn eval(&mut self, words: &[ConfigWord]) {
        let line = words.iter().map(|w| w.value.as_str()).collect::<Vec<_>>().join(" ");
        if may_start(line.split([' ', '\t', '\n', ';', '{', '}'])) {
            let reason = "GRUB puts the command together at boot, with `eval`".to_owned();
            self.config.fixed.push(FixedArgs::words(self.entry.clone(), line, reason));
        }
    }

    /// A variable that is a command with its words; nothing for others.
    fn command_in_variable(&self, word: &str) -> Option<FixedArgs> {
        let name = &uses(word).into_iter().next().filter(|_| word.starts_with('$'))?.name;
        let values = self.config.values.iter().filter(|v| v.name == *name);
        let is_command = |v: &&VariableValue| v.text.contains(' ') && may_start(v.text.split(' ').take(1));
        let line = values.clone().find(is_command)?.text.clone();
        let reason = "the command comes from a variable".to_owned();
        Some(FixedArgs::words(self.entry.clone(), line, reason))
    }

    /// A program of UEFI and its words: perhaps a kernel.
    fn chainloader(&mut self, words: &[ConfigWord]) {
        let file = words.iter().position(|w| !w.value.starts_with('-'));
        let Some((file, rest)) = file.and_then(|at| words[at..].split_first()) else { return };
        self.config.programs.push(file.value.clone());
        self.line(file, rest, Vec::new());
        if let Some(line) = self.config.lines.last_mut() {
            line.program = Some(file.value.clone());
        }
    }

    /// A file and its arguments.
    fn linux(&mut self, words: &[ConfigWord]) {
        let file = words.iter().position(|w| !w.value.starts_with("--"));
        let Some((file, rest)) = file.and_then(|at| words[at..].split_first()) else { return };
        if is_other_program(&file.value) {
            if starts_inner_image(&file.value, rest.iter().map(|w| w.value.as_str())) {
                let reason = "it starts an image within this one, by way of memdisk".to_owned();
                self.config.fixed.push(FixedArgs::continued(self.entry.clone(), reason));
            }
            return;
        }
        self.config.programs.push(file.value.clone());
        // What is not a path may be a variable with path and arguments in one, which only its value tells.
        let is_all_in_one = file.value.starts_with('$') && !file.value.contains('/');
        let in_file = if is_all_in_one { uses(&file.value) } else { Vec::new() };
        self.line(file, rest, in_file);
    }

    fn line(&mut self, file: &ConfigWord, rest: &[ConfigWord], more: Vec<Use>) {
        let part = match rest {
            [] => file.range.end..file.range.end,
            [a, ..] => a.range.start..rest[rest.len() - 1].range.end,
        };
        let lead = if rest.is_empty() { " " } else { "" }.to_owned();
        let entry = self.entry.clone();
        let mut line = ArgsLine { entry, parts: vec![part], lead, takes_words: true, ..ArgsLine::default() };
        line.uses = more.into_iter().map(Use::variable).collect();
        for word in rest {
            let raw = &self.text[word.range.clone()];
            let found = uses(raw);
            let is_whole = without_variables(raw, &found).trim_matches('"').is_empty();
            let names = if is_whole { &mut line.uses } else { &mut line.embeds };
            names.extend(found.into_iter().map(Use::variable));
        }
        self.config.lines.push(line);
    }

    /// The first module that may be a kernel is Linux below a hypervisor.
    fn module(&mut self, words: &[ConfigWord]) {
        let file = words.iter().position(|w| !w.value.starts_with("--"));
        let Some((file, rest)) = file.and_then(|at| words[at..].split_first()) else { return };
        if self.multiboot.is_some() && looks_like_linux(&file.value) {
            self.multiboot = None;
            self.line(file, rest, Vec::new());
        }
    }

    /// Names a multiboot kernel without a module that looks like Linux.
    fn end_of_entry(&mut self) {
        if let Some(line) = self.multiboot.take() {
            let reason = "multiboot starts it with no module that looks like Linux".to_owned();
            let entry = self.entry.clone();
            self.config.fixed.push(FixedArgs::words(entry, line, reason));
        }
    }
}

/// The name in `name=value`.
fn name_of(word: &str) -> Option<&str> {
    let (name, _) = word.split_once('=')?;
    let is_name = |n: &str| n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    Some(name).filter(|n| !n.is_empty() && is_name(n) && !n.starts_with(|c: char| c.is_ascii_digit()))
}

/// Where the text of a value is, when it is one quoted string or a bare word.
fn inner(raw: &str) -> Option<Range<usize>> {
    let plain = |text: &str| !text.contains(['"', '\'', '\\']);
    for quote in ['"', '\''] {
        if let Some(text) = raw.strip_prefix(quote).and_then(|r| r.strip_suffix(quote)) {
            return plain(text).then(|| 1..raw.len() - 1);
        }
    }
    plain(raw).then_some(0..raw.len())
}

fn without_variables(word: &str, uses: &[Use]) -> String {
    with_value(word, uses, "")
}

/// `word` with `value` in place of each variable.
fn with_value(word: &str, uses: &[Use], value: &str) -> String {
    let mut text = word.to_owned();
    for used in uses.iter().rev() {
        text.replace_range(used.range.clone(), value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, String)> {
        let lines = parse(text).lines;
        lines.into_iter().map(|l| (l.entry, text[l.parts[0].clone()].to_owned())).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn commands_are_found_wherever_they_stand() {
        let text = "# c\nset x='a # b'\nmenuentry \"One\" { linux /vmlinuz quiet a='b c' ; initrd /i }\n\
            if true; then linux16 /k\n  fi\nlinux /memtest86+ x\nmenuentry --class a Two {\n linuxefi /k a \\\n  b # end\n}\nsource $prefix/x.cfg\n";
        assert_eq!(found(text), pairs(&[("One", "quiet a='b c'"), ("One", ""), ("Two", "a \\\n  b")]));
        let config = parse(text);
        assert_eq!(config.includes, ["$prefix/x.cfg"]);
        assert_eq!(config.comments.first(), Some(&(0..4)));
    }

    #[test]
    fn a_command_may_be_a_variable() {
        let text = "set linux=linuxefi\nmenuentry a { $linux /k a }\nmenuentry b { ${linux} /k b }\n\
            menuentry c { linux$efi /k c }\nmenuentry d { $cmd /boot/vmlinuz d }\nmenuentry e { $cmd /x e }\n";
        assert_eq!(found(text), pairs(&[("a", "a"), ("b", "b"), ("c", "c"), ("d", "d")]));
    }

    #[test]
    fn linux_is_the_module_of_a_hypervisor() {
        let text = "menuentry xen {\n multiboot2 /xen.gz dom0_mem=1G\n module2 /vmlinuz placeholder root=x\n module2 --nounzip /initrd\n}\n\
            menuentry hurd {\n multiboot /gnumach.gz a=b\n module /ext2fs.static x\n}\n";
        assert_eq!(found(text), pairs(&[("xen", "placeholder root=x")]));
        let fixed = parse(text).fixed;
        assert_eq!(
            (fixed.len(), fixed[0].entry.as_str(), fixed[0].args.as_deref()),
            (1, "hurd", Some("/gnumach.gz a=b"))
        );
    }

    #[test]
    fn values_of_variables_and_arguments_of_functions_are_known() {
        let text = "set args=\"quiet $more\"\nmore='x y'\nfunction start {\n linux /k $args \"$1\"\n}\n\
            menuentry a { start 'one two' bare }\nfor f in a.cfg b.cfg; do source $f; done\n";
        let config = parse(text);
        assert_eq!(config.lines[0].uses, ["args", "@"]);
        let value = |v: &VariableValue| (v.name.clone(), v.text.clone());
        let values: Vec<_> = config.values.iter().map(value).collect();
        assert_eq!(
            values,
            pairs(&[
                ("args", "quiet $more"),
                ("more", "x y"),
                ("f", "a.cfg"),
                ("f", "b.cfg"),
                ("@", "one two"),
                ("@", "bare")
            ])
        );
        let parts: Vec<_> = config.values.iter().map(|v| v.part.is_some()).collect();
        assert_eq!(parts, [true, true, false, false, true, false]);
    }
}
