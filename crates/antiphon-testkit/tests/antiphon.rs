//! The wrapper around `antiphon serve`, shown on a stand-in program, so that it needs no built server.

use antiphon_testkit::{AntiphonLaunch, StartError, wait_until};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// Listens where `--listen` says and drains for a moment at SIGTERM.
const STAND_IN: &str = r#"#!/usr/bin/env python3
import os, signal, socket, sys
def drain(*_):
    print("draining", file=sys.stderr, flush=True)
    sys.exit(int(sys.argv[4]))
signal.signal(signal.SIGTERM, drain)
host, port = sys.argv[3].split(":")
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((host, int(port)))
listener.listen()
print("starting at 127.0.0.1:0", flush=True)
print("not 127.0.0.1:1, that is standard error", file=sys.stderr, flush=True)
print("listening on http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
print("environment", os.environ.get("ANTIPHON_DATABASE"), os.environ.get("ANTIPHON_TEST_LEAK"), flush=True)
while True:
    listener.accept()[0].close()
"#;

fn stand_in(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let file = folder.path().join("stand-in");
    std::fs::write(&file, text).expect("a script");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("executable");
    file
}

#[test]
fn a_server_tells_its_address_comes_back_there_and_drains() {
    let folder = tempfile::tempdir().expect("a folder");
    let launch = AntiphonLaunch::new().program(stand_in(&folder, STAND_IN)).arg("3");
    let mut server = launch.env("ANTIPHON_DATABASE", "sqlite:x").start().expect("starts");
    let address = server.address();
    assert_ne!(address.port(), 0);
    assert_eq!(server.url(), format!("http://127.0.0.1:{}", address.port()));
    assert!(server.wait_for_line(SOON, "environment").ends_with("sqlite:x None"));
    server.kill9();
    assert!(std::net::TcpStream::connect(address).is_err());
    server.restart().expect("comes back");
    assert_eq!(server.address(), address);
    wait_until(SOON, "it accepts", || std::net::TcpStream::connect(address).is_ok());
    assert_eq!(server.terminate(SOON).code(), Some(3));
    server.wait_for_line(SOON, "draining");
}

#[test]
fn a_server_that_ends_at_once_tells_what_it_wrote() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = stand_in(&folder, "#!/bin/sh\necho 'no such database' >&2\nexit 2\n");
    let error = AntiphonLaunch::new().program(script).start().expect_err("it has ended");
    assert!(matches!(error, StartError::Failed { .. }));
    let text = error.to_string();
    assert!(text.contains("no such database") && text.contains("exit status: 2"), "{text}");
}
