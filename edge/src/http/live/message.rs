//! The messages and close codes of the WebSocket protocol `graphql-transport-ws`
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).

use actix_web::web::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::http::graphql::params::GraphqlParams;

/// The name of the protocol.
pub(super) const PROTOCOL: &str = "graphql-transport-ws";

/// The longest id of an operation, in bytes. Common clients generate ids of 36 bytes.
const ID_BYTES_MAX: usize = 256;

/// The longest reason of a close, in bytes: a control frame has 125, of which two hold the code (RFC 6455,
/// section 5.5).
const REASON_BYTES_MAX: usize = 123;

/// The code and the reason with which a socket is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) reason: String,
}

impl Close {
    const NORMAL: u16 = 1000;

    fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason: String = reason.into();
        while reason.len() > REASON_BYTES_MAX {
            reason.pop();
        }
        Self { code, reason }
    }

    /// The client has closed the socket.
    pub(super) fn normal() -> Self {
        Self::new(Self::NORMAL, "")
    }
    /// Returns whether it answers the client's own close.
    pub(super) fn is_answer(&self) -> bool {
        self.code == Self::NORMAL
    }
    /// The server is stopping.
    pub(super) fn going_away() -> Self {
        Self::new(1001, "Going away")
    }
    /// The client sent an invalid WebSocket frame.
    pub(super) fn broken() -> Self {
        Self::new(1002, "Protocol error")
    }
    /// A text message is not UTF-8.
    pub(super) fn not_text() -> Self {
        Self::new(1007, "Not UTF-8")
    }
    /// A message is too long.
    pub(super) fn too_long(bytes_max: usize) -> Self {
        Self::new(1009, format!("A message has at most {bytes_max} bytes"))
    }
    /// The client sent something that is not a message of the protocol.
    pub(super) fn bad_request(why: impl Into<String>) -> Self {
        Self::new(4400, why)
    }
    /// The client sent an operation before the connection was acknowledged.
    pub(super) fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }
    /// The token is not valid or no longer valid, or the page may not connect.
    pub(super) fn forbidden(why: impl Into<String>) -> Self {
        Self::new(4403, why)
    }
    /// The client does not support the protocol.
    pub(super) fn not_acceptable() -> Self {
        Self::new(4406, format!("Subprotocol not acceptable: offer {PROTOCOL}"))
    }
    /// `connection_init` did not arrive in time.
    pub(super) fn init_timeout() -> Self {
        Self::new(4408, "Connection initialisation timeout")
    }
    /// The id of the operation is in use.
    pub(super) fn already_exists(id: &str) -> Self {
        Self::new(4409, format!("Subscriber for {id} already exists"))
    }
    /// `connection_init` arrived twice.
    pub(super) fn too_many_inits() -> Self {
        Self::new(4429, "Too many initialisation requests")
    }
    /// The client has started twice as many operations as it may run at once.
    pub(super) fn too_many_operations() -> Self {
        Self::new(4429, "Too many operations")
    }
    /// An internal failure.
    pub(super) fn internal() -> Self {
        Self::new(4500, "Internal server error")
    }
}

/// A message of the client.
pub(super) enum ClientMessage {
    ConnectionInit { params: Map<String, Value> },
    Ping,
    Pong,
    Subscribe { id: String, asked: GraphqlParams },
    Complete { id: String },
}

/// A message whose fields have not been checked against its type.
#[derive(Deserialize)]
struct RawMessage {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    payload: Option<Value>,
}

impl ClientMessage {
    /// Parses a message; the error says what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let raw: RawMessage = serde_json::from_str(text)
            .map_err(|_| "Invalid message: expected an object with `type`".to_owned())?;
        let wrong = |what: &str| format!("Invalid `{}` message: {what}", raw.kind);
        let params = match &raw.payload {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(fields)) => Ok(fields.clone()),
            Some(_) => Err(wrong("`payload` must be an object")),
        };
        let id = || match &raw.id {
            Some(id) if id.is_empty() || id.len() > ID_BYTES_MAX => {
                Err(wrong("`id` must have 1 to 256 bytes"))
            }
            Some(id) => Ok(id.clone()),
            None => Err(wrong("`id` is missing")),
        };
        match raw.kind.as_str() {
            "connection_init" => Ok(Self::ConnectionInit { params: params? }),
            "ping" => params.map(|_| Self::Ping),
            "pong" => params.map(|_| Self::Pong),
            "subscribe" => {
                let (id, payload) = (id()?, Value::Object(params?));
                let asked: GraphqlParams =
                    serde_json::from_value(payload).map_err(|_| wrong("malformed `payload`"))?;
                match asked.query {
                    Some(_) => Ok(Self::Subscribe { id, asked }),
                    None => Err(wrong("`query` is missing in the `payload`")),
                }
            }
            "complete" => Ok(Self::Complete { id: id()? }),
            _ => Err("Invalid message: unknown `type`".to_owned()),
        }
    }
}

