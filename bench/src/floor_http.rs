//! The floor of a query: a server on the same library that sends the same bytes without any work.

use std::net::{Ipv4Addr, SocketAddr};

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use bench::{Outcome, Trouble};
use tokio::sync::oneshot;

/// A stop closes connections immediately.
const GRACEFUL: bool = false;

/// A server on threads of its own.
pub(crate) struct BareServer {
    address: SocketAddr,
    handle: ServerHandle,
}

impl BareServer {
    /// Starts the server with as many workers as the product: one per processor.
    pub(crate) async fn start(answer: Vec<u8>) -> Outcome<Self> {
        let (tell, told) = oneshot::channel();
        std::thread::spawn(move || actix_web::rt::System::new().block_on(serve(answer, tell)));
        let started = told.await.map_err(|_| Trouble::new("the bare server did not start"))?;
        let (address, handle) = started.map_err(Trouble::doing("start the bare server"))?;
        Ok(Self { address, handle })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn stop(self) {
        self.handle.stop(GRACEFUL).await;
    }
}

async fn serve(answer: Vec<u8>, tell: oneshot::Sender<std::io::Result<(SocketAddr, ServerHandle)>>) {
    let answer = web::Bytes::from(answer);
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let app = move || {
        let answer = answer.clone();
        App::new().route(
            "/graphql",
            web::route().to(move |_request: web::Bytes| std::future::ready(ok(answer.clone()))),
        )
    };
    let server = HttpServer::new(app).workers(workers).disable_signals().bind((Ipv4Addr::LOCALHOST, 0));
    let started = server.and_then(|server| match server.addrs().first() {
        Some(address) => Ok((*address, server.run())),
        None => Err(std::io::Error::other("no address")),
    });
    let told = match started {
        Ok((address, running)) => {
            let told = tell.send(Ok((address, running.handle())));
            if told.is_ok() {
                let _stopped = running.await;
            }
            return;
        }
        Err(error) => tell.send(Err(error)),
    };
    let _nobody_waits = told;
}

fn ok(answer: web::Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/graphql-response+json").body(answer)
}
