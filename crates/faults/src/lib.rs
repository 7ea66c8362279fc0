//! A bad disk and a wrong clock for one process: functions of the C library that do what a page of memory says, and otherwise what they always
//! do.
//!
//! Loaded with `LD_PRELOAD` into a server under test. `SATGAS_FAULTS` names a file of [`PAGE_BYTES`] bytes, the page, which is mapped; whoever
//! holds the file changes the faults while the server runs, and reads what was done. Without the variable nothing is different.
//!
//! Why so: a device of the kernel that is slow or fails would need its modules and the rights of root on every machine that runs the tests,
//! tracing the process makes all its calls slow, and a fault inside the server would be code of the server. Here the binary is the one that is
//! shipped, and only what it asks of files at a position, and of the wall clock, is touched: that is how the log is read and written.
//! Sockets, and the clock by which deadlines run, are not.

use std::{
    fs::OpenOptions,
    os::fd::AsRawFd as _,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
};

use libc::{c_int, c_long, c_void, clockid_t, off_t, size_t, ssize_t, timespec};

/// Bytes of the page's file.
pub const PAGE_BYTES: usize = 4096;
/// The environment variable that names the page's file.
pub const VARIABLE: &str = "SATGAS_FAULTS";

/// The words of the page: each a signed number of 64 bits in the machine's own order, at eight times its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Word {
    /// Nanoseconds that the wall clock is ahead.
    ClockAhead,
    /// How many times as long reads, writes and syncs take; 0 and 1 are as long as ever.
    Slow,
    /// Microseconds that each sync takes longer.
    SyncMicros,
    /// Writes that still succeed before all fail with a full disk, and one more; 0 is any number.
    WritesLeft,
    /// Syncs that still succeed before all fail with an input/output error, and one more; 0 is any number.
    SyncsLeft,
    /// Reads that still succeed before all fail with an input/output error, and one more; 0 is any number.
    ReadsLeft,
    /// Counted here: writes.
    Writes,
    /// Counted here: syncs.
    Syncs,
    /// Counted here: reads.
    Reads,
    /// Counted here: calls that were made to fail.
    Failed,
    /// Counted here: microseconds that calls were held up.
    HeldMicros,
}

impl Word {
    /// Its place in the file.
    #[must_use]
    pub const fn offset(self) -> u64 {
        self as u64 * 8
    }
}

type Page = [AtomicI64; PAGE_BYTES / 8];

fn page() -> Option<&'static Page> {
    static PAGE: OnceLock<Option<&'static Page>> = OnceLock::new();
    *PAGE.get_or_init(|| {
        let file = OpenOptions::new().read(true).write(true).open(std::env::var_os(VARIABLE)?).ok()?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        #[expect(unsafe_code, reason = "the mapping is new, shared with a file, and lives as long as the process")]
        let mapped =
            unsafe { libc::mmap(ptr::null_mut(), PAGE_BYTES, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if mapped == libc::MAP_FAILED {
            return None;
        }
        #[expect(
            unsafe_code,
            reason = "a mapping is aligned to pages, as long as was asked for, and any bytes are numbers"
        )]
        Some(unsafe { &*mapped.cast::<Page>() })
    })
}

/// Takes one from what is left; whether the call is to fail.
fn fails(page: &Page, left: Word) -> bool {
    let taken = page[left as usize].fetch_update(SeqCst, SeqCst, |left| (left > 1).then(|| left - 1));
    let failed = taken == Err(1);
    if failed {
        page[Word::Failed as usize].fetch_add(1, SeqCst);
    }
    failed
}

fn set_errno(error: c_int) {
    #[expect(unsafe_code, reason = "the C library's place for this thread's error is always there")]
    unsafe {
        *libc::__errno_location() = error;
    }
}

