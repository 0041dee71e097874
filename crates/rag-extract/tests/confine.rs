//! A reader that a file has taken over reaches nothing: it tries, free and confined. The program of this test is that reader
//! too, since a confined process has one thread, which the usual harness does not leave it.
#![allow(unsafe_code)]
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, Output, Stdio};

mod hostile;

#[global_allocator]
static ALLOCATOR: rag_extract::fatal::Bounded = rag_extract::fatal::Bounded;

const TESTS: [(&str, fn()); 5] = [
    (
        "files_network_processes_and_code_are_out_of_reach",
        files_network_processes_and_code_are_out_of_reach,
    ),
    (
        "limits_alone_keep_from_files_network_and_processes",
        limits_alone_keep_from_files_network_and_processes,
    ),
    (
        "memory_beyond_the_limit_ends_the_process_with_a_frame",
        memory_beyond_the_limit_ends_the_process_with_a_frame,
    ),
    (
        "time_beyond_the_limit_ends_the_process_with_a_frame",
        time_beyond_the_limit_ends_the_process_with_a_frame,
    ),
    (
        "a_process_that_blocks_signals_is_killed_at_its_limit",
        a_process_that_blocks_signals_is_killed_at_its_limit,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mark, how, attempt] = arguments.as_slice()
        && mark == "--hostile"
    {
        hostile::run(how, attempt);
        return ExitCode::SUCCESS;
    }
    let words: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let (mut passed, mut failed, mut filtered) = (0, 0, 0);
    for (name, test) in TESTS {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            filtered += 1;
        } else if std::panic::catch_unwind(test).is_ok() {
            passed += 1;
            println!("test {name} ... ok");
        } else {
            failed += 1;
            println!("test {name} ... FAILED");
        }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered} filtered out\n"
    );
    ExitCode::from(u8::from(failed > 0))
}

fn attempt(how: &str, attempt: &str) -> Output {
    let program = std::env::current_exe().expect("this program");
    let secret = File::open("/etc/passwd").expect("a file to inherit");
    let descriptor = secret.as_raw_fd();
    let mut command = Command::new(program);
    command.args(["--hostile", how, attempt]).stdin(Stdio::piped());
    // SAFETY: duplicating a descriptor is what a child may do before it runs another program.
    unsafe {
        command.pre_exec(move || {
            libc::dup2(descriptor, 9);
            Ok(())
        });
    }
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("this program");
    // Kept open, so that one that reads waits.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().expect("its output");
    drop(stdin);
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

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
    for what in attempts {
        assert_eq!(said(&attempt("free", what)), "done", "{what} can be done at all");
        let output = attempt("confined", what);
        let said = said(&output);
        assert!(said.starts_with("refused: "), "{what}: {said:?} {output:?}");
    }
    assert!(said(&attempt("confined", "limits")).starts_with("refused: "));
}

fn limits_alone_keep_from_files_network_and_processes() {
    let attempts = [
        "open",
        "list",
        "write",
        "inherited",
        "tcp",
        "udp",
        "unix",
        "exec",
        "fork",
        "thread",
        "memfd",
        "limits",
    ];
    for what in attempts {
        let said = said(&attempt("limited", what));
        assert!(said.starts_with("refused: "), "{what}: {said:?}");
    }
    let output = attempt("limited", "memory");
    assert!(said(&output).contains(r#"{"error":{"class":"too_large""#), "{output:?}");
}

fn memory_beyond_the_limit_ends_the_process_with_a_frame() {
    assert_eq!(said(&attempt("free", "memory")), "done");
    let output = attempt("confined", "memory");
    assert!(said(&output).contains(r#"{"error":{"class":"too_large""#), "{output:?}");
    assert_eq!(output.status.code(), Some(0));
}

fn time_beyond_the_limit_ends_the_process_with_a_frame() {
    for what in ["spin", "wait"] {
        let output = attempt("confined", what);
        assert!(said(&output).contains(r#"{"error":{"class":"timeout""#), "{what}: {output:?}");
        assert_eq!(output.status.code(), Some(0), "{what}");
    }
}

fn a_process_that_blocks_signals_is_killed_at_its_limit() {
    let output = attempt("confined", "deaf");
    assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{output:?}");
}
