//! What the disk allows: the time of one small append and its sync.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use super::load::{Latencies, LoadError};

/// Appends 4 KiB and syncs, so many times.
pub fn append_and_sync(directory: &Path, times: usize) -> Result<Latencies, LoadError> {
    let path = directory.join("disk-probe");
    let mut file = File::create(&path)?;
    let block = [7_u8; 4096];
    let mut latencies = Latencies::default();
    for _ in 0..times {
        let began = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        latencies.record(began.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(latencies)
}
