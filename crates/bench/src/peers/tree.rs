//! The memory of a server and of all processes that it started.
//!
//! PostgreSQL has a process for each connection. Memory that they share is counted once, in proportional parts ("PSS").

use std::{collections::HashMap, fs};

use anyhow::{Context as _, Result};

/// Bytes of memory that a process and all below it take now.
pub(crate) fn memory(root: u32) -> Result<u64> {
    let mut bytes = 0;
    for pid in below(root, &parents()?) {
        let memory = match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
            Ok(memory) => memory,
            // A process below may end while it is looked at; the server itself may not.
            Err(_) if pid != root => continue,
            Err(error) => return Err(error).context("the server's memory cannot be read"),
        };
        bytes += proportional_kib(&memory).context("a process tells no memory")? * 1024;
    }
    Ok(bytes)
}

/// The parent of each process.
fn parents() -> Result<HashMap<u32, u32>> {
    let mut parents = HashMap::new();
    for entry in fs::read_dir("/proc").context("processes cannot be listed")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that has just ended has no parent any more.
        if let Some(parent) = fs::read_to_string(format!("/proc/{pid}/stat")).ok().as_deref().and_then(parent) {
            parents.insert(pid, parent);
        }
    }
    Ok(parents)
}

/// The parent's id in a process's status line. The name before it stands in parentheses and may have any character.
fn parent(stat: &str) -> Option<u32> {
    stat.get(stat.rfind(')')? + 1..)?.split_whitespace().nth(1)?.parse().ok()
}

/// A process and all below it.
fn below(root: u32, parents: &HashMap<u32, u32>) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&pid) = found.get(at) {
        found.extend(parents.iter().filter(|(_, parent)| **parent == pid).map(|(child, _)| *child));
        at += 1;
    }
    found
}

/// The proportional set size in a summary of a process's memory.
fn proportional_kib(rollup: &str) -> Option<u64> {
    rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_hide_the_parent() {
        assert_eq!(parent("4321 (postgres: a) b) (c) S 1234 4321 4321 0 -1"), Some(1234));
        assert_eq!(parent("nonsense"), None);
    }

    #[test]
    fn grandchildren_belong_to_the_tree_and_others_do_not() {
        let parents = HashMap::from([(2, 1), (3, 2), (4, 3), (9, 1), (5, 2)]);
        let mut found = below(2, &parents);
        found.sort_unstable();
        assert_eq!(found, [2, 3, 4, 5]);
    }

    #[test]
    fn the_proportional_part_is_taken_and_not_one_of_its_kinds() {
        let rollup = "5569c6f97000-7ffd6b22b000 ---p 00000000 00:00 0   [rollup]\nRss: 1780 kB\nPss_Dirty: 100 kB\nPss:   280 kB\n";
        assert_eq!(proportional_kib(rollup), Some(280));
        assert_eq!(proportional_kib("Rss: 1780 kB\n"), None);
    }

    #[test]
    fn what_this_process_takes_is_there() {
        // Told as a whole: what other tests of this process take and free meanwhile cannot make it less.
        let taken = vec![1_u8; 64 << 20];
        let memory = memory(process::id()).unwrap();
        // Without it the optimiser leaves nothing of what is taken.
        let taken = std::hint::black_box(taken);
        assert!(memory >= taken.len() as u64, "{memory}");
    }
}
