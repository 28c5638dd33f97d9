//! Connections as the system sees them: how many, and how long one may take nothing.

use std::{any::Any, time::Duration};

use actix_web::{dev::Extensions, rt::net::TcpStream};
use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::SockRef;

/// Bytes that wait in the system until they may be sent: more than a line carries at once, and few of them stale when a client
/// that reads slowly comes to them. What was sent and is not acknowledged does not count.
const WAITING_BYTES_MAX: u32 = 16 * 1024;

/// Raises the limit of open files, and so of connections, as far as this process may: the usual soft limit of 1,024 is one from
/// before a server held thousands.
pub(crate) fn allow_many() {
    let mut limit = getrlimit(Resource::Nofile);
    let (before, most) = (limit.current, limit.maximum);
    limit.current = most;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => tracing::debug!(?before, ?most, "raised the limit of open files"),
        Err(error) => tracing::warn!(%error, ?before, ?most, "the limit of open files could not be raised"),
    }
}

/// Sets up a connection that came in. One whose other end takes nothing for `stall_max`, although there is something for it, is cut by
/// the system, whatever it belongs to.
pub(crate) fn set_up(stall_max: Duration) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + 'static {
    move |connection, _extensions| {
        let Some(stream) = connection.downcast_ref::<TcpStream>() else { return };
        let socket = SockRef::from(stream);
        let set = socket
            .set_tcp_user_timeout(Some(stall_max))
            .and_then(|()| socket.set_tcp_notsent_lowat(WAITING_BYTES_MAX))
            // Small messages go out at once.
            .and_then(|()| socket.set_tcp_nodelay(true));
        if let Err(error) = set {
            tracing::debug!(%error, "a connection could not be set up; it ended already, or the system cannot do it");
        }
    }
}
