//! What a process gives up before it reads a byte that another wrote.
//!
//! Resource limits always hold. Landlock and seccomp hold where the kernel has them, and a process
//! of root becomes nobody. What stays is reading standard input, writing standard output, and
//! memory up to the limit.
#![allow(unsafe_code)]
use std::collections::BTreeMap;
use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::fatal;

/// What the process may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of address space.
    pub memory: u64,
    /// Seconds of processor time; four times as many may pass on the clock.
    pub seconds: u64,
    /// Bytes that standard output may have where it is a file.
    pub output: u64,
}

/// Which parts are in force.
#[derive(Clone, Copy, Debug)]
pub struct Confinement {
    /// No path and no network, by Landlock.
    pub landlock: bool,
    /// No system calls but a few.
    pub seccomp: bool,
    /// Whether the process was root and is nobody now.
    pub user_dropped: bool,
}

const NOBODY: u32 = 65534;

/// Confines the calling process, which has one thread.
pub fn confine(limits: &Limits) -> io::Result<Confinement> {
    let user_dropped = give_up()?;
    // Landlock's rules are a file descriptor while they are made, so limits come behind it.
    let landlock = forbid_paths();
    limit(limits)?;
    expire(limits)?;
    let seccomp = filter_calls();
    Ok(Confinement { landlock, seccomp, user_dropped })
}

/// What holds where the kernel has neither Landlock nor seccomp.
pub fn confine_by_limits(limits: &Limits) -> io::Result<()> {
    give_up()?;
    limit(limits)?;
    expire(limits)
}

/// Gives up descriptors, user and privileges; tells whether the process was root.
fn give_up() -> io::Result<bool> {
    close_inherited();
    let user_dropped = drop_user()?;
    // After the change of user, which clears the signal of a parent's death.
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)?;
    prctl(libc::PR_SET_DUMPABLE, 0)?;
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    Ok(user_dropped)
}

/// Closes what the parent left open: a backend has files of the database among them.
fn close_inherited() {
    // SAFETY: nothing in this process owns a descriptor beyond the three standard ones.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if done != 0 {
        for descriptor in 3..65536 {
            // SAFETY: as above; one that is not open is an error that does not matter.
            unsafe { libc::close(descriptor) };
        }
    }
}

fn drop_user() -> io::Result<bool> {
    // SAFETY: these calls take plain numbers and change the process's credentials only.
    unsafe {
        if libc::geteuid() != 0 {
            return Ok(false);
        }
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setresgid(NOBODY, NOBODY, NOBODY))?;
        check(libc::setresuid(NOBODY, NOBODY, NOBODY))?;
    }
    Ok(true)
}

fn limit(limits: &Limits) -> io::Result<()> {
    let output = if writes_to_file() { limits.output } else { 0 };
    for (resource, soft, hard) in [
        (libc::RLIMIT_AS, limits.memory, limits.memory),
        (libc::RLIMIT_CPU, limits.seconds, limits.seconds + 1),
        (libc::RLIMIT_FSIZE, output, output),
        (libc::RLIMIT_NOFILE, 0, 0),
        (libc::RLIMIT_NPROC, 0, 0),
        (libc::RLIMIT_CORE, 0, 0),
    ] {
        let value = libc::rlimit { rlim_cur: soft, rlim_max: hard };
        // SAFETY: the structure outlives the call.
        check(unsafe { libc::setrlimit(resource, &raw const value) })?;
    }
    Ok(())
}

fn writes_to_file() -> bool {
    // SAFETY: all zeros is a valid `stat`, which the call fills in.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure outlives the call.
    let known = unsafe { libc::fstat(1, &raw mut stat) } == 0;
    known && stat.st_mode & libc::S_IFMT == libc::S_IFREG
}

/// Ends the process with a frame when its time is over.
fn expire(limits: &Limits) -> io::Result<()> {
    for signal in [libc::SIGXCPU, libc::SIGALRM] {
        let handler: extern "C" fn(libc::c_int) = fatal::out_of_time;
        // SAFETY: all zeros is a valid `sigaction`; the handler calls only what a handler may.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as libc::sighandler_t;
            check(libc::sigaction(signal, &raw const action, std::ptr::null_mut()))?;
        }
    }
    let clock = u32::try_from(limits.seconds.saturating_mul(4)).unwrap_or(u32::MAX);
    // SAFETY: takes a number. No alarm of another is set.
    unsafe { libc::alarm(clock) };
    Ok(())
}

/// No path, no network, no signal to others.
fn forbid_paths() -> bool {
    let restrict = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V5))?
            .handle_access(AccessNet::from_all(ABI::V5))?
            .scope(Scope::from_all(ABI::V6))?
            .create()?
            .restrict_self()
    };
    restrict().is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

/// Lets through what reading, computing, writing and ending need; all else fails with EPERM.
fn filter_calls() -> bool {
    program().is_some_and(|program| seccompiler::apply_filter(&program).is_ok())
}

fn program() -> Option<BpfProgram> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    let is = |argument, value| {
        let equal = SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            u64::from(value),
        );
        SeccompRule::new(vec![equal.ok()?]).ok()
    };
    // What is mapped may not be run: all code is loaded by now.
    let not_executable = || {
        let operator = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
        let none = SeccompCondition::new(2, SeccompCmpArgLen::Dword, operator, 0);
        SeccompRule::new(vec![none.ok()?]).ok()
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = [
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_fstat,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_lseek,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
    ]
    .into_iter()
    .map(|call| (call, Vec::new()))
    .collect();
    rules.insert(libc::SYS_read, vec![is(0, 0)?]);
    rules.insert(libc::SYS_write, vec![is(0, 1)?, is(0, 2)?]);
    rules.insert(libc::SYS_mmap, vec![not_executable()?]);
    rules.insert(libc::SYS_mprotect, vec![not_executable()?]);
    // abort() sends itself a signal.
    rules.insert(libc::SYS_tgkill, vec![is(0, std::process::id())?]);
    SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
        architecture,
    )
    .ok()?
    .try_into()
    .ok()
}

fn prctl(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: these options take a number.
    check(unsafe { libc::prctl(option, value, 0, 0, 0) })
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
