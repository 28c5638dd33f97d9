//! Request smuggling: requests that a proxy could read as one request and the server behind it as two.

use std::time::Duration;

use crate::edge::{
    harness::{Server, Setup},
    raw::{statuses, tell},
};

const WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_ambiguous_request_is_refused_and_ends_the_connection() {
    let server = Server::start(Setup::empty()).await;
    let inside = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let post = |headers: &str, body: &str| {
        format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             {headers}\r\n\r\n{body}{inside}"
        )
    };
    let chunked = |body: &str| post("transfer-encoding: chunked", body);
    for (what, request) in [
        ("a length and chunks", post("content-length: 4\r\ntransfer-encoding: chunked", "0\r\n\r\n")),
        ("chunks and a length", post("transfer-encoding: chunked\r\ncontent-length: 4", "0\r\n\r\n")),
        ("two lengths", post("content-length: 0\r\ncontent-length: 5", "abcde")),
        ("the same length twice", post("content-length: 5\r\ncontent-length: 5", "abcde")),
        ("a list of lengths", post("content-length: 5, 5", "abcde")),
        ("a length with a sign", post("content-length: +5", "abcde")),
        ("a negative length", post("content-length: -5", "abcde")),
        ("a length in hexadecimal", post("content-length: 0x5", "abcde")),
        ("a space before the colon", post("content-length : 5", "abcde")),
        ("a length on a second line", post("content-length:\r\n 5", "abcde")),
        ("an unknown coding", post("transfer-encoding: xchunked", "0\r\n\r\n")),
        ("a coding after chunked", post("transfer-encoding: chunked, identity", "0\r\n\r\n")),
        ("a coding before chunked", post("transfer-encoding: gzip, chunked", "0\r\n\r\n")),
        ("chunks twice", post("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n")),
        ("chunked with a control character", post("transfer-encoding: \u{b}chunked", "0\r\n\r\n")),
        ("a chunk with a negative size", chunked("-1\r\na\r\n0\r\n\r\n")),
        ("a chunk size with a prefix", chunked("0x1\r\na\r\n0\r\n\r\n")),
        ("a chunk without a size", chunked("\r\na\r\n0\r\n\r\n")),
        ("a chunk with two sizes", chunked("1 1\r\na\r\n0\r\n\r\n")),
        ("a chunk size that overflows", chunked("fffffffffffffffff\r\na\r\n0\r\n\r\n")),
        ("a chunk longer than its size", chunked("1\r\nab\r\n0\r\n\r\n")),
        ("chunks in HTTP/1.0", chunked("0\r\n\r\n").replacen("HTTP/1.1", "HTTP/1.0", 1)),
        ("two hosts", format!("GET /livez HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n{inside}")),
        ("no host", format!("GET /livez HTTP/1.1\r\n\r\n{inside}")),
        ("a NUL in a header", format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-y: a\0b\r\n\r\n{inside}")),
        ("an unknown protocol version", format!("GET /livez HTTP/3.0\r\nhost: x\r\n\r\n{inside}")),
        ("a method with a space", format!("GE T /livez HTTP/1.1\r\nhost: x\r\n\r\n{inside}")),
    ] {
        let (heard, _) = tell(&server, request.as_bytes(), WITHIN).await;
        let statuses = statuses(&heard);
        assert!(!statuses.is_empty() && statuses.iter().all(|status| *status == 400), "{what}: {heard}");
    }
    let long = format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-y: {}\r\n\r\n", "a".repeat(200_000));
    let many = format!("GET /livez HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-y: a\r\n".repeat(1_000));
    for request in [long, many] {
        let (heard, _) = tell(&server, request.as_bytes(), WITHIN).await;
        assert!(matches!(statuses(&heard)[..], [] | [431]), "{heard}");
    }
    let (heard, _) =
        tell(&server, inside.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes(), WITHIN).await;
    assert_eq!(statuses(&heard), [200]);
}
