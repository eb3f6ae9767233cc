//! An echo on the production codec with its limits lifted, for the WebSocket conformance suite. Never in a release.

use std::sync::Arc;

use antiphon_ws::{Decoder, Event, Opcode, Rules, encode};
use axum::{
    extract::{Request, State},
    response::Response,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    server::Doors,
    upgrade::{accept, switch},
};

pub(crate) async fn echo(State(doors): State<Arc<Doors>>, mut request: Request) -> Response {
    let accept = match accept(&request) {
        Ok(accept) => accept,
        Err(response) => return *response,
    };
    if let Some(on_upgrade) = request.extensions_mut().remove::<OnUpgrade>() {
        doors.node.tasks().spawn_until_end(async move {
            if let Ok(upgraded) = on_upgrade.await {
                drop(run(TokioIo::new(upgraded)).await);
            }
        });
    }
    switch(accept)
}

async fn run<T: AsyncReadExt + AsyncWriteExt + Unpin>(mut io: T) -> std::io::Result<()> {
    let rules = Rules { message_bytes_max: 32 << 20, fragments_max: 1 << 20, binary: true };
    let (mut decoder, mut buffer) = (Decoder::new(), vec![0; 64 * 1024]);
    loop {
        let len = io.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        let mut out = Vec::new();
        let mut rest = &mut buffer[..len];
        let ended = loop {
            match decoder.next_event(rules, &mut rest) {
                Ok(None) => break false,
                Ok(Some(Event::Text(text))) => encode::push_frame(&mut out, Opcode::Text, text.as_bytes()),
                Ok(Some(Event::Binary(bytes))) => encode::push_frame(&mut out, Opcode::Binary, &bytes),
                Ok(Some(Event::Ping(bytes))) => encode::push_frame(&mut out, Opcode::Pong, &bytes),
                Ok(Some(Event::Pong(_))) => {}
                Ok(Some(Event::Close(code, _))) => {
                    match code {
                        Some(code) => out.extend_from_slice(&encode::close_frame(code, "")),
                        None => out.extend_from_slice(&encode::frame(Opcode::Close, b"")),
                    }
                    break true;
                }
                Err(error) => {
                    out.extend_from_slice(&encode::close_frame(error.close_code(), ""));
                    break true;
                }
            }
        };
        io.write_all(&out).await?;
        if ended {
            return io.shutdown().await;
        }
    }
}
