//! A server of its own process, what the kernel knows of it, and many clients that are plain sockets.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use antiphon_testkit::{Antiphon, AntiphonLaunch};
use serde_json::Value;

pub const PATIENCE: Duration = Duration::from_secs(40);
pub const SECRET: &str = "a secret of more than thirty-two bytes";

/// A server, with the folder of its configuration and, unless another is named, its database.
pub struct Server {
    pub process: Antiphon,
    pub folder: tempfile::TempDir,
    pub admin: SocketAddr,
}

impl Server {
    /// With this configuration, besides JWTs of ours and an open door for metrics.
    pub fn start(config: &str, args: &[&str]) -> Self {
        Self::launch(AntiphonLaunch::new().program(program()), config, args)
    }

    /// With so many open files.
    pub fn start_with_files(files: u32, config: &str, args: &[&str]) -> Self {
        let script = tempfile::Builder::new().suffix(".sh").tempfile().unwrap();
        let program = program();
        let text = format!("#!/bin/sh\nulimit -n {files}\nexec '{program}' \"$@\"\n");
        std::fs::write(script.path(), text).unwrap();
        let script = script.into_temp_path();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&script, mode).unwrap();
        Self::launch(AntiphonLaunch::new().program(script.to_path_buf()), config, args)
    }

    fn launch(launch: AntiphonLaunch, config: &str, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("antiphon.toml");
        std::fs::write(&file, format!("{config}\n[jwt]\nsecret = '{SECRET}'\n")).unwrap();
        let database = format!("sqlite:{}", folder.path().join("a.db").display());
        let process = launch
            .env("ANTIPHON_DATABASE", database)
            // One arena: what is resident then tells of what is kept, and not of how threads share an allocator.
            .env("MALLOC_ARENA_MAX", "1")
            .args(["--config".as_ref(), file.as_os_str()])
            .args(["--admin-listen", "127.0.0.1:0"])
            .args(args)
            .start()
            .unwrap();
        let line = process.wait_for_line(PATIENCE, "health and metrics on");
        let admin = line.rsplit_once("//").unwrap().1;
        let end = admin.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).unwrap_or(admin.len());
        Self { admin: admin[..end].parse().unwrap(), process, folder }
    }

    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.pid())).unwrap()
    }

    /// Its resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most that was ever resident, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Its open sockets. (Of files the pool of a SQLite opens some more whenever it likes.)
    pub fn sockets(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.process.pid())).unwrap();
        let is_socket = |file: &std::fs::DirEntry| {
            file.path().read_link().is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
        };
        files.flatten().filter(is_socket).count()
    }

    /// The processor time that it has used.
    pub fn processor_time(&self) -> Duration {
        let stat = self.proc("stat");
        let mut fields = stat[stat.rfind(')').unwrap() + 1..].split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next().unwrap().parse::<u64>().unwrap();
        // A tick is a hundredth of a second wherever Linux runs this.
        Duration::from_millis((ticks() + ticks()) * 10)
    }

    /// A GET on the listener for operations.
    pub fn operations(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(self.admin).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// One of its figures, without the prefix.
    pub fn figure(&self, name: &str) -> u64 {
        self.figures(&[name])[0]
    }

    /// Some of them, at one time.
    pub fn figures(&self, names: &[&str]) -> Vec<u64> {
        let text = self.operations("/metrics");
        let of = |name: &&str| {
            let line = format!("antiphon_{name} ");
            let value = text.lines().find_map(|of| of.strip_prefix(&line));
            value.unwrap_or_else(|| panic!("no {name} in {text}")).trim().parse().unwrap()
        };
        names.iter().map(of).collect()
    }

    /// The whole answer to a request of the API, with this `Authorization`.
    pub fn call(&self, request: &str, authorization: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(self.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let len = body.len();
        let _ = write!(
            socket,
            "{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: {authorization}\r\n\
             content-type: application/json\r\ncontent-length: {len}\r\n\r\n{body}"
        );
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A token of a user, made with this key.
    pub fn token(&self, key: &str, tenant: &str, user: &str) -> String {
        let path = format!("POST /api/v1/tenants/{tenant}/users/{user}/tokens");
        let answer = self.call(&path, &format!("Bearer {key}"), r#"{"ttlSeconds": 3600}"#);
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
        body["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

/// The program that was built, or that `TESTKIT_ANTIPHON` names: a release build, for its figures.
fn program() -> String {
    std::env::var(antiphon_testkit::variables::ANTIPHON)
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_antiphon").to_owned())
}

/// An API key for everything, in this database.
pub fn key(database: &str) -> String {
    let made = antiphon_testkit::run_antiphon(&["key", "issue", "--database", database], &[]).unwrap();
    assert!(made.status.success(), "{}", made.stderr);
    made.stdout
}

/// A JWT of this tenant's user.
pub fn jwt(tenant: &str, user: &str) -> String {
    let claims =
        serde_json::json!({"sub": user, "tenant": tenant, "exp": 4_000_000_000_u64, "iat": 1_000_000_000});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

/// A client whose socket never blocks.
pub struct Ear {
    pub socket: TcpStream,
    bytes: Vec<u8>,
    /// The status line of the answer to its upgrade.
    pub answered: Option<u16>,
    /// The head of that answer.
    pub head: String,
    /// Texts that came and nobody has taken yet.
    pub heard: Vec<String>,
    /// The code of the server's close frame.
    pub closed: Option<u16>,
    /// The server has ended the connection.
    pub is_over: bool,
}

impl Ear {
    /// A connection that has said nothing.
    pub fn silent(to: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpStream::connect(to)?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let (heard, head) = (Vec::new(), String::new());
        Ok(Self { socket, bytes: Vec::new(), answered: None, head, heard, closed: None, is_over: false })
    }

    /// One that has asked for the upgrade.
    pub fn connect(to: SocketAddr) -> Self {
        let mut ear = Self::silent(to).unwrap();
        ear.ask_upgrade();
        ear
    }

    pub fn ask_upgrade(&mut self) {
        let request = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        let _ = self.socket.write_all(request.as_bytes());
    }

    /// Says a frame that the socket's buffer takes; whether it did.
    pub fn say(&mut self, frame: &Value) -> bool {
        self.raw(&frame_of(1, frame.to_string().as_bytes()))
    }

    pub fn raw(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// Takes in what is there, without waiting.
    pub fn listen(&mut self) {
        let mut chunk = [0; 16 * 1024];
        while !self.is_over {
            match self.socket.read(&mut chunk) {
                Ok(0) => self.is_over = true,
                Ok(len) => self.bytes.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.is_over = true,
            }
        }
        if self.answered.is_none() {
            let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return };
            self.head = String::from_utf8(self.bytes.drain(..end + 4).collect()).unwrap();
            self.answered = self.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        }
        if self.answered != Some(101) {
            return;
        }
        let mut at = 0;
        while let Some((opcode, payload, next)) = frame_at(&self.bytes, at) {
            match (opcode, payload) {
                (1, text) => self.heard.push(String::from_utf8(text.to_vec()).unwrap()),
                (8, [high, low, ..]) => self.closed = Some(u16::from_be_bytes([*high, *low])),
                (8, _) => self.closed = Some(1005),
                (9, ping) => drop((&self.socket).write_all(&frame_of(10, ping))),
                _ => {}
            }
            at = next;
        }
        self.bytes.drain(..at);
    }

    /// Waits for the next text of this type and returns it; what comes before it is dropped.
    #[track_caller]
    pub fn wait_for(&mut self, kind: &str) -> Value {
        let mark = format!(r#""type":"{kind}""#);
        let mut found = None;
        wait(&format!("a {kind}"), || {
            self.listen();
            let texts = std::mem::take(&mut self.heard);
            let mut texts = texts.into_iter();
            found = texts.by_ref().find(|text| text.contains(&mark));
            self.heard = texts.collect();
            assert!(found.is_some() || !self.is_over, "ended while {kind} was awaited");
            found.is_some()
        });
        serde_json::from_str(&found.unwrap()).unwrap()
    }
}

/// A client's frame; its mask is zero.
pub fn frame_of(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(len) if len < 126 => frame.push(0x80 | len),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn frame_at(bytes: &[u8], at: usize) -> Option<(u8, &[u8], usize)> {
    let [first, second, ..] = *bytes.get(at..)? else { return None };
    let (len, head) = match second {
        126 => (u16::from_be_bytes(bytes.get(at + 2..at + 4)?.try_into().ok()?) as usize, 4),
        127 => (u64::from_be_bytes(bytes.get(at + 2..at + 10)?.try_into().ok()?) as usize, 10),
        len => (len as usize, 2),
    };
    let end = at + head + len;
    Some((first & 0xf, bytes.get(at + head..end)?, end))
}

/// Looks at all of them again and again until it holds.
#[track_caller]
pub fn listen_until(ears: &mut [Ear], what: &str, mut holds: impl FnMut(&mut [Ear]) -> bool) {
    wait(what, || {
        ears.iter_mut().for_each(Ear::listen);
        holds(ears)
    });
}

#[track_caller]
pub fn wait(what: &str, holds: impl FnMut() -> bool) {
    antiphon_testkit::wait_until(PATIENCE, what, holds);
}

/// What makes a run another one than the last; `TESTKIT_SEED` makes it the same again.
pub fn seed() -> u64 {
    let given = std::env::var("TESTKIT_SEED").ok().and_then(|seed| seed.parse().ok());
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = given.unwrap_or(clock);
    println!("TESTKIT_SEED={seed}");
    seed
}

/// Numbers that the seed decides (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