/// Acknowledges the connection.
pub(super) const ACK: &str = r#"{"type":"connection_ack"}"#;
/// Answers a ping.
pub(super) const PONG: &str = r#"{"type":"pong"}"#;

/// Returns the message with one result of an operation.
pub(super) fn next(id: &str, result: &Bytes) -> String {
    of("next", id, Some(result))
}

/// Returns the message that an operation was refused, with the list of errors.
pub(super) fn error(id: &str, errors: &Bytes) -> String {
    of("error", id, Some(errors))
}

/// Returns the message that an operation has ended.
pub(super) fn complete(id: &str) -> String {
    of("complete", id, None)
}

fn of(kind: &str, id: &str, payload: Option<&Bytes>) -> String {
    // Serialized JSON is always UTF-8.
    let payload = payload.and_then(|payload| std::str::from_utf8(payload).ok());
    let id = Value::from(id);
    match payload {
        Some(payload) => format!(r#"{{"id":{id},"type":"{kind}","payload":{payload}}}"#),
        None => format!(r#"{{"id":{id},"type":"{kind}"}}"#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_client_messages_are_parsed() {
        for good in [
            r#"{"type":"connection_init"}"#,
            r#"{"type":"connection_init","payload":null}"#,
            r#"{"type":"connection_init","payload":{"authorization":"Bearer x"}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"pong","payload":{"at":1}}"#,
            r#"{"type":"complete","id":"1"}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }"}}"#,
            concat!(
                r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","variables":null,"#,
                r#""operationName":null,"extensions":{}}}"#
            ),
        ] {
            assert!(ClientMessage::read(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", "an object"),
            ("[]", "an object"),
            (r#""ping""#, "an object"),
            (r#"{"type":1}"#, "an object"),
            (r#"{"id":"1"}"#, "an object"),
            (r#"{"type":"connection_ack"}"#, "unknown `type`"),
            (r#"{"type":"next","id":"1","payload":{}}"#, "unknown `type`"),
            (r#"{"type":"start","id":"1","payload":{"query":"{ a }"}}"#, "unknown `type`"),
            (r#"{"type":"connection_init","payload":"token"}"#, "must be an object"),
            (r#"{"type":"ping","payload":[]}"#, "must be an object"),
            (r#"{"type":"complete"}"#, "`id` is missing"),
            (r#"{"type":"complete","id":""}"#, "1 to 256"),
            (r#"{"type":"complete","id":7}"#, "an object"),
            (r#"{"type":"subscribe","payload":{"query":"{ a }"}}"#, "`id` is missing"),
            (r#"{"type":"subscribe","id":"1"}"#, "`query` is missing"),
            (r#"{"type":"subscribe","id":"1","payload":{}}"#, "`query` is missing"),
            (r#"{"type":"subscribe","id":"1","payload":{"query":7}}"#, "malformed"),
            (r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","variables":[]}}"#, "malformed"),
            (r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","operationName":{}}}"#, "malformed"),
        ] {
            let complaint = ClientMessage::read(bad).err().unwrap_or_default();
            assert!(complaint.contains(why), "{bad}: {complaint}");
        }
    }

    #[test]
    fn an_id_is_written_as_json_and_a_reason_fits_into_its_frame() {
        assert_eq!(complete("a\"b"), r#"{"id":"a\"b","type":"complete"}"#);
        assert_eq!(next("1", &Bytes::from_static(b"{}")), r#"{"id":"1","type":"next","payload":{}}"#);
        let close = Close::already_exists(&"é".repeat(128));
        assert!(close.reason.len() <= 123 && close.reason.ends_with('é'), "{close:?}");
    }
}
