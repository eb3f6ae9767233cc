//! A company's backend with antiphon inside.

use std::{net::Ipv4Addr, time::Duration};

use antiphon::Antiphon;
use monolith::{App, Membership, TokenTable, routes};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (tokens, membership) = (TokenTable::default(), Membership::default());
    let antiphon = Antiphon::builder()
        .database("sqlite:./monolith.db")
        .authenticator(tokens.clone())
        .directory(membership.clone())
        .start()
        .await?;
    let app = App::new(antiphon, tokens, membership);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 3000)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let routes = routes(app.clone());
    // It listens until the last client has left: only then does axum hear of the end.
    let end = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        app.drain(Duration::from_secs(10)).await;
    };
    axum::serve(listener, routes).with_graceful_shutdown(end).await?;
    Ok(())
}
