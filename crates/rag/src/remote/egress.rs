//! Where the server may connect to.
//!
//! Whoever can make a database server send requests can reach what only that server reaches: services
//! of its own machine and network, and the metadata service of its cloud, which hands out keys. So
//! addresses are checked after they are resolved, and the very address that was checked is used.
use super::url::{Scheme, Url, split_port};
use crate::{Error, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The hosts that may be spoken to without encryption and on private addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Egress {
    allowed: Vec<(String, Option<u16>)>,
}

/// The reach of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Anyone's.
    Public,
    /// Of this machine or its network: fine for a host that is listed.
    Private,
    /// Nothing a name may lead to: metadata services, broadcast, reserved blocks. Fine only when the
    /// very address is listed.
    Special,
}

impl Egress {
    /// Reads a list of hosts, each perhaps with a port, separated by commas.
    pub fn parse(list: &str) -> Result<Self> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let read = |entry: &str| {
            // An IPv6 address needs no brackets where no port follows.
            let bare = entry.parse::<Ipv6Addr>().map(|ip| (ip.to_string(), None)).ok();
            bare.ok_or("").or_else(|_| split_port(entry)).map_err(|why| {
                Error::invalid_argument(format!("\"{entry}\" names no host: {why}"))
                    .with_hint("List hosts as \"name\", \"name:port\", or addresses.")
            })
        };
        Ok(Self { allowed: entries.map(read).collect::<Result<_>>()? })
    }

    fn lists(&self, host: &str, port: u16) -> bool {
        let is_it = |(name, only): &(String, Option<u16>)| {
            name == host && only.is_none_or(|only| only == port)
        };
        self.allowed.iter().any(is_it)
    }

    /// Checks what can be checked without resolving: https unless the host is listed, and an address
    /// that is written out.
    pub fn check(&self, url: &Url) -> Result<()> {
        let (host, port) = (url.host(), url.port());
        if url.scheme() == Scheme::Http && !self.lists(host, port) {
            return Err(Error::forbidden(format!("\"{host}\" may not be called without https"))
                .with_hint(
                    "Use https, or let the administrator list the host in rag_pg.allowed_hosts.",
                ));
        }
        match host.parse::<IpAddr>() {
            Ok(ip) => self.check_ip(host, port, ip),
            Err(_) => Ok(()),
        }
    }

    /// Checks an address that `host` stands for.
    pub fn check_ip(&self, host: &str, port: u16, ip: IpAddr) -> Result<()> {
        let is_fine = match reach(ip) {
            Reach::Public => true,
            Reach::Private => self.lists(host, port) || self.lists(&ip.to_string(), port),
            Reach::Special => self.lists(&ip.to_string(), port),
        };
        if is_fine {
            return Ok(());
        }
        Err(Error::forbidden(format!("\"{host}\" is on an address that may not be called"))
            .with_detail(format!("It stands for {ip}, which is not a public address."))
            .with_hint("The administrator can list hosts in rag_pg.allowed_hosts."))
    }
}

fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

fn reach_v4(ip: Ipv4Addr) -> Reach {
    match ip.octets() {
        [10 | 127, ..] | [192, 168, ..] => Reach::Private,
        [172, second, ..] if second & 0xf0 == 16 => Reach::Private,
        // Addresses behind a carrier's translation; clouds put services of their own there.
        [100, second, ..] if second & 0xc0 == 64 => Reach::Private,
        // "This network", link-local with the metadata services, protocol assignments and
        // documentation, benchmarks, multicast, reserved and broadcast.
        [0 | 224..=255, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] => {
            Reach::Special
        }
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => Reach::Special,
        _ => Reach::Public,
    }
}

fn reach_v6(ip: Ipv6Addr) -> Reach {
    if let Some(ip) = embedded_v4(ip) {
        // An embedded IPv4 address decides, but never makes the address more public than it is.
        return reach_v4(ip);
    }
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private,
        // Unique local addresses; one of them is a cloud's metadata service.
        [0xfd00, 0x0ec2, ..] => Reach::Special,
        [first, ..] if first & 0xfe00 == 0xfc00 => Reach::Private,
        // Global unicast without documentation (2001:db8::/32, 3fff::/20) and Teredo (2001::/32).
        [0x2001, 0 | 0x0db8, ..] => Reach::Special,
        [0x3fff, second, ..] if second & 0xf000 == 0 => Reach::Special,
        [first, ..] if first & 0xe000 == 0x2000 => Reach::Public,
        // Unspecified, link-local, site-local, multicast, discard, and unassigned addresses.
        _ => Reach::Special,
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, translated (NAT64), 6to4.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(join(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, host: &str, port: u16, ip: &str) -> bool {
        Egress::parse(list).unwrap().check_ip(host, port, ip.parse().unwrap()).is_ok()
    }

    #[test]
    fn only_public_addresses_by_default() {
        for ip in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111"] {
            assert!(check("", "a.example", 443, ip), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.8.9.10",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "169.254.0.1",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fd00:ec2::254",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
        ] {
            assert!(!check("", "a.example", 443, ip), "{ip}");
        }
    }

    #[test]
    fn a_listed_name_opens_private_addresses_but_not_metadata() {
        let list = "ollama.internal:11434, localhost";
        assert!(check(list, "ollama.internal", 11434, "10.1.2.3"));
        assert!(check(list, "ollama.internal", 11434, "::ffff:10.1.2.3"));
        assert!(!check(list, "ollama.internal", 443, "10.1.2.3"));
        assert!(!check(list, "other.internal", 11434, "10.1.2.3"));
        assert!(check(list, "localhost", 1, "::1"));
        assert!(!check(list, "localhost", 1, "169.254.169.254"));
        assert!(check("169.254.169.254", "169.254.169.254", 80, "169.254.169.254"));
        assert!(check("10.1.2.3", "a.example", 80, "10.1.2.3"));
        assert!(check("::1", "a.example", 80, "::1") && check("[::1]:80", "a.example", 80, "::1"));
    }

    #[test]
    fn plain_http_is_for_listed_hosts() {
        let check = |list, url| {
            Egress::parse(list).unwrap().check(&Url::parse(url).unwrap()).map_err(|e| e.sqlstate())
        };
        assert_eq!(check("", "https://api.example.com"), Ok(()));
        assert_eq!(check("", "http://api.example.com"), Err("42501"));
        assert_eq!(check("api.example.com", "http://api.example.com"), Ok(()));
        assert_eq!(check("", "https://127.0.0.1"), Err("42501"));
        assert_eq!(check("", "https://[::ffff:10.0.0.1]"), Err("42501"));
        assert_eq!(check("127.0.0.1", "http://127.0.0.1:8080"), Ok(()));
    }

    #[test]
    fn a_list_of_nonsense_is_refused() {
        for list in ["a b", "http://a", "a:b", "[x]", "a/b"] {
            assert_eq!(Egress::parse(list).expect_err(list).sqlstate(), "22023");
        }
        assert_eq!(Egress::parse(" , ").unwrap(), Egress::default());
    }
}
