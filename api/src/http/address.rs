//! Whose request this is: the peer's address, or what a trusted proxy says of it.

use std::net::IpAddr;

use actix_web::HttpRequest;

/// The client's address. Headers are believed only from trusted proxies, and only as far as their chain goes.
pub(super) fn client(request: &HttpRequest, trusted: &[IpAddr]) -> Option<IpAddr> {
    let peer = request.peer_addr().map(|address| address.ip())?;
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    Some(believe(peer, header("forwarded"), header("x-forwarded-for"), trusted))
}

/// Walks the chain from the nearest hop outwards, as long as each hop is a trusted proxy (RFC 7239, section 7.4).
fn believe(peer: IpAddr, forwarded: Option<&str>, x_forwarded_for: Option<&str>, trusted: &[IpAddr]) -> IpAddr {
    let hops: Vec<Option<IpAddr>> = match (forwarded, x_forwarded_for) {
        (Some(text), _) => text.split(',').map(forwarded_for).collect(),
        (None, Some(text)) => text.split(',').map(|hop| plain(hop.trim())).collect(),
        (None, None) => Vec::new(),
    };
    let mut nearest = peer;
    for hop in hops.into_iter().rev() {
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

/// An address, with or without brackets and port.
fn plain(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']')?.0.parse().ok();
    }
    text.parse().ok().or_else(|| text.rsplit_once(':')?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_chain_of_trusted_proxies_is_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let trusted = [ip("127.0.0.1"), ip("192.0.2.1")];
        for (peer, forwarded, x, expected) in [
            ("203.0.113.9", None, Some("198.51.100.7"), "203.0.113.9"),
            ("127.0.0.1", None, Some("198.51.100.7"), "198.51.100.7"),
            ("127.0.0.1", None, Some("6.6.6.6, 198.51.100.7"), "198.51.100.7"),
            ("127.0.0.1", None, Some("198.51.100.7, 192.0.2.1"), "198.51.100.7"),
            ("127.0.0.1", Some("for=\"[2001:db8::1]:47\";proto=https"), None, "2001:db8::1"),
            ("127.0.0.1", Some("for=198.51.100.7:80"), Some("6.6.6.6"), "198.51.100.7"),
            ("127.0.0.1", Some("for=unknown"), None, "127.0.0.1"),
            ("127.0.0.1", None, None, "127.0.0.1"),
        ] {
            assert_eq!(believe(ip(peer), forwarded, x, &trusted), ip(expected), "{peer} {forwarded:?} {x:?}");
        }
    }
}
