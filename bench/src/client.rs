//! A minimal HTTP/1.1 client with a persistent connection. It uses the same processors as the measured
//! server, so it does nothing but write a request and find the end of the response.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{Outcome, Trouble};

/// The end of a response's head.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// The size of a page of drops, so that the buffer does not grow during the measurement.
const BUFFER_BYTES: usize = 128 * 1024;

/// A connection, and the last response.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A response, valid until the next request.
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The whole body.
    pub body: &'a [u8],
}

/// The status, and the range of the body in the received bytes.
struct Head {
    status: u16,
    body: std::ops::Range<usize>,
}

impl Connection {
    /// Opens a connection.
    pub async fn open(address: SocketAddr) -> Outcome<Self> {
        let opening = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = opening.await.map_err(Trouble::doing(format_args!("connect to {address}")))?;
        Ok(Self { stream, received: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Sends a request and waits for the whole response.
    pub async fn exchange(&mut self, request: &[u8]) -> Outcome<Answer<'_>> {
        self.received.clear();
        self.stream.write_all(request).await.map_err(Trouble::doing("send a request"))?;
        let mut head = None;
        loop {
            if head.is_none() {
                head = read_head(&self.received)?;
            }
            if head.as_ref().is_some_and(|head| self.received.len() >= head.body.end) {
                break;
            }
            let count =
                self.stream.read_buf(&mut self.received).await.map_err(Trouble::doing("read a response"))?;
            if count == 0 {
                return Err(Trouble::new("the server closed the connection"));
            }
        }
        let complete =
            head.and_then(|head| Some(Answer { status: head.status, body: self.received.get(head.body)? }));
        complete.ok_or_else(|| Trouble::new("a response ended early"))
    }
}

/// Parses the head of a response. Returns `None` while it is incomplete.
fn read_head(received: &[u8]) -> Outcome<Option<Head>> {
    let Some(at) = received.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END) else {
        return Ok(None);
    };
    let text = received.get(..at).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let mut lines = text.ok_or_else(|| Trouble::new("the head of a response is not text"))?.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, length)| length.trim().parse::<usize>().ok());
    let (Some(status), Some(length)) = (status, length) else {
        return Err(Trouble::new("a response has no status or no content-length"));
    };
    let begin = at.saturating_add(HEAD_END.len());
    Ok(Some(Head { status, body: begin..begin.saturating_add(length) }))
}

/// Renders a GET request.
pub fn get(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes()
}

/// Renders a GraphQL request.
pub fn graphql(address: SocketAddr, token: Option<&str>, query: &str, variables: &Value) -> Vec<u8> {
    post(address, token, &json!({ "query": query, "variables": variables }))
}

/// Renders two requests for a query without variables, after Apollo's protocol for persisted queries: the
/// first registers the query, the second requests it by its hash.
pub fn persisted(address: SocketAddr, query: &str) -> (Vec<u8>, Vec<u8>) {
    let hash = hex::encode(Sha256::digest(query));
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
    let known = post(address, None, &json!({ "query": query, "extensions": extensions }));
    let encoded = extensions.to_string().replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
    let accept = "accept: application/graphql-response+json\r\n";
    (
        known,
        format!("GET /graphql?extensions={encoded} HTTP/1.1\r\nhost: {address}\r\n{accept}\r\n").into_bytes(),
    )
}

fn post(address: SocketAddr, token: Option<&str>, request: &Value) -> Vec<u8> {
    let body = request.to_string();
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let accept = "accept: application/graphql-response+json\r\ncontent-type: application/json\r\n";
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: {address}\r\n{accept}{authorization}content-length: {length}\r\n\r\n\
         {body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_parsed_once_it_is_complete() {
        assert!(read_head(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n").unwrap().is_none());
        let head =
            read_head(b"HTTP/1.1 404 Not Found\r\nx: y\r\nContent-Length: 2\r\n\r\n{").unwrap().unwrap();
        assert_eq!((head.status, head.body.len()), (404, 2));
        assert!(read_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }
}
