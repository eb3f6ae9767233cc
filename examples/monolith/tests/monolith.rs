//! The application as its users meet it: over real sockets.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use antiphon::Antiphon;
use antiphon_client::{Client, Draft, Event, Raw};
use antiphon_testkit::{Database, shared_postgres};
use monolith::{App, Membership, Orders, TokenTable, routes};

/// Its address, its database and itself; none, and said so, where there is no PostgreSQL.
async fn start(test: &str) -> Option<(String, Database, std::sync::Arc<App>)> {
    let database = shared_postgres(test)?;
    let (tokens, membership) = (TokenTable::default(), Membership::default());
    let antiphon = Antiphon::builder()
        .database(database.url())
        .migrate()
        .authenticator(tokens.clone())
        .directory(membership.clone())
        .start()
        .await
        .unwrap();
    let orders = Orders::open(&database.url()).await.unwrap();
    let app = App::new(antiphon, tokens, membership, orders);
    let routes = routes(app.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Some((address.to_string(), database, app))
}

async fn request(address: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

async fn log_in(address: &str, user: &str) -> String {
    let body = format!(r#"{{"company":"acme","user":"{user}","project":"apollo"}}"#);
    let (status, token) = request(address, "POST", "/login", &body).await;
    assert_eq!(status, 200, "{token}");
    token
}

async fn next_text(subscription: &mut antiphon_client::Subscription) -> String {
    loop {
        let event =
            tokio::time::timeout(Duration::from_secs(10), subscription.next()).await.unwrap().unwrap();
        if let Event::Message(message) = event {
            return format!("{:?}", message.content);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_publishes_reaches_who_has_its_token_and_the_removed_get_nothing_more() {
    let Some((address, _database, _)) = start("what_the_application_publishes").await else { return };
    let (ann, bob) = (log_in(&address, "ann").await, log_in(&address, "bob").await);
    let connect = async |token: String| {
        let client = Client::builder(format!("http://{address}")).token(token).connect().await.unwrap();
        let subscription = client.subscribe(Vec::<String>::new()).await.unwrap();
        (client, subscription)
    };
    let (ann, mut anns) = connect(ann).await;
    let (_bob, mut bobs) = connect(bob).await;
    let (status, _) = request(&address, "POST", "/companies/acme/orders", "").await;
    assert_eq!(status, 200);
    assert!(next_text(&mut anns).await.contains("a new order"));
    assert!(next_text(&mut bobs).await.contains("a new order"));
    let (status, _) = request(&address, "DELETE", "/companies/acme/projects/apollo/members/bob", "").await;
    assert_eq!(status, 204);
    ann.publish(Draft::text("for apollo alone").project("apollo")).await.unwrap();
    ann.publish(Draft::text("for all")).await.unwrap();
    assert!(next_text(&mut anns).await.contains("for apollo alone"));
    assert!(next_text(&mut bobs).await.contains("for all"), "bob is on the project no more");
    let stranger = Client::builder(format!("http://{address}")).token("made-up").connect().await;
    assert!(stranger.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_what_is_heard_of_it_are_there_together_or_neither_is() {
    let Some((address, database, _)) = start("an_order_and_what_is_heard").await else { return };
    let token = log_in(&address, "ann").await;
    let client = Client::builder(format!("http://{address}")).token(token).connect().await.unwrap();
    let mut heard = client.subscribe(Vec::<String>::new()).await.unwrap();
    let orders = || database.sql("select count(*) from orders");
    // Nobody works there, so that nobody could hear of it.
    let (status, _) = request(&address, "POST", "/companies/nobody/orders", "").await;
    assert_eq!((status, orders().as_str()), (404, "0"));
    let (_, first) = request(&address, "POST", "/companies/acme/orders", "").await;
    // An order that is undone at its commit.
    database.sql(
        "create function no() returns trigger language plpgsql as $$ begin raise 'no'; end $$; \
         create constraint trigger no after insert on orders deferrable initially deferred for each row execute function no()",
    );
    let (status, _) = request(&address, "POST", "/companies/acme/orders", "").await;
    assert_eq!((status, orders().as_str()), (503, "1"));
    database.sql("drop trigger no on orders");
    let (_, second) = request(&address, "POST", "/companies/acme/orders", "").await;
    assert_eq!(orders(), "2");
    let offset = |position: &str| position.split('-').nth(1).unwrap().parse::<u64>().unwrap();
    assert_eq!(offset(&second), offset(&first) + 1);
    for id in [2, 4] {
        assert!(next_text(&mut heard).await.contains(&format!("a new order: {id}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_moves_the_clients_away_while_the_application_still_answers_and_then_ends() {
    let Some((address, _database, app)) = start("a_drain_moves_the_clients_away").await else { return };
    let token = log_in(&address, "ann").await;
    let mut socket = Raw::connect(&format!("ws://{address}/ws")).await.unwrap();
    socket.send_text(format!(r#"{{"type":"SUBSCRIBE","token":"{token}"}}"#)).await.unwrap();
    socket.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
    let drained = tokio::spawn(async move { app.drain(Duration::from_secs(1)).await });
    assert!(socket.frame_of("RECONNECT").await.unwrap()["afterMs"].is_u64());
    let (status, ready) = request(&address, "GET", "/health/ready", "").await;
    assert!(status == 503 && ready.contains("draining"), "{status} {ready}");
    drop(socket);
    tokio::time::timeout(Duration::from_secs(20), drained).await.unwrap().unwrap();
}
