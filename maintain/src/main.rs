//! What `cargo xtask` hands the maintainers' commands to.

fn main() -> std::process::ExitCode {
    xtask::start(maintain::run)
}
