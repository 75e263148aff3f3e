//! The live view for a browser: one embedded file that asks for `events.json` once a second.

use super::boot::MachineLine;

/// The page; it loads nothing else, so it works on a network that leads nowhere.
pub(super) const HTML: &str = include_str!("page.html");
/// Allows the page what is inside it and our own `events.json`, and nothing else.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                                 connect-src 'self'; img-src data:; frame-ancestors 'none'";

/// What the page shows.
pub(super) fn json(lines: &[MachineLine]) -> Vec<u8> {
    serde_json::json!({ "machines": lines }).to_string().into_bytes()
}
