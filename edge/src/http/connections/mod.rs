//! The connections that the edge is served on: how many there may be, and how long a client may take for what
//! it does on one.
//!
//! actix-http bounds the head of a connection's first request and the time between requests, and nothing
//! else: after its first request a client could send the head of the second one byte a minute, go on for ever
//! with a body that nobody reads, or take in nothing of its answer. So each connection is [`watched`], and
//! [`door`] counts them, by address too.

mod door;
mod watched;

use std::{
    io,
    net::{IpAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_http::{HttpServiceBuilder, error::DispatchError};
use actix_server::Server;
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::{
    body::MessageBody,
    dev::{AppConfig, Response},
};
use tokio::net::TcpStream;

use door::Door;
use watched::{Answering, RequestTurns, Watched};

/// How long a connection goes on reading, and then waits for its end, when an answer was sent before the
/// whole request was read.
const LINGER: Duration = Duration::from_secs(1);

/// How many connections there may be, and how long what happens on one may take.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// The most at once.
    pub connections_max: usize,
    /// The most at once of one address.
    pub per_address_max: usize,
    /// The addresses whose connections are not counted as one client's: proxies.
    pub many_behind: Vec<IpAddr>,
    /// The longest from the begin of a request to the end of its head.
    pub head_within: Duration,
    /// The longest from an answer to the next request.
    pub idle_within: Duration,
    /// The longest in which a client may take in less than a few kilobytes of its answer.
    pub stalled_within: Duration,
}

/// Serves an application on a listener, with so many threads. The server is the future that is to be run; a
/// stop waits for requests for so many seconds.
///
/// # Errors
///
/// When the listener is of no use.
pub fn serve<F, I, S, B>(
    listener: TcpListener,
    threads: usize,
    stops_within_secs: u64,
    limits: ConnectionLimits,
    application: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, actix_http::Request>,
    S: ServiceFactory<actix_http::Request, Config = AppConfig, Error = actix_web::Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>>,
    S::Service: 'static,
    <S::Service as actix_service::Service<actix_http::Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let (head_within, idle_within, connections_max) =
        (limits.head_within, limits.idle_within, limits.connections_max);
    let door = Arc::new(Door::new(limits));
    // More than the door lets in, so that one too many is refused there rather than left to wait.
    let builder = Server::build().workers(threads).disable_signals().shutdown_timeout(stops_within_secs);
    let builder = builder.max_concurrent_connections(connections_max.saturating_mul(2));
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("edge", listener, move || {
        let (door, stopping) = (Arc::clone(&door), stopping.clone());
        let service = map_config(application(), |()| AppConfig::default());
        // A request's turn lasts until the last of its answer was taken out of the application.
        let service = apply_fn_factory(service, |request: actix_http::Request, service: &S::Service| {
            let turn = request.conn_data::<Rc<RequestTurns>>().map(RequestTurns::begin);
            let answer = actix_service::Service::call(service, request);
            async move {
                let answer: Response<B> = answer.await?.into();
                Ok::<_, actix_web::Error>(answer.map_body(|_, body| Answering::new(body, turn)))
            }
        });
        let http = HttpServiceBuilder::default()
            .keep_alive(idle_within)
            .client_request_timeout(head_within)
            .client_disconnect_timeout(LINGER)
            // A client that closes its end has gone away: what it asked for is given up.
            .h1_allow_half_closed(false)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|connection: &Watched, data| drop(data.insert(connection.turns())));
        fn_service(move |stream: TcpStream| {
            let let_in = door.let_in(stream).map_err(DispatchError::Io);
            std::future::ready(let_in)
        })
        .and_then(http.h1::<_, Answering>(service))
    })?;
    Ok(server.run())
}
