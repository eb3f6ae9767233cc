//! The upgrade: who may open a socket, and the hand-over of the raw socket to a shard.

use std::{any::Any, sync::Arc};

use antiphon_core::AuthError;
use antiphon_node::Caller;
use antiphon_protocol::{ErrorCode, ProblemCode};
use antiphon_reactor::{Accepted, HalfOpenPlace, RawSocket};
use antiphon_session::Opening;
use antiphon_ws::handshake::{Upgrade, UpgradeError};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, Version, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade::downcast};
use tokio::net::TcpStream;

use crate::{asker, origin, peer, problem::Problem, pump, server::Doors};

/// An extension of a request: what its acceptor counts a half-open connection by. It is held until the client of the socket
/// has shown who it is, or has gone; for any other request, until that is answered.
#[derive(Clone)]
pub struct HalfOpen(pub HalfOpenPlace);

/// An extension of a request: by what its acceptor sees that the connection is in use. It is held until the request is
/// answered; where it becomes a socket that goes on over the same connection (HTTP/2), until that ends.
#[derive(Clone)]
pub struct InUse(pub Arc<dyn Any + Send + Sync>);

/// `/ws`: GET with an upgrade, or CONNECT over HTTP/2.
pub(crate) async fn upgrade(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    answer(&doors, request).await.unwrap_or_else(|refused| *refused)
}

async fn answer(doors: &Arc<Doors>, mut request: Request) -> Result<Response, Box<Response>> {
    if let Err(origin::ForeignOrigin(text)) = origin::check(&request, &doors.options.allowed_origins) {
        let origin: String = text.chars().take(peer::CLAIM_CHARS).collect();
        tracing::warn!(
            origin = origin.as_str(),
            "a foreign origin was refused; --allowed-origin would allow it"
        );
        return Err(
            Problem::new(ProblemCode::Refused(ErrorCode::Forbidden), "this origin is not allowed").into()
        );
    }
    let accept = accept(&request)?;
    room(doors)?;
    let mut opening = Opening {
        caller: None,
        user_agent: peer::claimed(request.headers(), "user-agent"),
        forwarded_for: peer::claimed(request.headers(), "x-forwarded-for"),
        address: peer::believed(request.extensions(), request.headers(), &doors.options.trusted_proxies),
    };
    let place = request.extensions_mut().remove::<HalfOpen>().map(|HalfOpen(place)| place);
    let in_use = request.extensions_mut().remove::<InUse>();
    let shown = shown(&request).inspect_err(|_| refused("not of the form of a token", &opening))?;
    opening.caller = caller(doors, shown, &opening).await?;
    let Some(on_upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(Problem::invalid("this connection can't be upgraded").into());
    };
    let doors = doors.clone();
    let tasks = doors.node.tasks().clone();
    tasks.spawn_until_end(async move {
        let patience = doors.node.limits().handshake_timeout;
        match tokio::time::timeout(patience, on_upgrade).await {
            Ok(Ok(upgraded)) => hand_over(&doors, upgraded, opening, place, in_use),
            Ok(Err(error)) => tracing::debug!(%error, "an upgrade did not come to pass"),
            Err(_) => tracing::debug!("a client did not take the answer to its upgrade"),
        }
    });
    Ok(switch(accept))
}

/// What the answer to a good handshake needs: the accept key over HTTP/1, nothing over HTTP/2.
pub(crate) fn accept(request: &Request) -> Result<Option<String>, Box<Response>> {
    let headers = request.headers();
    let joined = |name: &str| {
        let values: Vec<&str> =
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.join(","))
    };
    if request.version() == Version::HTTP_2 && request.method() == Method::CONNECT {
        let protocol = request.extensions().get::<hyper::ext::Protocol>();
        if protocol.is_none_or(|protocol| protocol.as_str() != "websocket") {
            return Err(Problem::invalid("`:protocol` must be websocket").into());
        }
        return match joined("sec-websocket-version").as_deref() {
            Some("13") => Ok(None),
            _ => Err(not_upgraded(&UpgradeError::Version)),
        };
    }
    if request.method() != Method::GET {
        return Err(Problem::method_not_allowed().into());
    }
    let (connection, upgrade) = (joined("connection"), joined("upgrade"));
    let (version, key) = (joined("sec-websocket-version"), joined("sec-websocket-key"));
    let asked = Upgrade {
        connection: connection.as_deref(),
        upgrade: upgrade.as_deref(),
        version: version.as_deref(),
        key: key.as_deref(),
    };
    asked.accept().map(Some).map_err(|error| not_upgraded(&error))
}

