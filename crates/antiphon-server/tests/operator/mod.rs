//! Somebody who types what a page of docs/operations says, block by block, at a cluster whose services are our children.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use antiphon_testkit::{Antiphon, AntiphonLaunch, run_antiphon};
use serde_json::Value;

/// More than any block takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What stands before each block: services are ours, and asked for by files.
const SYSTEMCTL: &str = "set -e\n\
    systemctl() { echo \"$1 $2\" > asking; mv asking asked; until [ -e done ]; do sleep 0.02; done; rm done; }\n";

/// The `sh` blocks below a heading of the page, without what indents them.
pub fn blocks(page: &str, heading: &str) -> Vec<String> {
    let title = format!("## {heading}\n");
    let (_, section) = page.split_once(&title).unwrap_or_else(|| panic!("no {title}"));
    let section = section.split("\n## ").next().unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for line in section.lines() {
        let indent = line.len() - line.trim_start().len();
        match (&mut open, line.trim()) {
            (None, "```sh") => open = Some((indent, String::new())),
            (Some(_), "```") => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), _) => *block += &format!("{}\n", line.get(*indent..).unwrap_or_default()),
            (None, _) => {}
        }
    }
    assert!(!blocks.is_empty(), "no block below {heading}");
    blocks
}

/// Who types; everything happens in a folder of its own.
pub struct Operator {
    folder: tempfile::TempDir,
    /// Variables that the page names.
    env: Vec<(String, String)>,
}

impl Operator {
    /// One who finds these programs.
    pub fn new(programs: &Path) -> Self {
        let here = Path::new(env!("CARGO_BIN_EXE_antiphon")).parent().unwrap();
        let path = format!("{}:{}:{}", here.display(), programs.display(), std::env::var("PATH").unwrap());
        Self { folder: tempfile::tempdir().unwrap(), env: vec![("PATH".into(), path)] }
    }

    /// Sets a variable.
    pub fn knows(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.into()));
        self
    }

    /// Types a block; what it asks of `systemctl` is done by `does`, with the verb and the unit. What it printed.
    #[track_caller]
    pub fn types(&self, block: &str, mut does: impl FnMut(&str, &str)) -> String {
        println!("$ {}", block.trim_end().replace('\n', "\n$ "));
        let at = |name: &str| self.folder.path().join(name);
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("{SYSTEMCTL}{block}")])
            .current_dir(&self.folder)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdout(File::create(at("printed")).unwrap())
            .stderr(File::create(at("complained")).unwrap())
            .spawn()
            .unwrap();
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Ok(asked) = fs::read_to_string(at("asked")) {
                fs::remove_file(at("asked")).unwrap();
                let (verb, unit) = asked.trim().split_once(' ').unwrap();
                does(verb, unit);
                fs::write(at("done"), "").unwrap();
            }
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > until {
                let _ = child.kill();
            }
            // poll: what another process does.
            std::thread::sleep(Duration::from_millis(10));
        };
        let (printed, complained) = (fs::read_to_string(at("printed")), fs::read_to_string(at("complained")));
        let (printed, complained) = (printed.unwrap(), complained.unwrap());
        println!("{printed}{complained}");
        assert!(status.success(), "{status}: {block}\n{printed}{complained}");
        printed
    }
}

/// A node with its configuration file.
pub struct Site {
    pub process: Antiphon,
    folder: tempfile::TempDir,
}

impl Site {
    pub fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("antiphon.toml");
        fs::write(&file, config).unwrap();
        let launch = AntiphonLaunch::new().program(env!("CARGO_BIN_EXE_antiphon"));
        let process = launch.args(["--config".as_ref(), file.as_os_str()]).start().unwrap();
        Self { process, folder }
    }

    /// Writes another configuration, for its next start.
    pub fn configure(&self, config: &str) {
        fs::write(self.folder.path().join("antiphon.toml"), config).unwrap();
    }

    /// As systemd does it; it must end with status 0.
    pub fn does(&mut self, verb: &str) {
        match verb {
            "stop" => assert_eq!(self.process.terminate(PATIENCE).code(), Some(0)),
            "start" => self.process.restart().unwrap(),
            verb => panic!("systemctl {verb}"),
        }
    }

    /// Status and body.
    pub fn call(&self, request: &str, key: &str, body: &Value) -> (u16, String) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let Ok(mut socket) = TcpStream::connect(self.process.address()) else { return (0, String::new()) };
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = write!(
            socket,
            "{request} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
    }

    pub fn ready(&self) -> (u16, String) {
        self.call("GET /health/ready", "", &Value::Null)
    }

    /// How often its log has said this.
    pub fn said(&self, text: &str) -> usize {
        self.process.log().lines().iter().filter(|line| line.text.contains(text)).count()
    }
}

/// What a subcommand printed.
#[track_caller]
pub fn antiphon(args: &[&str]) -> String {
    let finished = run_antiphon(args, &[]).unwrap();
    assert!(finished.status.success(), "{args:?}: {}", finished.stderr);
    finished.stdout
}
