//! A client of `graphql-transport-ws` that sends exactly the given messages.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest, handshake::client::Request, http::HeaderValue},
};

use crate::shop::harness::{SOON, Server};

/// An open WebSocket.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
}

/// Returns a handshake request that offers a protocol.
pub(crate) fn handshake(server: &Server, protocol: Option<&str>) -> Request {
    let mut request = format!("ws://{}/graphql", server.address()).into_client_request().unwrap();
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(protocol).unwrap());
    }
    request
}

/// A subscription to the stock of a drop.
pub(crate) const STOCK: &str = "subscription($id: ID!) { \
    stockChanged(dropId: $id) { soldOut items { id stock { free held confirmed } } } }";

impl Socket {
    /// Sends a handshake. The error is the status of the response if the handshake failed.
    pub(crate) async fn try_open(server: &Server, request: Request) -> Result<Self, u16> {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((stream, _)) => Ok(Self { stream }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            // The server accepted none of the offered protocols.
            Err(Error::Protocol(_)) => Err(101),
            Err(other) => panic!("{other}"),
        }
    }

    /// Opens a socket with the protocol, and sends nothing.
    pub(crate) async fn silent(server: &Server) -> Self {
        Self::try_open(server, handshake(server, Some("graphql-transport-ws"))).await.unwrap()
    }

    /// Opens a socket, and waits until the connection is acknowledged.
    pub(crate) async fn open(server: &Server, token: Option<&str>) -> Self {
        let mut socket = Self::silent(server).await;
        let params = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        socket.say(json!({ "type": "connection_init", "payload": params })).await;
        assert_eq!(socket.hear().await, json!({ "type": "connection_ack" }));
        socket
    }

    pub(crate) async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Sends several messages at once, so that they arrive together.
    pub(crate) async fn burst(&mut self, messages: impl IntoIterator<Item = Value>) {
        for message in messages {
            self.stream.feed(Message::text(message.to_string())).await.unwrap();
        }
        self.stream.flush().await.unwrap();
    }

    /// Starts an operation.
    pub(crate) async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(json!({ "type": "subscribe", "id": id, "payload": payload })).await;
    }

    /// Returns the next frame.
    pub(crate) async fn frame(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(SOON, self.stream.next()).await;
        next.expect("nothing came").and_then(Result::ok)
    }

    /// Returns the next message.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            match self.frame().await {
                Some(Message::Text(text)) => return serde_json::from_str(&text).unwrap(),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    /// Returns the data of the next result of an operation.
    pub(crate) async fn data(&mut self, id: &str) -> Value {
        let message = self.hear().await;
        assert!(
            message["type"] == "next" && message["id"] == id && message["payload"].get("errors").is_none(),
            "{message:#}"
        );
        message["payload"]["data"].clone()
    }

    /// Waits for a result that satisfies the condition, and returns it. Skips earlier results.
    pub(crate) async fn until(&mut self, id: &str, good: impl Fn(&Value) -> bool) -> Value {
        let patience = Instant::now();
        loop {
            let data = self.data(id).await;
            if good(&data) {
                return data;
            }
            assert!(patience.elapsed() < SOON, "the condition was not met within {SOON:?}: {data:#}");
        }
    }

    /// Reads to the end, and returns the code and the reason of the close frame.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.frame().await {
                Some(Message::Close(Some(close))) => return (close.code.into(), close.reason.to_string()),
                Some(Message::Close(None)) => return (1005, String::new()),
                Some(_) => {}
                None => return (1006, String::new()),
            }
        }
    }

    /// Asserts that no message arrives within a time.
    pub(crate) async fn is_quiet(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok(frame) =
            tokio::time::timeout(end.saturating_duration_since(Instant::now()), self.stream.next()).await
        {
            assert!(matches!(frame, Some(Ok(Message::Ping(_) | Message::Pong(_)))), "{frame:?}");
        }
    }
}

/// Returns the free units of the only item.
pub(crate) fn free(data: &Value) -> u64 {
    data["stockChanged"]["items"][0]["stock"]["free"].as_u64().unwrap_or_else(|| panic!("no stock: {data:#}"))
}
