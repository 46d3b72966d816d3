//! Process statistics on systems other than Linux, read with `sysinfo`.

use std::io;

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

use super::ProcessReadings;

pub(super) fn read() -> io::Result<ProcessReadings> {
    let pid = get_current_pid().map_err(io::Error::other)?;
    let mut system = System::new();
    let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
    let process = system.process(pid).ok_or_else(|| io::Error::other("the system reports no process statistics"))?;
    Ok(ProcessReadings {
        cpu_seconds: Some(process.accumulated_cpu_time() as f64 / 1_000.0),
        open_fds: process.open_files().map(|count| count as f64),
        max_fds: process.open_files_limit().map(|limit| limit as f64),
        virtual_memory_bytes: Some(process.virtual_memory() as f64),
        resident_memory_bytes: Some(process.memory() as f64),
        start_time_seconds: Some(process.start_time() as f64),
        ..ProcessReadings::default()
    })
}
