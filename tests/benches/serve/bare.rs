//! The least that a handler can do: the same bytes for every address, from a constant.

use std::path::Path;
use std::process::ExitCode;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

/// The argument before the file with the bytes.
pub(crate) const ARGUMENT: &str = "--bare";

/// Serves until it is killed, on a runtime of the same size as the service's.
pub(crate) fn serve(body: &Path) -> ExitCode {
    let body = std::fs::read(body).expect("the file with the body is there");
    let body: &'static [u8] = body.leak();
    let answer = async move || ([(CONTENT_TYPE, "application/json")], body);
    let routes = Router::new().route("/v1/deliveries/{id}", get(answer));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime can be started");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        println!("listening on http://{address}");
        axum::serve(listener, routes)
            .await
            .expect("it serves for ever");
    });
    ExitCode::SUCCESS
}
