//! Requests with files, by the GraphQL multipart request specification: the parts are `operations`, `map` and
//! then the files, in this order.
//!
//! Everything is bounded before it is stored: the bytes of the request and of each part, the bytes not yet
//! parsed, the number of parts, the time, and the number of such requests at a time. Files are written to
//! disk as they arrive. A form of another site can send `multipart/form-data` without a preflight. So a token
//! is required, and a header that no form can set (as Apollo Server does).

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Seek},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::{
        ConnectionType, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName},
    },
    web::{self, Bytes},
};
use futures_util::{Stream, StreamExt, stream};
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio::{io::AsyncWriteExt, sync::mpsc};

use super::{media::Media, params::GraphqlParams, with_document};
use crate::{
    errors::{Code, internal},
    http::{
        HttpEdge,
        bearer::{self, Unknown},
    },
    uploads::{Upload, UploadRules, Uploads},
};

/// One of these headers is required, with any value that is not empty: a page of another site can set none of
/// them without a preflight. Apollo's clients send the first two; the other two are named after no product.
static PREFLIGHT: [HeaderName; 4] = [
    HeaderName::from_static("apollo-require-preflight"),
    HeaderName::from_static("x-apollo-operation-name"),
    HeaderName::from_static("graphql-require-preflight"),
    HeaderName::from_static("graphql-preflight"),
];

/// The longest `map`, in bytes.
const MAP_MAX: usize = 10 * 1024;
/// The most variables that refer to one file.
const PATHS_MAX: usize = 10;
/// The bytes that boundaries and part headers may add to a request.
const FRAMING_MAX: usize = 64 * 1024;
/// The most bytes given to the parser at a time.
const PIECE_MAX: usize = 32 * 1024;
/// The most received bytes that belong to no part yet, such as endless part headers.
const UNREAD_MAX: usize = 256 * 1024;

/// Why a request is refused.
struct UploadRefusal(StatusCode, Code, String);

impl UploadRefusal {
    fn bad(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, Code::BadRequest, why.into())
    }

    fn too_large(why: impl Into<String>) -> Self {
        Self(StatusCode::PAYLOAD_TOO_LARGE, Code::BadRequest, why.into())
    }

    fn later(why: &str) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, Code::Internal, why.to_owned())
    }
}

impl From<multer::Error> for UploadRefusal {
    fn from(error: multer::Error) -> Self {
        match error {
            multer::Error::StreamSizeExceeded { limit } => {
                Self::too_large(format!("the request is larger than {limit} bytes"))
            }
            multer::Error::StreamReadFailed(_) => Self::bad("the body could not be read to its end"),
            other => Self::bad(
                format!("the body is not multipart/form-data: {other}").chars().take(200).collect::<String>(),
            ),
        }
    }
}

/// A file could not be stored, for example because the disk is full.
impl From<io::Error> for UploadRefusal {
    fn from(error: io::Error) -> Self {
        internal(&error);
        Self::later("the server cannot receive files now: try again later")
    }
}

/// Answers a request with files.
pub(super) async fn post(
    request: &HttpRequest,
    body: web::Payload,
    edge: &HttpEdge,
    media: Media,
) -> HttpResponse {
    match receive(request, body, edge).await {
        Ok((asked, uploads)) => {
            request.extensions_mut().insert(uploads);
            with_document(request, edge, asked, media, false).await
        }
        Err(UploadRefusal(status, code, why)) => {
            let mut response = media.refuse(status, code, &why);
            // Unread bytes of the body would be taken for the next request.
            response.head_mut().set_connection_type(ConnectionType::Close);
            response
        }
    }
}