fn monotonic_nanos() -> i64 {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "the kernel writes into a place of ours")]
    unsafe {
        libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut now);
    }
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Makes the call that `call` stands for, with what the page says of it.
fn with_faults(counted: Word, left: Word, error: c_int, call: impl FnOnce() -> c_long) -> c_long {
    let Some(page) = page() else { return call() };
    page[counted as usize].fetch_add(1, SeqCst);
    if fails(page, left) {
        set_errno(error);
        return -1;
    }
    let times_longer = (page[Word::Slow as usize].load(SeqCst) - 1).max(0);
    let longer = if counted == Word::Syncs { page[Word::SyncMicros as usize].load(SeqCst) * 1_000 } else { 0 };
    if times_longer == 0 && longer == 0 {
        return call();
    }
    let started = monotonic_nanos();
    let result = call();
    let hold = (monotonic_nanos() - started) * times_longer + longer;
    page[Word::HeldMicros as usize].fetch_add(hold / 1_000, SeqCst);
    let time = timespec { tv_sec: hold / 1_000_000_000, tv_nsec: hold % 1_000_000_000 };
    #[expect(unsafe_code, reason = "the kernel reads a time of ours; an early end only makes the disk less slow")]
    unsafe {
        // The result's error, where there is one, must outlive the wait.
        let kept = *libc::__errno_location();
        libc::nanosleep(&raw const time, ptr::null_mut());
        *libc::__errno_location() = kept;
    }
    result
}

macro_rules! stand_in {
    ($(#[doc = $doc:literal] $name:ident($($arg:ident: $type:ty),*) -> $out:ty = $number:expr, $counted:expr, $left:expr, $error:expr;)*) => {$(
        #[doc = $doc]
        ///
        /// # Safety
        /// As the C library's.
        #[expect(unsafe_code, reason = "it bears the name of the C library's function, which it stands in for, and passes on what it was given")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> $out {
            let result = with_faults($counted, $left, $error, || unsafe { libc::syscall($number, $($arg),*) });
            // What the kernel returns is as wide as the function's own.
            result.try_into().unwrap_or(-1)
        }
    )*};
}

stand_in! {
    /// Syncs the data of a file.
    fdatasync(fd: c_int) -> c_int = libc::SYS_fdatasync, Word::Syncs, Word::SyncsLeft, libc::EIO;
    /// Syncs a file.
    fsync(fd: c_int) -> c_int = libc::SYS_fsync, Word::Syncs, Word::SyncsLeft, libc::EIO;
    /// Writes at a position.
    pwrite(fd: c_int, from: *const c_void, count: size_t, at: off_t) -> ssize_t =
        libc::SYS_pwrite64, Word::Writes, Word::WritesLeft, libc::ENOSPC;
    /// Writes at a position.
    pwrite64(fd: c_int, from: *const c_void, count: size_t, at: off_t) -> ssize_t =
        libc::SYS_pwrite64, Word::Writes, Word::WritesLeft, libc::ENOSPC;
    /// Reads at a position.
    pread(fd: c_int, into: *mut c_void, count: size_t, at: off_t) -> ssize_t =
        libc::SYS_pread64, Word::Reads, Word::ReadsLeft, libc::EIO;
    /// Reads at a position.
    pread64(fd: c_int, into: *mut c_void, count: size_t, at: off_t) -> ssize_t =
        libc::SYS_pread64, Word::Reads, Word::ReadsLeft, libc::EIO;
}

/// Tells the time.
///
/// # Safety
/// As the C library's.
#[expect(
    unsafe_code,
    reason = "it bears the name of the C library's function, which it stands in for; the kernel checks the place"
)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, into: *mut timespec) -> c_int {
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, into) };
    if result == 0
        && clock == libc::CLOCK_REALTIME
        && let Some(page) = page()
    {
        let ahead = page[Word::ClockAhead as usize].load(SeqCst);
        // The kernel has just written there.
        let time = unsafe { &mut *into };
        let nanos = time.tv_nsec + ahead % 1_000_000_000;
        time.tv_sec += ahead / 1_000_000_000 + nanos.div_euclid(1_000_000_000);
        time.tv_nsec = nanos.rem_euclid(1_000_000_000);
    }
    result.try_into().unwrap_or(-1)
}
