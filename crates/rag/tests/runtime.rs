//! A missing, foreign or old ONNX Runtime is one readable error. A process loads it once, so this is
//! a process of its own.
use rag::model::runtime;
use std::path::{Path, PathBuf};
use std::process::Command;

fn refusal(path: &Path) -> String {
    let error = runtime::environment(path).expect_err("this is no usable ONNX Runtime");
    assert_eq!(error.sqlstate(), "F0000");
    assert!(error.hint().is_some_and(|hint| hint.contains("rag_pg.onnxruntime_path")), "{error:?}");
    error.message().to_owned()
}

/// A library that says it is ONNX Runtime 1.10.
const OLD: &str = r#"
#[repr(C)]
pub struct Base { api: extern "C" fn(u32) -> *const u8, version: extern "C" fn() -> *const u8 }
extern "C" fn api(_: u32) -> *const u8 { std::ptr::null() }
extern "C" fn version() -> *const u8 { b"1.10.0\0".as_ptr() }
static BASE: Base = Base { api, version };
#[no_mangle]
pub extern "C" fn OrtGetApiBase() -> *const Base { &BASE }
"#;

fn compile(directory: &Path, name: &str, source: &str) -> PathBuf {
    let (source_path, library) = (directory.join(name).with_extension("rs"), directory.join(name));
    std::fs::write(&source_path, source).unwrap();
    let status = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()))
        .args(["--edition=2021", "--crate-type=cdylib", "-o"])
        .args([&library, &source_path])
        .status();
    assert!(status.expect("rustc runs").success());
    library
}

#[test]
fn unusable_libraries_are_refused_and_a_usable_one_still_loads() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);

    assert!(refusal(Path::new("libonnxruntime.so")).contains("is not absolute"));
    assert!(refusal(&path("missing.so")).contains("is not installed"));
    std::fs::write(path("text.so"), "not a library").unwrap();
    assert!(refusal(&path("text.so")).contains("could not load"));
    let foreign = compile(directory.path(), "foreign", "");
    assert!(refusal(&foreign).contains("is not ONNX Runtime"));
    let old = compile(directory.path(), "old", OLD);
    assert!(refusal(&old).contains("1.10.0"));

    assert!(!runtime::is_loaded());
    let library = std::env::var("ORT_DYLIB_PATH")
        .unwrap_or_else(|_| "/usr/local/lib/rag_pg/libonnxruntime.so".into());
    runtime::environment(Path::new(&library)).expect("make setup installs ONNX Runtime");
    assert!(runtime::is_loaded());
    // The path counts once.
    runtime::environment(Path::new("/nonexistent")).expect("it is loaded already");
}