async fn receive(
    request: &HttpRequest,
    body: web::Payload,
    edge: &HttpEdge,
) -> Result<(GraphqlParams, Uploads), UploadRefusal> {
    let rules = &edge.settings.uploads;
    let sent = |name: &HeaderName| request.headers().get(name).is_some_and(|value| !value.is_empty());
    if !PREFLIGHT.iter().any(sent) {
        let names: Vec<_> = PREFLIGHT.iter().map(HeaderName::as_str).collect();
        return Err(UploadRefusal::bad(format!(
            "a request with files needs one of the headers {}",
            names.join(", ")
        )));
    }
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| UploadRefusal::bad("`Content-Type` has no boundary"))?;
    match bearer::viewer(request, edge).await {
        Ok(viewer) if !viewer.is_anonymous() => {}
        Ok(_) | Err(Unknown::Token) => {
            let why = "a request with files needs a valid token: send `Authorization: Bearer`";
            return Err(UploadRefusal(StatusCode::UNAUTHORIZED, Code::Unauthenticated, why.to_owned()));
        }
        Err(Unknown::Failed(failure)) => {
            internal(&*failure);
            return Err(UploadRefusal::later("internal error"));
        }
    }
    let operations_max = usize::try_from(edge.settings.limits.bytes_max).unwrap_or(usize::MAX);
    let bytes_max = rules.file_bytes_max.saturating_mul(rules.files_max);
    let bytes_max =
        bytes_max.saturating_add(operations_max).saturating_add(MAP_MAX).saturating_add(FRAMING_MAX);
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(UploadRefusal::too_large(format!("the request is larger than {bytes_max} bytes")));
    }
    let turn = rules
        .turn()
        .await
        .ok_or_else(|| UploadRefusal::later("too many uploads at the same time: try again later"))?;
    let within =
        tokio::time::timeout(rules.within, read_parts(body, boundary, (bytes_max, operations_max), rules));
    let late = |_| {
        UploadRefusal(
            StatusCode::REQUEST_TIMEOUT,
            Code::BadRequest,
            "the request took too long to arrive".to_owned(),
        )
    };
    let (asked, files) = within.await.map_err(late)??;
    Ok((asked, Uploads { files: files.into_iter().map(Arc::new).collect(), _turn: turn }))
}

/// Parses the parts while the body arrives.
async fn read_parts(
    body: web::Payload,
    boundary: String,
    (bytes_max, operations_max): (usize, usize),
    rules: &UploadRules,
) -> Result<(GraphqlParams, Vec<File>), UploadRefusal> {
    let unread = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = mpsc::channel(1);
    let sizes = SizeLimit::new().whole_stream(u64::try_from(bytes_max).unwrap_or(u64::MAX));
    let multipart =
        Multipart::with_constraints(received(receiver), boundary, Constraints::new().size_limit(sizes));
    let parts = PartReader { multipart, unread: Arc::clone(&unread) };
    tokio::select! {
        biased;
        read = parts.read(operations_max, rules) => read,
        // The body cannot leave the thread of its connection, but the parser needs a stream that is `Send`.
        never = pump(body, sender, &unread) => match never {},
    }
}

fn received(receiver: mpsc::Receiver<io::Result<Bytes>>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
}

async fn pump(
    mut body: web::Payload,
    sender: mpsc::Sender<io::Result<Bytes>>,
    unread: &AtomicUsize,
) -> std::convert::Infallible {
    if let Err(broken) = pump_pieces(&mut body, &sender, unread).await {
        // Sending fails only when nobody listens any more.
        let _heard = sender.send(Err(broken)).await;
    }
    drop(sender);
    std::future::pending().await
}

