//! The turns of `docs/style.md` that must not come back: in strings, help, documentation and comments.

/// Phrases, and what a native engineer writes.
const BANNED: &[(&str, &str)] = &[
    ("whoever", "the person or program that is meant"),
    ("nobody says", "what is missing"),
    ("nobody knows", "is unknown"),
    ("nobody is left", "what is missing"),
    ("nobody gives", "no source has it"),
    ("without a word", "silently"),
    ("they shall", "the verb alone"),
    ("it shall", "the verb alone"),
    ("who is how far", "progress"),
    ("is how far", "progress"),
    ("goes on elsewhere", "jumps to …"),
    ("a line a machine", "one line per machine"),
    ("a line a node", "one line per node"),
    ("a folder a profile", "one folder per profile"),
    ("a folder a run", "one folder per run"),
    ("one a core", "one per core"),
    ("such as cannot be", "invalid"),
    ("stands still", "hangs"),
    ("is had;", "comes from"),
    ("cannot be had", "is unavailable"),
    ("can be had", "is available"),
    ("unless named", "[default: …]"),
    ("what there is", "the things themselves"),
    ("that there are", "existing"),
    ("in vain", "what happened instead"),
    ("may come more than once", "(repeatable)"),
    ("never was released", "is not a known release"),
    ("and so it goes at", "on every"),
    ("when its time was over", "timed out"),
    ("came up; ", "booted, but …"),
    ("broken promise", "failed check"),
    ("at a desk", "on your machine"),
    ("this repository makes no", "does not produce"),
    (" was meant\"", "but … was expected"),
    (" were meant\"", "but … were expected"),
    ("another file than", "is not …"),
    ("another program than", "is not …"),
    ("lies beside it", "is beside it"),
    ("nothing says", "no record of"),
    ("and behind it its", "followed by its"),
    ("may be given several times", "(repeatable)"),
    ("where the room for", "where the embed area is"),
    ("not usable here", "is unavailable"),
    ("as is true of", "the fact alone"),
    ("the ones that were promised", "expected"),
    ("who signs: stands", "name of the signer"),
    ("are told only under", "are served only under"),
    ("the one that is open", "the open one"),
    ("held against", "compared with"),
    ("is another than", "is not …"),
    ("belongs into", "belongs in"),
    ("is as none", "counts as unset"),
    ("begun anew", "restarted"),
    ("made anew", "made again"),
    ("told anew", "reported again"),
    ("the last one counts", "the last one wins"),
    ("which leads away", "which is outside the folder"),
    ("when built again", "when rebuilt"),
    ("built again", "rebuilt"),
];

/// Words behind "is no" that make another sentence of it.
const ALLOWED_AFTER: &[&str] = &["longer", "more", "other", "different", "way", "less", "later", "earlier"];

/// The text as it is read: marks of comments and line breaks gone.
fn read(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_start();
        ["/// ", "//! ", "// ", "# ", "* "].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line)
    });
    let joined = lines.map(|line| line.trim_end().trim_end_matches('\\')).collect::<Vec<_>>().join(" ");
    joined.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The words behind every "is no" that should be "is not a".
fn is_no(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split(' ').collect();
    let bad = |w: &&[&str]| {
        let after = w[3].trim_end_matches(|c: char| !c.is_alphanumeric());
        matches!(w[1], "is" | "are")
            && w[2] == "no"
            && !["there", "where", "which"].iter().any(|word| w[0].ends_with(word))
            && !ALLOWED_AFTER.contains(&after)
            && after.chars().all(char::is_alphanumeric)
    };
    words.windows(4).filter(bad).map(|w| w[3]).collect()
}

/// Texts of the repository: sources, documentation, configuration.
fn texts() -> Vec<(String, String)> {
    let root = super::repository();
    let mut found = Vec::new();
    for name in ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", ".github/SECURITY.md", "media.toml"] {
        found.push((name.to_owned(), fs_err::read_to_string(root.join(name)).unwrap()));
    }
    for dir in ["crates", "docs", "fuzz/src", "lab/src", "maintain/src", "xtask/src"] {
        for file in buildexec::tree::files(&root.join(dir)).unwrap() {
            let is_text = file.extension().is_some_and(|e| ["rs", "md", "html"].contains(&e));
            let path = format!("{dir}/{file}");
            if is_text && path != "docs/style.md" {
                found.push((path.clone(), fs_err::read_to_string(root.join(&path)).unwrap()));
            }
        }
    }
    assert!(found.len() > 200, "the texts were not found");
    found
}

#[test]
fn turns_that_a_native_reader_stumbles_over_do_not_come_back() {
    let mut wrong = Vec::new();
    for (file, text) in texts() {
        let text = read(&text);
        for (phrase, better) in BANNED.iter().filter(|(phrase, _)| text.contains(phrase)) {
            wrong.push(format!("{file}: \"{phrase}\": write {better}"));
        }
        wrong.extend(is_no(&text).iter().map(|word| format!("{file}: \"is no {word}\": write \"is not …\"")));
    }
    assert!(wrong.is_empty(), "docs/style.md says how to write:\n{}", wrong.join("\n"));
}

#[test]
fn a_doc_comment_says_more_than_the_name_below_it() {
    let mut wrong = Vec::new();
    for (file, text) in texts().into_iter().filter(|(file, _)| file.ends_with(".rs")) {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let Some(doc) = pair[0].strip_prefix("/// ").and_then(|d| d.strip_suffix('.')) else { continue };
            let Some((start, word)) = doc.split_once(' ') else { continue };
            let name = pair[1].strip_prefix("pub ").and_then(|code| code.split(':').next());
            if ["Its", "The"].contains(&start) && name.is_some_and(|name| name.contains(word)) {
                wrong.push(format!("{file}: `{}` above `{}`", pair[0], pair[1]));
            }
        }
    }
    assert!(wrong.is_empty(), "say meaning, unit or source, or make it private:\n{}", wrong.join("\n"));
}

#[test]
fn the_turn_is_found_across_lines_and_its_neighbours_are_let_be() {
    let text = read("/// A word that is\n/// no key. There is no\n// file, and it is no longer there.\n");
    assert_eq!(is_no(&text), ["key."]);
}
