//! Counts connections, in total and by address, and refuses those beyond the limits.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use socket2::SockRef;
use tokio::net::TcpStream;

use super::{ConnectionLimits, watched::Watched};
use crate::http::address::network;

/// The answer to a connection beyond the limits. Its request is not read.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The most unsent bytes in the socket's send buffer. That is more than a network link carries at once, but
/// little enough that a slow reader finds few stale values. Bytes that were sent but not acknowledged do not
/// count.
const WAITING_BYTES_MAX: u32 = 16 * 1024;

/// Admits connections, and counts them until they end.
pub(super) struct Door {
    limits: ConnectionLimits,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DoorFull {
    /// The limit of all connections is reached.
    All,
    /// The limit of its address is reached.
    Address,
}

/// The slot of one connection, released on drop.
pub(super) struct ConnectionSlot {
    door: Arc<Door>,
    counted_as: Option<IpAddr>,
}

impl Door {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, open: Mutex::default() }
    }

    /// Admits a connection and returns it with its peer's address.
    pub(super) fn let_in(self: &Arc<Self>, stream: TcpStream) -> io::Result<(Watched, Option<SocketAddr>)> {
        let peer = stream.peer_addr()?;
        match self.place(peer.ip()) {
            Ok(place) => {
                // Answers are written in one piece: delaying a part to fill a packet gains nothing.
                stream.set_nodelay(true)?;
                // The system limits stalled clients as well: an answer that is produced only as it is read
                // never waits in this process, where it could be watched.
                let socket = SockRef::from(&stream);
                let set = socket.set_tcp_notsent_lowat(WAITING_BYTES_MAX);
                if let Err(error) =
                    set.and_then(|()| socket.set_tcp_user_timeout(Some(self.limits.stalled_within)))
                {
                    tracing::debug!(
                        %error,
                        "connection could not be set up: it has already ended, or the system lacks the option"
                    );
                }
                let limits = &self.limits;
                let quiet_within = limits.idle_within.saturating_add(limits.head_within);
                Ok((Watched::new(stream, place, quiet_within, limits.stalled_within), Some(peer)))
            }
            Err(full) => {
                let why = match full {
                    DoorFull::All => "all",
                    DoorFull::Address => "address",
                };
                metrics::counter!("smallrun_http_connections_refused_total", "full" => why).increment(1);
                let _not_heard = stream.try_write(FULL);
                Err(io::Error::new(ErrorKind::ConnectionRefused, "too many connections"))
            }
        }
    }

    fn place(self: &Arc<Self>, peer: IpAddr) -> Result<ConnectionSlot, DoorFull> {
        let many_behind = self.limits.many_behind.contains(&peer.to_canonical());
        let counted_as = (!many_behind).then(|| network(peer));
        let mut open = self.open();
        if open.all >= self.limits.connections_max {
            return Err(DoorFull::All);
        }
        if let Some(address) = counted_as {
            let of_address = open.of.entry(address).or_default();
            if *of_address >= self.limits.per_address_max {
                return Err(DoorFull::Address);
            }
            *of_address = of_address.saturating_add(1);
        }
        open.all = open.all.saturating_add(1);
        metrics::gauge!("smallrun_http_connections").increment(1);
        Ok(ConnectionSlot { door: Arc::clone(self), counted_as })
    }

    /// A poisoned lock is usable: no code that holds it can panic half-way through a change.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.door.open();
        open.all = open.all.saturating_sub(1);
        if let Some(address) = self.counted_as {
            let left = open.of.get_mut(&address).map(|of_address| {
                *of_address = of_address.saturating_sub(1);
                *of_address
            });
            if left == Some(0) {
                open.of.remove(&address);
            }
        }
        metrics::gauge!("smallrun_http_connections").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn door(connections_max: usize, per_address_max: usize, many_behind: Vec<IpAddr>) -> Arc<Door> {
        let second = Duration::from_secs(1);
        let limits = ConnectionLimits {
            connections_max,
            per_address_max,
            many_behind,
            head_within: second,
            idle_within: second,
            stalled_within: second,
        };
        Arc::new(Door::new(limits))
    }

    #[test]
    fn a_slot_is_released_when_its_connection_ends() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let door = door(4, 2, vec![ip("192.0.2.9")]);
        let why = |result: &Result<ConnectionSlot, DoorFull>| result.as_ref().err().copied();
        let first = door.place(ip("192.0.2.1"));
        let second = door.place(ip("::ffff:192.0.2.1"));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(why(&door.place(ip("192.0.2.1"))), Some(DoorFull::Address));
        let proxies: Vec<_> = (0..2).map(|_| door.place(ip("192.0.2.9"))).collect();
        assert!(proxies.iter().all(Result::is_ok));
        assert_eq!(why(&door.place(ip("192.0.2.2"))), Some(DoorFull::All));
        drop(first);
        let third = door.place(ip("192.0.2.1"));
        assert!(third.is_ok());
        drop((second, third, proxies));
        let open = door.open();
        assert!(open.all == 0 && open.of.is_empty());
    }

    #[test]
    fn a_subscribers_whole_network_is_one_address() {
        let door = door(100, 1, Vec::new());
        let held = door.place("2001:db8:1:2:aaaa::1".parse().unwrap());
        assert!(held.is_ok());
        assert!(door.place("2001:db8:1:2:bbbb::1".parse().unwrap()).is_err());
        assert!(door.place("2001:db8:1:3::1".parse().unwrap()).is_ok());
    }
}
