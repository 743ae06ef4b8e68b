//! What the operating system says of this process, read when the metrics are.
//!
//! Under the names every Prometheus client uses, so that ready-made dashboards work. A value that cannot be read is left
//! out rather than reported as zero.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads them.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let gauges = [
            ("process_open_fds", "Open file descriptors", open_fds()),
            ("process_resident_memory_bytes", "Resident memory", resident_bytes()),
            ("process_threads", "Threads", status_field("Threads:")),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn open_fds() -> Option<u64> {
    // One of the entries is the directory being read.
    fs::read_dir("/proc/self/fd").ok().map(|entries| (entries.count() as u64).saturating_sub(1))
}

fn resident_bytes() -> Option<u64> {
    // `status` says kilobytes. `statm` would need the page size, which differs between machines.
    status_field("VmRSS:").map(|kilobytes| kilobytes * 1024)
}

fn status_field(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
