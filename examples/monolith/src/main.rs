//! A company's backend with antiphon inside.

use std::net::Ipv4Addr;

use antiphon::Antiphon;
use monolith::{App, Membership, TokenTable, routes};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (tokens, membership) = (TokenTable::default(), Membership::default());
    let antiphon = Antiphon::builder()
        .database("sqlite:./monolith.db")
        .authenticator(tokens.clone())
        .directory(membership.clone())
        .start()
        .await?;
    let app = routes(App::new(antiphon, tokens, membership));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 3000)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
