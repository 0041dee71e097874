//! A reader that a file has taken over reaches nothing: it tries (`examples/hostile.rs`), free and confined.
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn hostile(how: &str, attempt: &str) -> Output {
    let mut program = PathBuf::from(env!("CARGO_BIN_EXE_rag-extract"));
    program.set_file_name("examples");
    program.push("hostile");
    let secret = File::open("/etc/passwd").expect("a file to inherit");
    let descriptor = secret.as_raw_fd();
    let mut command = Command::new(program);
    command.args([how, attempt]).stdin(Stdio::piped());
    #[allow(unsafe_code)]
    // SAFETY: duplicating a descriptor is what a child may do before it runs another program.
    unsafe {
        command.pre_exec(move || {
            libc::dup2(descriptor, 9);
            Ok(())
        });
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("hostile");
    // Kept open, so that one that reads waits.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().expect("its output");
    drop(stdin);
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn files_network_processes_and_code_are_out_of_reach() {
    let attempts = [
        "open",
        "list",
        "write",
        "stat",
        "inherited",
        "tcp",
        "udp",
        "unix",
        "exec",
        "fork",
        "thread",
        "signal",
        "code",
        "memfd",
    ];
    for attempt in attempts {
        assert_eq!(said(&hostile("free", attempt)), "done", "{attempt} can be done at all");
        let output = hostile("confined", attempt);
        let said = said(&output);
        assert!(said.starts_with("refused: "), "{attempt}: {said:?} {output:?}");
    }
    assert!(said(&hostile("confined", "limits")).starts_with("refused: "));
}

#[test]
fn memory_beyond_the_limit_ends_the_process_with_a_frame() {
    assert_eq!(said(&hostile("free", "memory")), "done");
    let output = hostile("confined", "memory");
    assert!(said(&output).contains(r#"{"error":{"class":"too_large""#), "{output:?}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn time_beyond_the_limit_ends_the_process_with_a_frame() {
    for attempt in ["spin", "wait"] {
        let output = hostile("confined", attempt);
        assert!(said(&output).contains(r#"{"error":{"class":"timeout""#), "{attempt}: {output:?}");
        assert_eq!(output.status.code(), Some(0), "{attempt}");
    }
}

#[test]
fn a_process_that_blocks_signals_is_killed_at_its_limit() {
    let output = hostile("confined", "deaf");
    assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{output:?}");
}
