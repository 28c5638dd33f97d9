//! The client's address: the peer's, or the one that a trusted proxy reports.

use std::net::{IpAddr, Ipv6Addr};

use actix_web::HttpRequest;

/// Returns the client's address. Forwarding headers are trusted only from trusted proxies, and only as far as
/// the chain of proxies is trusted.
pub fn client(request: &HttpRequest, trusted: &[IpAddr]) -> Option<IpAddr> {
    let peer = request.peer_addr().map(|address| address.ip().to_canonical())?;
    // Some proxies add a header line of their own after the client's: all lines form one list.
    let header = |name: &str| {
        let lines: Vec<&str> =
            request.headers().get_all(name).map(|line| line.to_str().unwrap_or_default()).collect();
        (!lines.is_empty()).then(|| lines.join(","))
    };
    Some(believe(peer, header("forwarded").as_deref(), header("x-forwarded-for").as_deref(), trusted))
}

/// Returns the address that the proxies report. A proxy writes one of the two headers and passes the other on
/// unchanged, so when both are present and disagree, neither is trusted.
fn believe(
    peer: IpAddr,
    forwarded: Option<&str>,
    x_forwarded_for: Option<&str>,
    trusted: &[IpAddr],
) -> IpAddr {
    let by_forwarded = forwarded.map(|text| walk(peer, text.split(',').map(forwarded_for), trusted));
    let by_x = x_forwarded_for.map(|text| walk(peer, text.split(',').map(|hop| plain(hop.trim())), trusted));
    match (by_forwarded, by_x) {
        (Some(one), Some(other)) => {
            if one == other {
                one
            } else {
                peer
            }
        }
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => peer,
    }
}

/// Walks the chain from the nearest hop outwards for as long as each hop is a trusted proxy (RFC 7239,
/// section 7.4).
fn walk(peer: IpAddr, hops: impl DoubleEndedIterator<Item = Option<IpAddr>>, trusted: &[IpAddr]) -> IpAddr {
    let mut nearest = peer;
    for hop in hops.rev() {
        match hop {
            Some(hop) if trusted.contains(&nearest) => nearest = hop,
            Some(_) | None => break,
        }
    }
    nearest
}

fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| plain(value.trim().trim_matches('"')))?
    })
}

/// Parses an address with or without brackets and port.
fn plain(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']')?.0.parse().ok();
    }
    let address: Option<IpAddr> = text.parse().ok().or_else(|| text.rsplit_once(':')?.0.parse().ok());
    address.map(|address| address.to_canonical())
}

/// Returns what counts as one client: for IPv6 the /64 network, which belongs to a single subscriber.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_forwarding_header_of_the_client_does_not_override_the_proxys() {
        let peer = "127.0.0.1:4711".parse().unwrap();
        let request = TestRequest::default().peer_addr(peer);
        let request = request
            .append_header(("x-forwarded-for", "6.6.6.6"))
            .append_header(("x-forwarded-for", "198.51.100.7"));
        let request = request.to_http_request();
        assert_eq!(client(&request, &[peer.ip()]), Some(IpAddr::from([198, 51, 100, 7])));
        assert_eq!(client(&request, &[]), Some(peer.ip()));
    }

    #[test]
    fn only_a_chain_of_trusted_proxies_is_trusted() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let trusted = [ip("127.0.0.1"), ip("192.0.2.1")];
        for (peer, forwarded, x, expected) in [
            ("203.0.113.9", None, Some("198.51.100.7"), "203.0.113.9"),
            ("127.0.0.1", None, Some("198.51.100.7"), "198.51.100.7"),
            ("127.0.0.1", None, Some("6.6.6.6, 198.51.100.7"), "198.51.100.7"),
            ("127.0.0.1", None, Some("198.51.100.7, 192.0.2.1"), "198.51.100.7"),
            ("127.0.0.1", Some("for=\"[2001:db8::1]:47\";proto=https"), None, "2001:db8::1"),
            ("127.0.0.1", Some("for=198.51.100.7:80"), Some("198.51.100.7"), "198.51.100.7"),
            // The proxy wrote one of the headers, the client the other.
            ("127.0.0.1", Some("for=198.51.100.7:80"), Some("6.6.6.6"), "127.0.0.1"),
            ("127.0.0.1", None, Some("::ffff:198.51.100.7"), "198.51.100.7"),
            ("127.0.0.1", None, Some("6.6.6.6,, 198.51.100.7"), "198.51.100.7"),
            ("127.0.0.1", None, Some("6.6.6.6, nonsense"), "127.0.0.1"),
            ("127.0.0.1", Some("for=unknown"), None, "127.0.0.1"),
            ("127.0.0.1", None, None, "127.0.0.1"),
        ] {
            assert_eq!(believe(ip(peer), forwarded, x, &trusted), ip(expected), "{peer} {forwarded:?} {x:?}");
        }
    }
}
