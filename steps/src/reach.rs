//! Connections to where a runbook points, but never to a cloud's own innards.
//!
//! A name is resolved once and that address is used: whoever answers for the
//! name cannot say one thing to the check and another to the connection.
//! Loopback and private addresses are what probes are for; link-local ones
//! answer with credentials.

use crate::{dns, limits};
use dr_engine::{duration::Dur, outcome::Failure, step::ReadCx};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::TcpStream;
use url::{Host, Url};

/// Connects to a host. The address it was reached at comes with it. An error
/// that can pass is transient.
pub(crate) async fn connect(
    cx: &ReadCx,
    host: &str,
    port: u16,
    fixed: Option<SocketAddr>,
) -> Result<(TcpStream, SocketAddr), Failure> {
    let addresses = addresses(cx, host, port, fixed).await?;
    let mut why = no_answer(host, port);
    let until = cx.clock.now().after(limits::CONNECT_TIMEOUT);
    for (at, address) in addresses.iter().enumerate() {
        match cx
            .clock
            .timeout(share(until.since(cx.clock.now()), addresses.len() - at), TcpStream::connect(address))
            .await
        {
            Some(Ok(stream)) => {
                // Requests are small: waiting to fill a packet only adds delay.
                stream.set_nodelay(true).ok();
                return Ok((stream, *address));
            }
            Some(Err(error)) => why = Failure::passing(format!("no connection to {address}: {error}")),
            None => why = Failure::passing(format!("no connection to {address} in time")),
        }
    }
    Err(why)
}

/// Where a host is: one or more addresses, for who connects by itself.
pub(crate) async fn addresses(
    cx: &ReadCx,
    host: &str,
    port: u16,
    fixed: Option<SocketAddr>,
) -> Result<Vec<SocketAddr>, Failure> {
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let found = async {
        match (fixed, literal) {
            (Some(fixed), _) => Ok(vec![fixed]),
            (None, Some(ip)) => Ok(vec![SocketAddr::new(ip, port)]),
            (None, None) => {
                dns::resolve(cx, host).await.map(|ips| ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
            }
        }
    };
    let addresses = cx.clock.timeout(limits::CONNECT_TIMEOUT, found).await.ok_or_else(|| no_answer(host, port))?;
    let addresses = addresses.map_err(Failure::passing)?;
    // One is enough to refuse: a name that mixes them is up to something.
    if let Some(bad) = addresses.iter().find(|address| innards(address.ip())) {
        let text = format!("`{host}` is {}: link-local and metadata addresses are never connected to", bad.ip());
        return Err(Failure::new(text));
    }
    Ok(addresses)
}

/// What one of several addresses gets of the time left: a dead one must leave time for those behind it.
pub(crate) fn share(left: Dur, addresses: usize) -> Dur {
    Dur(left.0 / i64::try_from(addresses).unwrap_or(1).max(1))
}

fn no_answer(host: &str, port: u16) -> Failure {
    Failure::passing(format!("no connection to `{host}:{port}` within {}", limits::CONNECT_TIMEOUT))
}

/// Whether an address belongs to the machine's surroundings and not to a service.
fn innards(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => {
            let words = ip.segments();
            let four =
                |at: usize| Ipv4Addr::from(u32::from(words[at]) << 16 | u32::from(words[at + 1])).is_link_local();
            let metadata = words[..2] == [0xfd00, 0x0ec2] || words == [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254];
            // The old world inside the new one: mapped, compatible, NAT64, 6to4.
            let inside = words[..5] == [0; 5] || words[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            ip.is_unicast_link_local() || metadata || (inside && four(6)) || (words[0] == 0x2002 && four(1))
        }
    }
}

/// A host and a port out of `host:port` or `[::1]:port`.
pub(crate) fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("`{text}` is not an address: `host:port`, or `[::1]:port`");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    if host.is_empty() || (host.contains(':') && !bracketed) || host.contains(char::is_whitespace) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

/// Whether a URL leads to this machine alone.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clouds_innards_are_known_in_every_disguise() {
        for (ip, is) in [
            ("169.254.169.254", true),
            ("169.254.0.1", true),
            ("::ffff:169.254.169.254", true),
            ("::169.254.169.254", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("2002:a9fe:a9fe::1", true),
            ("fe80::1", true),
            ("febf::1", true),
            ("fd00:ec2::254", true),
            ("fd20:ce::254", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("10.0.0.1", false),
            ("192.168.1.1", false),
            ("fd00::1", false),
            ("8.8.8.8", false),
            ("2001:4860:4860::8888", false),
        ] {
            assert_eq!(innards(ip.parse().expect("an address")), is, "{ip}");
        }
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(host_and_port("db.internal:5432"), Ok(("db.internal".into(), 5432)));
        assert_eq!(host_and_port("[::1]:80"), Ok(("[::1]".into(), 80)));
        for wrong in ["db", "db:", ":80", "db:0", "db:99999", "::1:80", "a b:80"] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_url_of_this_machine_is_told_from_all_others() {
        for (url, is) in [
            ("http://127.0.0.1:9/x", true),
            ("http://[::1]/x", true),
            ("http://localhost/x", true),
            ("http://localhost.example.com/x", false),
            ("http://10.0.0.1/x", false),
            ("http://bucket.s3.amazonaws.com/x", false),
        ] {
            assert_eq!(is_loopback(&url.parse().expect("a URL")), is, "{url}");
        }
    }
}
