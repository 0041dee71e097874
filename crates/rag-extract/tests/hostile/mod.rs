//! What a reader taken over by a file could try: free as any program may, `limited` by what needs no new kernel, or
//! `confined`. It says what came of it.
use std::fs;
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;

use rag_extract::confine::{Limits, confine, confine_by_limits};

/// Tries, and says what came of it.
pub fn run(how: &str, attempt: &str) {
    let limits = Limits { memory: 256 << 20, seconds: 1, output: 1 << 20 };
    match how {
        "free" => {}
        "limited" => confine_by_limits(&limits).expect("limits"),
        _ => drop(confine(&limits).expect("confinement")),
    }
    match attempt_of(attempt) {
        Ok(()) => println!("done"),
        Err(error) => println!("refused: {error}"),
    }
}

fn attempt_of(attempt: &str) -> io::Result<()> {
    match attempt {
        "open" => fs::File::open("/etc/passwd").map(drop),
        "list" => fs::read_dir("/").map(drop),
        "write" => fs::write("/tmp/hostile", "x").and_then(|()| fs::remove_file("/tmp/hostile")),
        "stat" => fs::metadata("/etc/passwd").map(drop),
        "inherited" => call(|| {
            let mut byte = [0_u8];
            // SAFETY: the byte outlives the call. The caller left this descriptor open.
            unsafe { libc::read(9, byte.as_mut_ptr().cast(), 1) as i32 }
        }),
        "tcp" => match TcpStream::connect("127.0.0.1:9") {
            // Nobody listens there; that a connection was tried is enough.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            other => other.map(drop),
        },
        "udp" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "unix" => UnixStream::pair().map(drop),
        "exec" => Command::new("/bin/true").status().map(drop),
        // SAFETY: the child ends at once, and the parent waits for it.
        "fork" => call(|| unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(0);
            }
            if child > 0 { libc::waitpid(child, std::ptr::null_mut(), 0) } else { child }
        }),
        "thread" => std::thread::Builder::new().spawn(|| ()).map(|thread| drop(thread.join())),
        // SAFETY: signal 0 only asks whether the parent could be sent one.
        "signal" => call(|| unsafe { libc::kill(libc::getppid(), 0) }),
        "code" => call(|| {
            // SAFETY: a new mapping, which nothing uses.
            let page = unsafe {
                let rights = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
                let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                libc::mmap(std::ptr::null_mut(), 4096, rights, kind, -1, 0)
            };
            if page == libc::MAP_FAILED { -1 } else { 0 }
        }),
        // SAFETY: a memory file that nothing uses.
        "memfd" => call(|| unsafe { libc::memfd_create(c"x".as_ptr(), 0) }),
        // SAFETY: raising one's own limits takes a structure that outlives the call.
        "limits" => call(|| unsafe {
            let limit = libc::rlimit { rlim_cur: 1 << 40, rlim_max: 1 << 40 };
            libc::setrlimit(libc::RLIMIT_AS, &raw const limit)
        }),
        "memory" => {
            let mut hoard = Vec::new();
            for _ in 0..1024 {
                hoard.push(vec![1_u8; 1 << 20]);
            }
            std::hint::black_box(hoard);
            Ok(())
        }
        "spin" => {
            let mut n = 0_u64;
            // Some seconds of work beyond the limit.
            while n < 20_000_000_000 {
                n = std::hint::black_box(n + 1);
            }
            Ok(())
        }
        "deaf" => {
            // Without the signals that ask a process to end; SIGKILL cannot be refused.
            // SAFETY: the set outlives the calls that fill and use it.
            unsafe {
                let mut all: libc::sigset_t = std::mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::sigprocmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
            }
            attempt_of("spin")
        }
        "wait" => {
            let mut byte = [0_u8];
            io::Read::read(&mut io::stdin(), &mut byte).map(drop)
        }
        other => panic!("no attempt is called {other}"),
    }
}

fn call(attempt: impl Fn() -> libc::c_int) -> io::Result<()> {
    if attempt() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
