//! How much memory a process holds, and held at most.

use std::fs;

/// In kibibytes, of a process of ours on Linux.
pub(crate) struct Memory {
    process: u32,
    before: u64,
}

impl Memory {
    /// Forgets the peak so far.
    pub(crate) fn watch(process: u32) -> Self {
        fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
        Self { process, before: field(process, "VmRSS:") }
    }

    /// How much more than at first it held at its peak.
    pub(crate) fn peak(&self) -> u64 {
        field(self.process, "VmHWM:").saturating_sub(self.before)
    }
}

fn field(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
