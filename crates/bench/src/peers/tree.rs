//! A server and all processes that it started: their memory and what they wrote.
//!
//! PostgreSQL has a process for each connection. Memory that they share is counted once, in proportional parts ("PSS"); what ended processes
//! wrote is in the account of the one that waited for them.

use std::{collections::HashMap, fs};

use anyhow::{Context as _, Result};

/// Memory and writes of a server with all its processes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tree {
    /// Bytes of memory that it takes now.
    pub(crate) memory: u64,
    /// Bytes that it has caused to be written to the disk since it started.
    pub(crate) written: u64,
}

impl Tree {
    /// Of the process with this id and all below it.
    pub(crate) fn of(root: u32) -> Result<Self> {
        let mut tree = Self::default();
        for pid in below(root, &parents()?) {
            let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
            // A process below may end while it is looked at; the server itself may not.
            let (memory, written) = match (read("smaps_rollup"), read("io")) {
                (Ok(memory), Ok(written)) => (memory, written),
                _ if pid != root => continue,
                (memory, written) => (memory?, written?),
            };
            tree.memory += field(&memory, "Pss:").context("a process tells no memory")? * 1024;
            tree.written += field(&written, "write_bytes:").context("a process tells not what it wrote")?;
        }
        Ok(tree)
    }
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

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, process};

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
        assert_eq!(field(rollup, "Pss:"), Some(280));
        assert_eq!(field("rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n", "write_bytes:"), Some(4096));
    }

    #[test]
    fn what_this_process_writes_is_in_its_account() {
        let before = Tree::of(process::id()).unwrap();
        // Not in a temporary folder, which may lie in memory.
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let after = Tree::of(process::id()).unwrap();
        assert!(after.written - before.written >= 1 << 20, "{before:?} {after:?}");
        assert!(after.memory > 0);
    }
}
