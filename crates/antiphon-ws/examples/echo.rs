//! An echo server for conformance suites: the codec of production behind the plainest of sockets, a thread for each
//! connection, its bounds lifted to what the suites send. Never a model of how the product drives the codec.
//!
//! `cargo run --release -p antiphon-ws --example echo -- 127.0.0.1:9001`

use std::{
    env,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use antiphon_ws::{Decoder, Event, Opcode, Rules, encode, handshake::Upgrade};

const RULES: Rules = Rules { message_bytes_max: 64 << 20, fragments_max: u32::MAX, binary: true };
const HEAD_BYTES_MAX: usize = 8 * 1024;

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(&address)?;
    println!("echoing on {address}");
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            if let Err(error) = serve(stream) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut decoder = Decoder::new();
    // A client may send its first frames with its request.
    let mut filled = upgrade(&mut stream, &mut buffer)?;
    let mut out = Vec::new();
    loop {
        let open = echo(&mut decoder, &mut buffer[..filled], &mut out);
        stream.write_all(&out)?;
        out.clear();
        if !open {
            return linger(&mut stream, &mut buffer);
        }
        filled = stream.read(&mut buffer)?;
        if filled == 0 {
            return Ok(());
        }
    }
}

/// Answers what has arrived; false once the last word has been said.
fn echo(decoder: &mut Decoder, mut input: &mut [u8], out: &mut Vec<u8>) -> bool {
    loop {
        match decoder.next_event(RULES, &mut input) {
            Ok(None) => return true,
            Ok(Some(Event::Text(text))) => encode::push_frame(out, Opcode::Text, text.as_bytes()),
            Ok(Some(Event::Binary(bytes))) => encode::push_frame(out, Opcode::Binary, &bytes),
            Ok(Some(Event::Ping(payload))) => encode::push_frame(out, Opcode::Pong, &payload),
            Ok(Some(Event::Pong(_))) => {}
            Ok(Some(Event::Close(code, reason))) => {
                match code {
                    Some(code) => out.extend_from_slice(&encode::close_frame(code, &reason)),
                    None => encode::push_frame(out, Opcode::Close, b""),
                }
                return false;
            }
            Err(error) => {
                out.extend_from_slice(&encode::close_frame(error.close_code(), &error.to_string()));
                return false;
            }
        }
    }
}

/// Reads the request and answers it; the count of bytes behind it, moved to the start of the buffer.
fn upgrade(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    let end = loop {
        let read = stream.read(&mut buffer[filled..HEAD_BYTES_MAX])?;
        filled += read;
        if let Some(at) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if read == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    };
    let head = str::from_utf8(&buffer[..end]).map_err(io::Error::other)?;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let request = Upgrade {
        connection: header("connection"),
        upgrade: header("upgrade"),
        version: header("sec-websocket-version"),
        key: header("sec-websocket-key"),
    };
    match request.accept() {
        Ok(accept) => write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )?,
        Err(error) => {
            let status = error.status();
            write!(
                stream,
                "HTTP/1.1 {status} Refused\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n"
            )?;
            return Err(io::Error::other(error));
        }
    }
    buffer.copy_within(end..filled, 0);
    Ok(filled - end)
}

/// Lets the client read our last word before the connection goes: closing with unread bytes would reset it.
fn linger(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    while stream.read(buffer)? > 0 {}
    Ok(())
}
