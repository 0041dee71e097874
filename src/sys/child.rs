//! Programs that this process runs: confined, fed and read in one loop that serves interrupts, and ended with it.
//!
//! Only the main thread starts programs: the kernel ends a program when the thread that started it ends.
#![allow(unsafe_code)] // what is set between fork and exec, and waiting for a process

use rag::{Error, Result};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Most time between two looks at interrupts. A signal ends a wait at once.
const TICK: Duration = Duration::from_millis(50);
/// How long a program may go on after it has closed its output, or said all.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes read or written at once, as many as a pipe is asked to hold.
const PIECE: usize = 256 << 10;
/// Most bytes of what it writes to standard error that are kept.
const COMPLAINT: usize = 2_000;
/// Most open files of a program.
const FILES: u64 = 64;

/// What to run, and how far it may go.
pub struct Program<'a> {
    /// Its path.
    pub path: &'a str,
    pub arguments: Vec<String>,
    /// All of its environment.
    pub environment: &'a [(&'a str, &'a str)],
    /// Its standard input.
    pub input: &'a [u8],
    /// Longest time, of the clock and of processors.
    pub time: Duration,
    /// Most bytes of address space.
    pub memory: u64,
    /// Whether it may start processes of its own, and write files.
    pub is_trusted: bool,
}

/// How a program ended.
#[derive(Debug)]
pub struct Report {
    pub end: End,
    /// The start of what it wrote to standard error.
    pub complaint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit status.
    Exited(i32),
    /// By a signal that was not ours.
    Signaled(i32),
    /// It was killed: it had no time left.
    TimedOut,
    /// It was killed: it did not end although it had said all, or its output was refused.
    Killed,
}

/// What a reader of a program's output says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    GoesOn,
    /// Nothing more is expected.
    IsDone,
    /// The program is to be killed.
    Refused,
}

/// Runs a program to its end. `read` gets its output, piece by piece. An error is one of `checkpoint`, or that the program
/// could not be started; the program is dead then.
pub fn run(
    program: &Program<'_>,
    mut read: impl FnMut(&[u8]) -> Reading,
    mut checkpoint: impl FnMut() -> Result<()>,
) -> Result<Report> {
    let mut running = Running::start(program)?;
    let mut pipes = Pipes::of(&mut running.0, program.input)?;
    let deadline = Instant::now() + program.time;
    let mut last = deadline;
    let mut piece = vec![0; PIECE];
    let end = loop {
        checkpoint()?;
        // Asked before the pipe is read: what it wrote before its end is there.
        let ended = running.ended()?;
        let now = Instant::now();
        if ended.is_none() {
            if now >= last {
                break if last == deadline { End::TimedOut } else { End::Killed };
            }
            pipes.wait(TICK.min(last - now));
        }
        pipes.feed();
        pipes.complain();
        let length = pipes.take(&mut piece);
        let reading = if length > 0 { read(&piece[..length]) } else { Reading::GoesOn };
        match (reading, ended) {
            (Reading::Refused, _) => break End::Killed,
            // A process that it started may keep the pipe open.
            (_, Some(end)) if length == 0 => break end,
            (Reading::IsDone, _) => last = last.min(now + GRACE),
            _ if pipes.output.is_none() => last = last.min(now + GRACE),
            _ => {}
        }
    };
    pipes.complain();
    drop(running);
    Ok(Report { end, complaint: String::from_utf8_lossy(&pipes.complaint).into_owned() })
}

/// A program that runs, or was not waited for yet. Dropping it ends it, and whatever it started.
struct Running(Child);

impl Running {
    fn start(program: &Program<'_>) -> Result<Self> {
        let (time, memory, is_trusted) = (program.time, program.memory, program.is_trusted);
        // SAFETY: names this process.
        let parent = unsafe { libc::getpid() };
        let mut command = Command::new(program.path);
        command
            .args(&program.arguments)
            .env_clear()
            .envs(program.environment.iter().copied())
            .current_dir("/")
            // A group of its own, so that all of it can be killed.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // SAFETY: the closure makes system calls alone: between fork and exec nothing else is safe.
        unsafe { command.pre_exec(move || confine(parent, time, memory, is_trusted)) };
        let started = with_signals_blocked(|| command.spawn());
        started.map(Self).map_err(|error| cannot_run(program.path, &error))
    }

