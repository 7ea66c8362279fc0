//! What the machine itself can do and what it is, so that figures can be compared within a run.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

/// Bytes of each append of the plain file.
const APPEND_BYTES: usize = 4 * 1024;

/// Appends 4 KiB to a new file and syncs it, again and again, one after the other. Appends a second.
pub(crate) fn fdatasync_rate(folder: &Path, time: Duration) -> Result<f64> {
    let path = folder.join("fdatasync.probe");
    let mut file = File::create(&path).context("the probe file cannot be made")?;
    let block = [0x5a_u8; APPEND_BYTES];
    let started = Instant::now();
    let mut appends = 0_u32;
    while started.elapsed() < time {
        file.write_all(&block)?;
        file.sync_data()?;
        appends += 1;
    }
    let rate = f64::from(appends) / started.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}

/// One line that says what the figures were measured on.
pub(crate) fn describe() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let memory = read("/proc/meminfo");
    let memory_kb: u64 = memory.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{cores} cores ({}), {:.0} GiB, Linux {}",
        model.trim_start_matches([' ', '\t', ':']),
        // Far below the 52 bits that a float holds exactly.
        memory_kb as f64 / 1_048_576.0,
        kernel.trim()
    )
}

/// The load average of the last minute: a run on a busy machine shows.
pub(crate) fn load_average() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// How much of the processors others take while something is measured: a run on a busy machine shows, however quiet it was before.
pub(crate) struct Others {
    all: Processors,
    own_ticks: u64,
}

/// Ticks of all processors since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Processors {
    /// At work, or withheld from this machine by the one it runs on.
    busy: u64,
    idle: u64,
}

impl Others {
    /// From now on.
    pub(crate) fn watch() -> Result<Self> {
        let (all, own_ticks) = Self::ticks()?;
        Ok(Self { all, own_ticks })
    }

    /// The part of a hundred that neither this process nor any that it started and that has ended took since; the kernel's own work for them is
    /// in it.
    pub(crate) fn percent(&self) -> Result<f64> {
        let (all, own_ticks) = Self::ticks()?;
        Ok(share(all.since(self.all), own_ticks - self.own_ticks))
    }

    fn ticks() -> Result<(Processors, u64)> {
        let all = Processors::parse(&fs::read_to_string("/proc/stat")?).context("/proc/stat is of another form")?;
        let own = own_ticks(&fs::read_to_string("/proc/self/stat")?).context("/proc/self/stat is of another form")?;
        Ok((all, own))
    }
}

impl Processors {
    /// Of the first line: user, nice, system, idle, waiting for the disk, interrupts of two kinds, withheld. What follows is in the first two.
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).map(|ticks| ticks.parse().ok()).collect::<Option<_>>()?;
        let &[user, nice, system, idle, waiting, interrupts, soft_interrupts, withheld] = ticks.as_slice() else {
            return None;
        };
        Some(Self { busy: user + nice + system + interrupts + soft_interrupts + withheld, idle: idle + waiting })
    }

    fn since(self, before: Self) -> Self {
        Self { busy: self.busy.saturating_sub(before.busy), idle: self.idle.saturating_sub(before.idle) }
    }
}

fn share(all: Processors, own: u64) -> f64 {
    100.0 * all.busy.saturating_sub(own) as f64 / (all.busy + all.idle).max(1) as f64
}

/// Ticks of this process and of those that it started and waited for, for themselves and in the kernel.
fn own_ticks(stat: &str) -> Option<u64> {
    ticks(stat, 4)
}

/// The memory of a process, in bytes, from its status file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) resident: u64,
    /// The most that was ever resident.
    pub(crate) peak: u64,
}

impl Memory {
    /// Of the process with this id.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the server's status cannot be read")?;
        Self::parse(&status).context("the server's status tells no memory")
    }

    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
        };
        Some(Self { resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }
}

/// The processor time that a process has taken so far, its threads included.
pub(crate) fn processor_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the server's status cannot be read")?;
    let ticks = processor_ticks(&stat).context("the server's status tells no processor time")?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Ticks of a process for itself and in the kernel.
fn processor_ticks(stat: &str) -> Option<u64> {
    ticks(stat, 2)
}