fn not_upgraded(error: &UpgradeError) -> Box<Response> {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = Problem::invalid(error.to_string()).with_status(status).into_response();
    response.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("13"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Box::new(response)
}

pub(crate) fn switch(accept: Option<String>) -> Response {
    let Some(accept) = accept else { return StatusCode::OK.into_response() };
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header("sec-websocket-accept", accept)
        .body(Body::empty())
        .expect("these headers are valid")
}

fn room(doors: &Doors) -> Result<(), Problem> {
    let limits = doors.node.limits();
    let is_full =
        doors.reactor.connections() >= limits.connections || doors.reactor.half_open() >= limits.half_open;
    // A node that drains still accepts while its balancer has not noticed.
    if is_full || !doors.node.health().accepting {
        return Err(Problem::unavailable(1000 + rand::random_range(0..4000)));
    }
    Ok(())
}

/// What an upgrade shows of who it is.
enum Shown {
    Nothing,
    Token(String),
    Identity(antiphon_core::Identity),
}

fn shown(request: &Request) -> Result<Shown, Problem> {
    if let Some(identity) = request.extensions().get::<antiphon_core::Identity>() {
        return Ok(Shown::Identity(identity.clone()));
    }
    Ok(asker::bearer(request.headers())?.map_or(Shown::Nothing, |token| Shown::Token(token.to_owned())))
}

/// The caller, where the upgrade shows a token or the embedding application has said who it is.
async fn caller(doors: &Doors, shown: Shown, opening: &Opening) -> Result<Option<Arc<Caller>>, Problem> {
    let checked = match shown {
        Shown::Nothing => return Ok(None),
        Shown::Identity(identity) => doors.node.admit(identity).await,
        Shown::Token(token) => doors.node.authenticate(&token).await,
    };
    match checked {
        Ok(caller) => Ok(Some(caller)),
        Err(AuthError::Invalid(reason)) => {
            refused(reason, opening);
            Err(Problem::unauthorized())
        }
        Err(AuthError::Seam(error)) => Err(error.into()),
    }
}

fn refused(reason: &'static str, opening: &Opening) {
    tracing::warn!(
        reason,
        agent = opening.user_agent.as_deref(),
        forwarded_for = opening.forwarded_for.as_deref(),
        address = opening.address.map(tracing::field::display),
        "an upgrade shows no valid token"
    );
}

/// Takes the plain TCP socket out of what hyper had; anything else is pumped over a socket pair.
fn hand_over(
    doors: &Arc<Doors>,
    upgraded: Upgraded,
    opening: Opening,
    place: Option<HalfOpenPlace>,
    in_use: Option<InUse>,
) {
    let taken = match downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => parts.io.into_inner().into_std().map(|io| (RawSocket::Tcp(io), parts.read_buf)),
        Err(upgraded) => {
            pump::pair(TokioIo::new(upgraded), doors.node.limits().progress_timeout).map(|(there, pump)| {
                doors.node.tasks().spawn_until_end(async move {
                    let _in_use = in_use;
                    pump.await;
                });
                (RawSocket::Unix(there), Bytes::new())
            })
        }
    };
    match taken {
        Ok((socket, read)) => doors.reactor.accept(Accepted { socket, read, opening, place }),
        Err(error) => tracing::warn!(%error, "a socket could not be taken over: the connection is dropped"),
    }
}
