//! `#[test]` for the suite: the harness in `tests/suite/harness.rs` runs what carries it. libtest's own cannot say
//! while it runs that a test was skipped.

use proc_macro::{TokenStream, TokenTree};

/// Makes a function a test, under the name that libtest would give it.
///
/// # Panics
/// On anything but a function: the compiler shows the text.
#[proc_macro_attribute]
pub fn test(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut tokens = item.clone().into_iter();
    let is_fn = |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn");
    assert!(tokens.any(|token| is_fn(&token)), "only a function is a test");
    let name = tokens.next().expect("a function has a name");
    let entry = format!(
        "inventory::submit! {{ crate::harness::Test {{ name: concat!(module_path!(), \"::{name}\"), run: {name} }} }}"
    );
    let entry: TokenStream = entry.parse().expect("it is Rust");
    item.into_iter().chain(entry).collect()
}
