//! A connection that is reopened when the server has closed it, as in a browser.

use std::{net::SocketAddr, time::Duration};

use bench::{
    Outcome, Trouble,
    client::{Answer, Connection},
};

/// The timeout of a request: longer than any server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to one server.
pub(crate) struct Line {
    address: SocketAddr,
    connection: Option<Connection>,
}

impl Line {
    /// Creates a connection that is opened on first use.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Opens a connection.
    pub(crate) async fn open(address: SocketAddr) -> Outcome<Self> {
        Ok(Self { address, connection: Some(Connection::open(address).await?) })
    }

    /// Sends a request and reads its response. If the connection was closed, the request is sent again on a
    /// new one. That is safe: requests are queries or have idempotency keys.
    pub(crate) async fn ask<T>(&mut self, request: &[u8], read: impl FnOnce(&Answer<'_>) -> T) -> Outcome<T> {
        let asking = async {
            if let Some(mut kept) = self.connection.take()
                && let Ok(answer) = kept.exchange(request).await
            {
                let said = read(&answer);
                self.connection = Some(kept);
                return Ok(said);
            }
            let mut opened = Connection::open(self.address).await?;
            let said = read(&opened.exchange(request).await?);
            self.connection = Some(opened);
            Ok(said)
        };
        // After a timeout the connection is dropped, because its late response would be read as that of the
        // next request.
        tokio::time::timeout(PATIENCE, asking)
            .await
            .unwrap_or_else(|_| Err(Trouble::new("a request took longer than 30 seconds")))
    }
}
