//! The check of the `Host` header for requests to a loopback address.
//!
//! A website can resolve its own name to 127.0.0.1. Its scripts may then read whatever a server on the visitor's
//! machine responds with (DNS rebinding). Such requests have the website's name as `Host`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Returns true if a `Host` header value names this machine, or if there is none. Browsers always send one.
pub(super) fn is_local(host: Option<&[u8]>) -> bool {
    let Some(host) = host else { return true };
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            return rest.split(']').next().and_then(|ip| ip.parse().ok()).is_some_and(|ip: Ipv6Addr| ip.is_loopback());
        }
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_accepted() {
        for host in [
            "localhost",
            "LOCALHOST:9464",
            "localhost.",
            "a.localhost:80",
            "127.0.0.1",
            "127.1.2.3:9464",
            "[::1]:9464",
            "[::1]",
        ] {
            assert!(is_local(Some(host.as_bytes())), "{host}");
        }
        assert!(is_local(None));
        for host in [
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com:9464",
            "192.168.0.1",
            "[::2]",
            "",
            "notlocalhost",
            "::1",
        ] {
            assert!(!is_local(Some(host.as_bytes())), "{host}");
        }
        assert!(!is_local(Some(b"\xff")));
    }
}
