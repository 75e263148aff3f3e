//! PEM texts with several blocks: a key and the certificates that go with it.

const BEGIN: &str = "-----BEGIN ";

/// The blocks of a text, each with its label. What stands between them is for people.
pub(crate) fn blocks(text: &str) -> Vec<(&str, &str)> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        rest = &rest[at..];
        let Some((label, _)) = rest[BEGIN.len()..].split_once("-----") else { break };
        let end = format!("-----END {label}-----");
        let Some(len) = rest.find(&end).map(|at| at + end.len()) else { break };
        blocks.push((label, &rest[..len]));
        rest = &rest[len..];
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_remarks_and_a_block_without_an_end_is_none() {
        let text = "hello\n-----BEGIN A-----\nAAAA\n-----END A-----\n\n-----BEGIN B C-----\nBBBB\n-----END B C-----\n-----BEGIN D-----\n";
        let found = blocks(text);
        assert_eq!(found.iter().map(|(l, _)| *l).collect::<Vec<_>>(), ["A", "B C"]);
        assert_eq!(found[0].1, "-----BEGIN A-----\nAAAA\n-----END A-----");
    }
}