    /// How it ended, if it has.
    fn ended(&self) -> Result<Option<End>> {
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: fills in the struct, which is read where a process has ended. Its number stays taken until it is dropped:
        // no other process can be killed instead.
        let (result, code, status) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let result = libc::waitid(libc::P_PID, self.0.id(), &raw mut info, options);
            (result, info.si_code, info.si_status())
        };
        match (check(result), code) {
            (Ok(()), 0) => Ok(None),
            (Ok(()), libc::CLD_EXITED) => Ok(Some(End::Exited(status))),
            (Ok(()), _) => Ok(Some(End::Signaled(status))),
            (Err(error), _) => {
                Err(Error::io("could not wait for a program").with_detail(error.to_string()))
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = self.0.id().cast_signed();
        // SAFETY: signals a group that we made, whose first process was not waited for yet.
        unsafe { libc::kill(-group, libc::SIGKILL) };
        // A killed process ends at once.
        let _ = self.0.wait();
    }
}

/// Runs in the new process before the program: it ends with this process, has no open files of ours, and has limits.
fn confine(parent: libc::pid_t, time: Duration, memory: u64, is_trusted: bool) -> io::Result<()> {
    let limit = |what, most: u64| {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: reads the struct.
        check(unsafe { libc::setrlimit(what, &raw const limit) })
    };
    // SAFETY: system calls on this process alone.
    unsafe {
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        if libc::getppid() != parent {
            libc::_exit(1); // It ended before it could be watched.
        }
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        close_others();
    }
    limit(libc::RLIMIT_CORE, 0)?;
    limit(libc::RLIMIT_AS, memory)?;
    limit(libc::RLIMIT_CPU, time.as_secs() + 1)?;
    limit(libc::RLIMIT_NOFILE, FILES)?;
    if !is_trusted {
        limit(libc::RLIMIT_FSIZE, 0)?;
        limit(libc::RLIMIT_NPROC, 0)?;
    }
    // SAFETY: as above. What is ignored, and what is blocked, outlives exec: nothing is, from here on.
    unsafe {
        for signal in 1..=LAST_SIGNAL {
            reset(signal);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    Ok(())
}

/// The last signal there is.
const LAST_SIGNAL: libc::c_int = 64;

/// Gives a signal its default action. The kernel is asked, as the C library refuses for the signals of its own, which whatever
/// started the server may have ignored. Of SIGKILL and SIGSTOP the kernel refuses it, which does no harm.
unsafe fn reset(signal: libc::c_int) {
    // A sigaction of the kernel's, whose size differs between processors: SIG_DFL, and no flags.
    let default = [0_u64; 4];
    let before: *mut u64 = std::ptr::null_mut();
    // SAFETY: reads no more than the array.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), before, SIGNAL_SET_BYTES);
    }
}

/// The size of a set of signals in the kernel: a bit each.
const SIGNAL_SET_BYTES: usize = LAST_SIGNAL as usize / 8;

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Marks all descriptors but the first three to be closed by exec: sockets of clients and files of tables are among them.
unsafe fn close_others() {
    const CLOSE_ON_EXEC: libc::c_uint = 1 << 2; // CLOSE_RANGE_CLOEXEC
    // SAFETY: changes flags of descriptors of this process, a copy that is about to be replaced.
    unsafe {
        let (first, last): (libc::c_uint, libc::c_uint) = (3, libc::c_uint::MAX);
        if libc::syscall(libc::SYS_close_range, first, last, CLOSE_ON_EXEC) == 0 {
            return;
        }
        // Linux before 5.11.
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        for descriptor in 3..limit.rlim_cur.min(1 << 20) {
            libc::fcntl(descriptor as RawFd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

/// Signals are PostgreSQL's to handle, not for the copy of this process that becomes a program.
fn with_signals_blocked<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: the sets are initialized before they are read.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let result = body();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        result
    }
}

fn cannot_run(path: &str, error: &io::Error) -> Error {
    let message = format!("could not run program \"{path}\"");
    let failure = match error.kind() {
        ErrorKind::OutOfMemory => Error::out_of_memory(message),
        ErrorKind::WouldBlock => Error::io(message),
        _ => Error::configuration(message),
    };
    failure.with_detail(error.to_string())
}

/// Our ends of the program's pipes, none of which waits.
struct Pipes<'a> {
    input: Option<File>,
    /// What is left to write.
    rest: &'a [u8],
    output: Option<File>,
    errors: Option<File>,
    complaint: Vec<u8>,
}

impl<'a> Pipes<'a> {
    fn of(child: &mut Child, input: &'a [u8]) -> Result<Self> {
        let open = |pipe: Option<OwnedFd>| pipe.map(not_waiting).transpose();
        let mut pipes = || -> io::Result<Self> {
            Ok(Self {
                input: open(child.stdin.take().map(Into::into))?.filter(|_| !input.is_empty()),
                rest: input,
                output: open(child.stdout.take().map(Into::into))?,
                errors: open(child.stderr.take().map(Into::into))?,
                complaint: Vec::new(),
            })
        };
        pipes().map_err(|error| Error::io("could not make pipes").with_detail(error.to_string()))
    }

    /// Waits until a pipe is ready, a signal comes, or the time is over.
    fn wait(&self, most: Duration) {
        let poll = |file: &Option<File>, events| libc::pollfd {
            // A negative descriptor is passed over.
            fd: file.as_ref().map_or(-1, AsRawFd::as_raw_fd),
            events,
            revents: 0,
        };
        let mut polls = [
            poll(&self.input, libc::POLLOUT),
            poll(&self.output, libc::POLLIN),
            poll(&self.errors, libc::POLLIN),
        ];
        let milliseconds = most.as_millis().max(1) as libc::c_int;
        // SAFETY: an array of three that outlives the call. Whatever it returns, what is ready is tried.
        unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, milliseconds) };
    }

    /// Writes what the pipe takes. A program that reads no further gets no more.
    fn feed(&mut self) {
        let Some(pipe) = &mut self.input else { return };
        match pipe.write(&self.rest[..self.rest.len().min(PIECE)]) {
            Ok(length) => self.rest = &self.rest[length..],
            Err(error) if is_later(&error) => {}
            Err(_) => self.rest = &[],
        }
        if self.rest.is_empty() {
            self.input = None;
        }
    }

    /// Reads what there is of the output, 0 bytes if nothing is.
    fn take(&mut self, piece: &mut [u8]) -> usize {
        read_some(&mut self.output, piece)
    }

    /// Reads what there is of standard error, and keeps its start.
    fn complain(&mut self) {
        let mut piece = [0; 4_096];
        let length = read_some(&mut self.errors, &mut piece);
        let kept = length.min(COMPLAINT - self.complaint.len());
        self.complaint.extend_from_slice(&piece[..kept]);
    }
}

/// A closed pipe becomes `None`.
fn read_some(pipe: &mut Option<File>, piece: &mut [u8]) -> usize {
    let Some(open) = pipe else { return 0 };
    match open.read(piece) {
        Ok(length) if length > 0 => length,
        Err(error) if is_later(&error) => 0,
        _ => {
            *pipe = None;
            0
        }
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn not_waiting(pipe: OwnedFd) -> io::Result<File> {
    let descriptor = pipe.as_raw_fd();
    // SAFETY: a descriptor that we own. A pipe that cannot be made larger stays as it is.
    unsafe {
        libc::fcntl(descriptor, libc::F_SETPIPE_SZ, PIECE as libc::c_int);
        check(libc::fcntl(descriptor, libc::F_SETFL, libc::O_NONBLOCK))?;
    }
    Ok(pipe.into())
}
