//! Process statistics on Linux, read from `/proc/self`.

use std::fs;

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo, boot_time_secs, ticks_per_second};

use super::ProcessReadings;

/// Reads the statistics. Omits optional readings that are unavailable, and returns an error if `/proc` is missing.
pub(super) fn read() -> ProcResult<ProcessReadings> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let ticks = ticks_per_second() as f64;
    let limits = process.limits().ok();
    let (received, sent) = network(&process).unzip();
    Ok(ProcessReadings {
        cpu_seconds: Some((stat.utime + stat.stime) as f64 / ticks),
        open_fds: process.fd_count().ok().map(|count| count as f64),
        max_fds: limits.as_ref().map(|limits| number(limits.max_open_files.soft_limit)),
        virtual_memory_bytes: Some(stat.vsize as f64),
        virtual_memory_max_bytes: limits.as_ref().map(|limits| number(limits.max_address_space.soft_limit)),
        resident_memory_bytes: Some(stat.rss_bytes().get() as f64),
        start_time_seconds: boot_time_secs().ok().map(|boot| boot as f64 + stat.starttime as f64 / ticks),
        threads: Some(stat.num_threads as f64),
        network_receive_bytes: received,
        network_transmit_bytes: sent,
    })
}

fn number(limit: LimitValue) -> f64 {
    match limit {
        LimitValue::Unlimited => f64::INFINITY,
        LimitValue::Value(limit) => limit as f64,
    }
}

/// Returns the bytes received and sent over IPv4 and IPv6.
fn network(process: &Process) -> Option<(f64, f64)> {
    let (received, sent) = ipv4(&fs::read_to_string("/proc/self/net/netstat").ok()?)?;
    // The file `snmp6` does not exist if the kernel does not support IPv6.
    let (more_received, more_sent) = process.snmp6().map_or((0, 0), |ipv6| (ipv6.ip_in_octets, ipv6.ip_out_octets));
    Some(((received + more_received) as f64, (sent + more_sent) as f64))
}

/// Returns the bytes received and sent over IPv4. In `netstat`, each line of names is followed by a line of values.
fn ipv4(netstat: &str) -> Option<(u64, u64)> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let of = |wanted: &str| {
        let (_, value) = names.split_whitespace().zip(values.split_whitespace()).find(|(name, _)| *name == wanted)?;
        value.parse().ok()
    };
    Some((of("InOctets")?, of("OutOctets")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlimited_resource_is_infinite() {
        assert_eq!(number(LimitValue::Unlimited), f64::INFINITY);
        assert_eq!(number(LimitValue::Value(1_024)), 1_024.0);
    }

    #[test]
    fn bytes_are_found_by_their_names() {
        let netstat = "TcpExt: SyncookiesSent InOctets\nTcpExt: 0 9\n\
            IpExt: InNoRoutes InOctets OutOctets InMcastOctets\nIpExt: 1 123 456 7\n";
        assert_eq!(ipv4(netstat), Some((123, 456)));
        for unknown in
            ["", "IpExt: InOctets\n", "IpExt: InOctets\nIpExt: 1\n", "IpExt: InOctets OutOctets\nIpExt: x y\n"]
        {
            assert_eq!(ipv4(unknown), None, "{unknown}");
        }
    }
}