/// The first of a process's ticks in its status line, summed: its own, in the kernel, and the same two of its children. The name before them
/// stands in parentheses and may have any character.
fn ticks(stat: &str, fields: usize) -> Option<u64> {
    let all: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().skip(11).collect();
    all.get(..fields)?.iter().map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// Refuses what the disk cannot hold, before anything is written.
pub(crate) fn ensure_free(folder: &Path, records: u64, needed: u64) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let free = free_bytes(folder)?;
    let gib = |bytes: u64| bytes as f64 / (1_u64 << 30) as f64;
    ensure!(
        free >= needed,
        "{records} records need {:.1} GiB of disk and {} has {:.1} GiB free: free some, name another disk with --scratch, or take \
         fewer --records",
        gib(needed),
        folder.display(),
        gib(free)
    );
    Ok(())
}

/// Bytes that have been written to the disk under a folder, by whomever, with all that was still waiting for it; nothing where the file system
/// does not lie on one disk. (What the system says a process wrote is no measure: it counts the whole of a large page in memory for each byte.)
pub(crate) fn written_bytes(folder: &Path) -> Result<Option<u64>> {
    use std::os::unix::fs::MetadataExt as _;
    let folder = File::open(folder).context("the folder cannot be opened")?;
    rustix::fs::syncfs(&folder).context("the file system cannot be synced")?;
    let device = folder.metadata()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let Ok(stat) = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")) else { return Ok(None) };
    Ok(Some(sectors_written(&stat).context("the disk tells not what was written to it")? * SECTOR_BYTES))
}

/// What the statistics of a disk count in, whatever its own sectors are.
const SECTOR_BYTES: u64 = 512;

/// The seventh number in the statistics of a disk.
fn sectors_written(stat: &str) -> Option<u64> {
    stat.split_whitespace().nth(6)?.parse().ok()
}

/// Bytes that are free for this user on a folder's file system.
fn free_bytes(folder: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(folder).context("the disk's free space cannot be read")?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes that a folder takes on disk: the blocks of its files, not their lengths. A folder that is not there takes none.
pub(crate) fn disk_bytes(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    if !folder.exists() {
        return Ok(bytes);
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        // Blocks are counted in these units whatever the file system's own size.
        bytes += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * SECTOR_BYTES };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_a_status_file_in_bytes() {
        let memory = Memory::parse("Name:\tsatgas\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n").unwrap();
        assert_eq!((memory.resident, memory.peak), (1_048_576, 2_097_152));
        assert!(Memory::parse("Name:\tsatgas\n").is_none());
    }

    #[test]
    fn processor_time_is_that_in_and_out_of_the_kernel() {
        let stat = "77 (a) b) S 1 77 77 0 -1 4194560 900 0 0 0 250 50 7 9 20 0 12 0 100 1 1";
        assert_eq!(processor_ticks(stat), Some(300));
    }

    #[test]
    fn what_others_take_is_all_that_is_busy_less_the_own() {
        let parse = |line: &str| Processors::parse(line).unwrap();
        let before = parse("cpu  100 10 50 800 40 0 5 5 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n");
        assert_eq!(before, Processors { busy: 170, idle: 840 });
        let after = parse("cpu  180 10 70 880 60 0 5 5 70 70\n");
        assert_eq!(after.since(before), Processors { busy: 100, idle: 100 });
        assert!((share(after.since(before), 60) - 20.0).abs() < 1e-9);
        assert!(share(after.since(before), 130).abs() < 1e-9, "ticks of two clocks may differ by a few");
        assert_eq!(own_ticks("77 (a) b) S 1 77 77 0 -1 4194560 900 0 0 0 250 50 7 9 20 0 12 0 100 1 1"), Some(316));
    }

    #[test]
    fn what_was_written_to_a_disk_is_not_what_was_read_from_it() {
        let stat = "  122097     7043  5830490   156964    23045    45582  9144912    62551   0   17376   223099\n";
        assert_eq!(sectors_written(stat), Some(9_144_912));
    }

    #[test]
    fn what_the_disk_cannot_hold_is_refused_with_what_it_would_take() {
        let folder = tempfile::tempdir().unwrap();
        let refused = ensure_free(folder.path(), 7, u64::MAX).unwrap_err().to_string();
        assert!(refused.contains("GiB free") && refused.contains("--records"), "{refused}");
    }

    #[test]
    fn a_folder_takes_at_least_the_bytes_written_into_its_subfolders() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        let mut file = File::create(folder.path().join("inner/file")).unwrap();
        file.write_all(&[1; 10_000]).unwrap();
        file.sync_all().unwrap();
        assert!(disk_bytes(folder.path()).unwrap() >= 10_000);
        assert_eq!(disk_bytes(&folder.path().join("absent")).unwrap(), 0);
    }
}
