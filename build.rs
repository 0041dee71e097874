//! Keeps pgrx's schema section in the extension's library, and tells it where its files are installed.
//!
//! `cargo pgrx` reads the SQL it generates from an ELF section that the linker's `--gc-sections`
//! may drop. It keeps the section by passing `--no-gc-sections` through rustflags, which rebuilds
//! every dependency a second time. The same argument for the cdylib alone lets the library,
//! `rag-model` and `rag-extract` come out of one build.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PREFIX");
    let prefix = std::env::var("PREFIX").unwrap_or_else(|_| "/usr/local".to_owned());
    println!("cargo:rustc-env=PREFIX={prefix}");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,--no-gc-sections");
    }
}
