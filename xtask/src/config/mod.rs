//! What `media.toml` and `media.lock` say: raw text to checked types. Pure.
