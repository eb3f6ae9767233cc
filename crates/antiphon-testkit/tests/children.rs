//! Children end with the process that started them, even when that is killed, and leave no folder behind.

use antiphon_testkit::{shared_postgres, shared_redis, skipped, variables, wait_until};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

const TEST: &str = "servers_in_statics_end_with_a_killed_process";
const HOLDER: &str = "TESTKIT_HOLDER";

/// The same test in the process that is going to be killed: starts servers, tells where they are, and waits.
fn hold() {
    let (Some(redis), Some(postgres)) = (shared_redis(TEST), shared_postgres(TEST)) else { return };
    let pid = redis.cli(&["INFO", "server"]);
    let pid =
        pid.lines().find_map(|line| line.strip_prefix("process_id:")).expect("its id").trim().to_owned();
    let folder = redis.cli(&["CONFIG", "GET", "dir"]).lines().last().expect("its folder").to_owned();
    let data = postgres.sql("show data_directory");
    writeln!(std::io::stderr(), "HOLDS\t{pid}\t{folder}\t{data}").expect("written");
    std::thread::park();
}

#[test]
fn servers_in_statics_end_with_a_killed_process() {
    if std::env::var_os(HOLDER).is_some() {
        return hold();
    }
    let this = std::env::current_exe().expect("this test");
    let mut holder = Command::new(this)
        .args(["--exact", TEST, "--nocapture"])
        .env(HOLDER, "1")
        .env_remove(variables::REQUIRE)
        .env_remove(variables::REDIS_URL)
        .env_remove(variables::POSTGRES_URL)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(holder.stderr.take().expect("piped")).lines();
    let line = lines.map_while(Result::ok).find(|line| line.starts_with("HOLDS\t"));
    holder.kill().expect("killed");
    holder.wait().expect("reaped");
    let Some(line) = line else {
        return skipped(TEST, "its servers are not installed");
    };
    let [_, pid, folder, data] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let there = |path: &str| std::path::Path::new(path).exists();
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    wait_until(SOON, "Redis has ended", || !runs());
    wait_until(SOON, "the folder of Redis is gone", || !there(folder));
    wait_until(SOON, "the data of PostgreSQL are gone", || !there(data));
}
