//! Tries work in a forked child, so that nothing it does can harm this process.
use rag::{Error, Result};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::FromRawFd;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

/// Longest a trial may take. Loading a model of 1 GB takes seconds.
const TIMEOUT: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Runs `work` in a child of this process, which must have one thread. An error of the child comes
/// back with message, detail and hint; a crash or a hang is an error too.
pub fn run(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let (read, write) = pipe()?;
    // SAFETY: there is one thread, so the child may do what this process may. It leaves through
    // _exit, past every exit handler it inherited.
    match unsafe { libc::fork() } {
        -1 => Err(cannot_try(&std::io::Error::last_os_error())),
        0 => {
            drop(read);
            in_child(work, write)
        }
        child => {
            drop(write);
            supervise(child, read)
        }
    }
}

fn in_child(work: impl FnOnce() -> Result<()>, mut write: File) -> ! {
    // SAFETY: asks the kernel to end this process with its parent.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let outcome = panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let what = payload.downcast_ref::<String>().map(String::as_str);
        let what = what.or_else(|| payload.downcast_ref::<&str>().copied());
        Err(Error::configuration("loading the model panicked")
            .with_detail(what.unwrap_or("unknown")))
    });
    if let Err(error) = &outcome {
        let parts = [Some(error.message()), error.detail(), error.hint()];
        let lines = parts.map(|part| part.unwrap_or_default().replace('\n', " "));
        // A report that cannot be written shows as a failure without a reason.
        let _ = write.write_all(lines.join("\n").as_bytes());
    }
    // SAFETY: ends this process and nothing else.
    unsafe { libc::_exit(i32::from(outcome.is_err())) }
}

fn supervise(child: libc::pid_t, mut read: File) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    let mut status = 0;
    loop {
        // SAFETY: waits for our own child; `status` outlives the call.
        match unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } {
            0 if Instant::now() < deadline => std::thread::sleep(POLL_INTERVAL),
            0 => {
                // SAFETY: our own child, not yet waited for.
                unsafe {
                    libc::kill(child, libc::SIGKILL);
                    libc::waitpid(child, &raw mut status, 0);
                }
                let seconds = TIMEOUT.as_secs();
                return Err(Error::configuration("loading the model took too long")
                    .with_detail(format!("It was given up after {seconds} s.")));
            }
            -1 if std::io::Error::last_os_error().kind() == ErrorKind::Interrupted => {}
            -1 => return Err(cannot_try(&std::io::Error::last_os_error())),
            _ => break,
        }
    }
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        return Err(Error::configuration("loading the model crashed")
            .with_detail(format!("The trial process was ended by signal {signal}.")));
    }
    if libc::WEXITSTATUS(status) == 0 {
        return Ok(());
    }
    let mut report = String::new();
    let _ = read.read_to_string(&mut report);
    Err(parse(&report))
}

fn parse(report: &str) -> Error {
    let mut lines = report.split('\n').map(str::to_owned);
    let mut next = || lines.next().filter(|line| !line.is_empty());
    let mut error =
        Error::configuration(next().unwrap_or_else(|| "loading the model failed".into()));
    if let Some(detail) = next() {
        error = error.with_detail(detail);
    }
    if let Some(hint) = next() {
        error = error.with_hint(hint);
    }
    error
}

fn pipe() -> Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors, which become owned by the files.
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(cannot_try(&std::io::Error::last_os_error()));
        }
        Ok((File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])))
    }
}

fn cannot_try(error: &std::io::Error) -> Error {
    Error::io("could not try the model in a child process").with_detail(error.to_string())
}
