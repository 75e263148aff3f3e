//! The boot script for one requester: its `base-url` names the host the requester reached us under. Pure.

/// The `base-url` of a script: the first word after `set base-url` in the first line that sets it plainly.
#[must_use]
pub fn base_url(script: &str) -> Option<&str> {
    script.lines().find_map(|l| split(l).map(|(_, url, _)| url))
}

/// Puts `<scheme>://<host>` before the path of each address that `base-url` is plainly set to.
///
/// A value made of other settings (`${…}`) is computed by iPXE itself and stays.
#[must_use]
pub(crate) fn for_host(script: &str, scheme: &str, host: &str) -> String {
    let line = |l: &str| match split(l) {
        Some((before, url, after)) => format!("{before}{scheme}://{host}{}{after}", path(url)),
        None => l.to_owned(),
    };
    script.split_inclusive('\n').map(line).collect()
}

/// What follows the host in an address: empty, or beginning with a slash.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |at| &rest[at..])
}

/// Parts of a line around the address: `isset ${x} || set base-url ` + address + the rest.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    const SET: &str = "set base-url ";
    let code = line.trim_start();
    if code.starts_with('#') {
        return None;
    }
    let at = line.find(SET)?;
    // `preset base-url` would be another word.
    if line[..at].chars().next_back().is_some_and(|c| !c.is_whitespace()) {
        return None;
    }
    let (before, rest) = line.split_at(at + SET.len());
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (url, after) = rest.split_at(end);
    (url.starts_with("http") && !url.contains("${")).then_some((before, url, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_changes() {
        let script = "#!ipxe\n# set base-url http://comment\nset base-url http://192.168.56.1:8089/x\nkernel ${base-url}/vmlinuz\n";
        let made = for_host(script, "http", "10.0.0.1:80");
        let want = "#!ipxe\n# set base-url http://comment\nset base-url http://10.0.0.1:80/x\nkernel ${base-url}/vmlinuz\n";
        assert_eq!(made, want);
        assert_eq!(base_url(script), Some("http://192.168.56.1:8089/x"));
    }

    #[test]
    fn a_guarded_setting_and_odd_line_ends_survive() {
        assert_eq!(
            for_host("isset ${base-url} || set base-url http://a/b \r\nend", "https", "h"),
            "isset ${base-url} || set base-url https://h/b \r\nend"
        );
    }

    #[test]
    fn what_ipxe_computes_is_left_alone() {
        for script in
            ["set base-url http://${next-server}/x\n", "preset base-url http://a\n", "set other http://a\n"]
        {
            assert_eq!(for_host(script, "http", "h"), script);
        }
    }
}
