//! Measures the memory of a process and its peak.

use std::fs;

/// The memory of a process on Linux, in kibibytes.
pub(crate) struct Memory {
    process: u32,
    before: u64,
}

impl Memory {
    /// Starts to measure, and resets the peak.
    pub(crate) fn watch(process: u32) -> Self {
        fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
        Self { process, before: field(process, "VmRSS:") }
    }

    /// Returns the difference between the peak and the memory at the start.
    pub(crate) fn peak(&self) -> u64 {
        field(self.process, "VmHWM:").saturating_sub(self.before)
    }
}

fn field(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