async fn pump_pieces(
    body: &mut web::Payload,
    sender: &mpsc::Sender<io::Result<Bytes>>,
    unread: &AtomicUsize,
) -> io::Result<()> {
    while let Some(chunk) = body.next().await {
        let mut chunk = chunk.map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        while !chunk.is_empty() {
            let piece = chunk.split_to(chunk.len().min(PIECE_MAX));
            let length = piece.len();
            if unread.fetch_add(length, Ordering::Relaxed).saturating_add(length) > UNREAD_MAX {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            sender.send(Ok(piece)).await.map_err(io::Error::other)?;
        }
    }
    Ok(())
}

struct PartReader {
    multipart: Multipart<'static>,
    unread: Arc<AtomicUsize>,
}

impl PartReader {
    async fn read(
        mut self,
        operations_max: usize,
        rules: &UploadRules,
    ) -> Result<(GraphqlParams, Vec<File>), UploadRefusal> {
        let operations = self.small("operations", operations_max).await?;
        let mut asked = GraphqlParams::from_json(&operations)
            .map_err(|why| UploadRefusal::bad(format!("`operations`: {why}")))?;
        let map = self.small("map", MAP_MAX).await?;
        let map: BTreeMap<String, Vec<String>> = serde_json::from_slice(&map).map_err(|_| {
            UploadRefusal::bad(
                "`map` must be a JSON object of lists of paths, such as {\"0\": [\"variables.file\"]}",
            )
        })?;
        if map.len() > rules.files_max {
            return Err(UploadRefusal::bad(format!("a request may have at most {} files", rules.files_max)));
        }
        let names: Vec<&String> = map.keys().collect();
        for (number, paths) in map.values().enumerate() {
            if paths.is_empty() || paths.len() > PATHS_MAX {
                return Err(UploadRefusal::bad(format!(
                    "each file in `map` must have 1 to {PATHS_MAX} paths"
                )));
            }
            for path in paths {
                place(&mut asked, path, number).ok_or_else(|| {
                    let shown: String = path.chars().filter(|sign| !sign.is_control()).take(80).collect();
                    UploadRefusal::bad(format!("`map`: `{shown}` does not lead to a variable that is null"))
                })?;
            }
        }
        let mut files: BTreeMap<usize, File> = BTreeMap::new();
        while let Some(field) = self.multipart.next_field().await? {
            let number = field.name().and_then(|name| names.iter().position(|known| *known == name));
            let number = number.ok_or_else(|| {
                UploadRefusal::bad("a part is not named in `map`: send `operations`, `map` and the files")
            })?;
            let file = self.file(field, rules).await?;
            if files.insert(number, file).is_some() {
                return Err(UploadRefusal::bad("a file was sent twice"));
            }
        }
        if files.len() < names.len() {
            return Err(UploadRefusal::bad("a file of `map` was not sent"));
        }
        Ok((asked, files.into_values().collect()))
    }

    /// Reads the next part, which must have this name, into memory.
    async fn small(&mut self, name: &str, bytes_max: usize) -> Result<Vec<u8>, UploadRefusal> {
        let field = self.multipart.next_field().await?;
        let order =
            || UploadRefusal::bad("the parts must be `operations`, `map` and the files, in this order");
        let mut field = field.filter(|field| field.name() == Some(name)).ok_or_else(order)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(&mut field).await? {
            if bytes.len().saturating_add(chunk.len()) > bytes_max {
                return Err(UploadRefusal::too_large(format!("`{name}` is larger than {bytes_max} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Writes a part to disk.
    async fn file(&self, mut field: Field<'static>, rules: &UploadRules) -> Result<File, UploadRefusal> {
        let spool = rules.spool.clone();
        // The file never has a name, so there is nothing to clean up.
        let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(spool))
            .await
            .map_err(io::Error::other)??;
        let mut file = tokio::fs::File::from_std(file);
        let mut length = 0_usize;
        while let Some(chunk) = self.chunk(&mut field).await? {
            length = length.saturating_add(chunk.len());
            if length > rules.file_bytes_max {
                return Err(UploadRefusal::too_large(format!(
                    "a file is larger than {} bytes",
                    rules.file_bytes_max
                )));
            }
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        let mut file = file.into_std().await;
        file.rewind()?;
        Ok(file)
    }

    async fn chunk(&self, field: &mut Field<'static>) -> Result<Option<Bytes>, UploadRefusal> {
        let chunk = field.chunk().await?;
        let read = chunk.as_ref().map_or(0, Bytes::len);
        let _before = self
            .unread
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |unread| Some(unread.saturating_sub(read)));
        Ok(chunk)
    }
}

/// Puts the placeholder of a file at a path such as `variables.input.file` or `variables.files.0`. Returns
/// `None` unless the path leads to null.
fn place(asked: &mut GraphqlParams, path: &str, number: usize) -> Option<()> {
    let mut steps = path.split('.');
    if steps.next() != Some("variables") {
        return None;
    }
    let mut value = asked.variables.as_mut()?.get_mut(steps.next()?)?;
    for step in steps {
        value = match value {
            serde_json::Value::Object(fields) => fields.get_mut(step)?,
            serde_json::Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    if !value.is_null() {
        return None;
    }
    *value = serde_json::Value::String(Upload::placeholder(number));
    Some(())
}
