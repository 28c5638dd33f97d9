//! The TCP connections of the edge: their number is limited, and so is the time a client may take.
//!
//! actix-http limits only the head of the first request on a connection and the idle time between requests.
//! After its first request a client could send the next head one byte a minute, keep sending a body that
//! nobody reads, or never read its answer. So each connection is [`watched`], and the [`door`] counts them,
//! in total and by address.

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

/// How long a connection goes on reading, and then waits for the client to close it, after an answer was sent
/// before the whole request was read.
const LINGER: Duration = Duration::from_secs(1);

/// Limits on the number of connections and on the time a client may take.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// The most connections at the same time.
    pub connections_max: usize,
    /// The most connections of one address at the same time.
    pub per_address_max: usize,
    /// The addresses of proxies, whose connections are not counted as those of one client.
    pub many_behind: Vec<IpAddr>,
    /// The longest time from the start of a request to the end of its head.
    pub head_within: Duration,
    /// The longest time from an answer to the next request.
    pub idle_within: Duration,
    /// The longest time in which a client may read less than a few kilobytes of its answer.
    pub stalled_within: Duration,
}

/// Serves an application on a listener with the given number of threads. The returned future runs the server.
/// A graceful stop waits for requests up to `stops_within_secs` seconds.
///
/// # Errors
///
/// When the listener cannot be used.
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
    // More than the door admits, so that surplus connections are refused instead of waiting.
    let builder = Server::build().workers(threads).disable_signals().shutdown_timeout(stops_within_secs);
    let builder = builder.max_concurrent_connections(connections_max.saturating_mul(2));
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("edge", listener, move || {
        let (door, stopping) = (Arc::clone(&door), stopping.clone());
        let service = map_config(application(), |()| AppConfig::default());
        // A request is in progress until the last byte of its answer has been taken from the application.
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
            // A client that closes its sending side is treated as gone, and its request is cancelled.
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
