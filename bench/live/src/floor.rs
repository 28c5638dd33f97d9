//! The floor: a server that does nothing but send what it receives to all WebSockets.

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use futures_util::StreamExt;
use tokio::sync::watch;

/// Serves on a free port until the process is ended. Prints the address.
pub(crate) fn serve() {
    let newest = web::Data::new(watch::Sender::new(String::new()));
    rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            let app = App::new().app_data(newest.clone());
            app.route("/graphql", web::get().to(open)).route("/change", web::post().to(change))
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let server = server.workers(cores).bind(("127.0.0.1", 0)).expect("a free port");
        let address = server.addrs().into_iter().next().expect("an address");
        println!("listens on http://{address}");
        super::processes::allow_many_files();
        server.run().await.expect("the server runs");
    });
}

async fn change(newest: web::Data<watch::Sender<String>>, body: String) -> HttpResponse {
    newest.send_replace(body);
    HttpResponse::NoContent().finish()
}

async fn open(
    request: HttpRequest,
    body: web::Payload,
    newest: web::Data<watch::Sender<String>>,
) -> actix_web::Result<HttpResponse> {
    let (mut response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    let protocol = request.headers().get("sec-websocket-protocol").cloned();
    if let Some(protocol) = protocol {
        response.headers_mut().insert(actix_web::http::header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let mut newest = newest.subscribe();
    rt::spawn(async move {
        loop {
            tokio::select! {
                message = messages.next() => if !matches!(message, Some(Ok(_))) {
                    return;
                },
                changed = newest.changed() => {
                    let text = newest.borrow_and_update().clone();
                    if changed.is_err() || session.text(text).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    Ok(response)
}
