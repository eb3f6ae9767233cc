//! A company's backend with antiphon inside.

use std::{net::Ipv4Addr, time::Duration};

use antiphon::Antiphon;
use anyhow::Context;
use monolith::{App, Membership, Orders, TokenTable, routes};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let database = std::env::var("DATABASE_URL").context("DATABASE_URL must name a PostgreSQL database")?;
    let (tokens, membership) = (TokenTable::default(), Membership::default());
    let antiphon = Antiphon::builder()
        .database(&database)
        .migrate()
        .authenticator(tokens.clone())
        .directory(membership.clone())
        .start()
        .await?;
    let orders = Orders::open(&database).await?;
    let app = App::new(antiphon, tokens, membership, orders);
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
