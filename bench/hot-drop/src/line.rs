//! A connection that is opened anew when the server has closed it, as a browser does.

use std::{net::SocketAddr, time::Duration};

use bench::{
    Outcome, Trouble,
    client::{Answer, Connection},
};

/// Longer than any server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// To one server.
pub(crate) struct Line {
    address: SocketAddr,
    connection: Option<Connection>,
}

impl Line {
    /// To be opened when it is needed.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Opened now.
    pub(crate) async fn open(address: SocketAddr) -> Outcome<Self> {
        Ok(Self { address, connection: Some(Connection::open(address).await?) })
    }

    /// Sends a request and reads its answer. What was sent on a connection that had been closed is sent
    /// again: requests are queries, or have keys that make a repetition harmless.
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
        // One that is late is not kept: its answer would be taken for that of the next request.
        tokio::time::timeout(PATIENCE, asking)
            .await
            .unwrap_or_else(|_| Err(Trouble::new("a request took longer than 30 seconds")))
    }
}
