//! A PostgreSQL of a test's own, and databases in it.

use crate::error::StartError;
use crate::log::Log;
use crate::port::free_port;
use crate::process::{Launch, Process, find_program, is_root};
use crate::wait::{poll, unique};
use rustix::process::Signal;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tempfile::TempDir;

const PROGRAM: &str = "postgres";
const ROLE: &str = "antiphon";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// What a PostgreSQL may need beyond the plain one.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Syncs to disk as in production; without it a crash of the *machine* could lose data, which no test makes.
    pub durable: bool,
    /// Clients must say this password.
    pub password: Option<String>,
    /// Further settings, as `name=value`.
    pub settings: Vec<String>,
    /// An existing folder below which its write-ahead log is kept instead of beside its data.
    pub wal_below: Option<PathBuf>,
}

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    launch: Launch,
    log: Log,
    port: u16,
    options: PostgresOptions,
    programs: PathBuf,
    folder: TempDir,
}

/// A fresh database; it goes with its server.
#[derive(Debug, Clone)]
pub struct Database {
    name: String,
    url: String,
    programs: PathBuf,
}

impl Postgres {
    /// Starts a plain one.
    pub fn start() -> Result<Self, StartError> {
        Self::start_with(PostgresOptions::default())
    }

    /// Starts one with options.
    pub fn start_with(options: PostgresOptions) -> Result<Self, StartError> {
        let programs = programs().ok_or_else(|| {
            StartError::missing(PROGRAM, "apt-get install postgresql, or cargo xtask setup")
        })?;
        let folder = tempfile::Builder::new().prefix("antiphon-postgres-").tempdir()?;
        // PostgreSQL refuses to run as root; Debian's package brings a user for it.
        let user = if is_root() { Some("postgres") } else { None };
        own(folder.path(), user)?;
        let data = folder.path().join("data");
        init(&programs, &data, folder.path(), user, &options)?;

        let log = Log::default();
        let mut attempt = 0;
        loop {
            let port = free_port();
            let mut launch = Launch::new(programs.join("postgres"));
            launch.user = user;
            launch.death_signal = "QUIT"; // Ends at once, but removes its shared memory.
            launch = launch.args(["-D".into(), data.clone().into_os_string()]);
            launch = launch.args(["-k".into(), folder.path().as_os_str().to_owned()]);
            launch = launch.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
            launch = launch.args(["-c", "max_connections=300", "-c", "timezone=UTC"]);
            if !options.durable {
                launch = launch.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
            }
            launch = launch.args(options.settings.iter().flat_map(|setting| ["-c", setting]));
            match run(&launch, &log, port) {
                Ok(process) => return Ok(Self { process, launch, log, port, options, programs, folder }),
                Err(error) if attempt == 3 => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    /// The URL of the database `postgres`; a test makes its own with [`Postgres::create_database`].
    #[must_use]
    pub fn url(&self) -> String {
        let password =
            self.options.password.as_ref().map_or_else(String::new, |password| format!(":{password}"));
        format!("postgres://{ROLE}{password}@127.0.0.1:{}/postgres", self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster's process id, which changes with a restart.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its lines.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Makes a fresh, empty database.
    ///
    /// # Panics
    /// When the server does not make it.
    #[track_caller]
    #[must_use]
    pub fn create_database(&self) -> Database {
        Database::create(&self.url(), &self.programs)
    }

    /// `kill -9` for the postmaster and all its backends at once: a crash. Its data stay for [`Postgres::restart`].
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Ends it at once by its own hand (SIGQUIT, the immediate shutdown): as a crash, it recovers at the next start.
    /// Returns when it is reaped.
    pub fn quit(&mut self, deadline: Duration) -> Option<ExitStatus> {
        self.process.signal(Signal::QUIT);
        self.process.wait(deadline)
    }

    /// Freezes it with all its backends (SIGSTOP).
    pub fn stop(&mut self) {
        self.process.signal_all(Signal::STOP);
    }

    /// Lets it go on after [`Postgres::stop`].
    pub fn cont(&mut self) {
        self.process.signal_all(Signal::CONT);
    }

    /// Shuts it down in order, ending its connections; `None` when it did not end in time.
    pub fn shut_down(&mut self, deadline: Duration) -> Option<ExitStatus> {
        self.process.signal(Signal::INT);
        self.process.wait(deadline)
    }

    /// Kills it if it still runs, and starts it on the same data and port.
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.process.kill9();
        self.process = run(&self.launch, &self.log, self.port)?;
        Ok(())
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Kills it if it still runs, throws all its data away, and starts an empty one on the same port.
    pub fn restart_empty(&mut self) -> Result<(), StartError> {
        self.process.kill9();
        std::fs::remove_dir_all(self.data())?;
        init(&self.programs, &self.data(), self.folder.path(), self.launch.user, &self.options)?;
        self.restart()
    }

    /// The folder of its programs: `psql`, `pg_dump` and the like.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Its exit status, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.process.exited()
    }

    /// Makes a fresh, empty database whose tables are kept below an existing folder.
    ///
    /// # Panics
    /// When the server does not make it.
    #[track_caller]
    #[must_use]
    pub fn create_database_below(&self, folder: &Path) -> Database {
        let database = self.create_database();
        let (space, place) = (unique("space"), folder.join("tables"));
        std::fs::create_dir(&place).expect("a folder for the tables");
        own(&place, self.launch.user).expect("it is the server's");
        let sql = |parts: &[&str]| psql(&self.programs, &self.url(), &parts.concat());
        // The names are our own.
        sql(&["create tablespace ", &space, " location '", &place.to_string_lossy(), "'"]);
        sql(&["alter database ", database.name(), " set tablespace ", &space]);
        database
    }

    pub(crate) fn outlives_statics(&self) {
        crate::watchdog::after_our_end(self.pid(), self.folder.path());
    }
}

impl Database {
    /// Makes one on the server to which `server_url` leads.
    #[track_caller]
    pub(crate) fn create(server_url: &str, programs: &Path) -> Self {
        let name = unique("test");
        // The name is our own, of letters, digits and underscores.
        psql(programs, server_url, &["create database ", &name].concat());
        let base = server_url.rsplit_once('/').map_or(server_url, |(base, _)| base);
        Self { url: format!("{base}/{name}"), name, programs: programs.to_owned() }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL through psql and returns the rows, unaligned, columns with `|` between.
    ///
    /// # Panics
    /// When the server refuses it.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        psql(&self.programs, &self.url, sql)
    }
}

/// The folder of the newest PostgreSQL's programs.
pub(crate) fn programs() -> Option<PathBuf> {
    let complete =
        |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file());
    let mut debian: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| complete(folder))
        .collect();
    debian.sort();
    debian.pop().map(|(_, folder)| folder).or_else(|| {
        let folder = find_program("postgres")?.parent()?.to_owned();
        complete(&folder).then_some(folder)
    })
}

#[track_caller]
fn psql(programs: &Path, url: &str, sql: &str) -> String {
    let output = Command::new(programs.join("psql"))
        .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"])
        .args(["--dbname", url, "--command", sql])
        .output()
        .unwrap_or_else(|error| panic!("psql: {error}"));
    assert!(output.status.success(), "psql: {sql}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn init(
    programs: &Path,
    data: &Path,
    folder: &Path,
    user: Option<&'static str>,
    options: &PostgresOptions,
) -> Result<(), StartError> {
    let mut launch = Launch::new(programs.join("initdb"));
    launch.user = user;
    launch =
        launch.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--username", ROLE, "-D"]).args([data]);
    if let Some(below) = &options.wal_below {
        let wal = below.join("pg_wal");
        std::fs::create_dir(&wal)?;
        own(&wal, user)?;
        launch = launch.args(["--waldir".into(), wal.into_os_string()]);
    }
    launch = match &options.password {
        None => launch.args(["--auth=trust"]),
        Some(password) => {
            let file = folder.join("password");
            std::fs::write(&file, password)?;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
            launch.args(["--auth=scram-sha-256".into(), "--pwfile".into(), file.into_os_string()])
        }
    };
    let output = launch.command(false).current_dir(folder).output()?;
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(StartError::Failed { program: "initdb", why: format!("it ended with {}", output.status), log })
}

/// Gives a folder to the user as whom the server runs, if that is another one.
fn own(folder: &Path, user: Option<&'static str>) -> Result<(), StartError> {
    let Some(user) = user else { return Ok(()) };
    let (uid, gid) =
        user_ids(user).ok_or_else(|| StartError::missing(PROGRAM, "the user postgres does not exist"))?;
    chown(folder, Some(uid), Some(gid))?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    Ok(())
}

fn run(launch: &Launch, log: &Log, port: u16) -> Result<Process, StartError> {
    let mark = log.len();
    let mut process = launch.start(log)?;
    let ready = log.wait_for(mark, START_TIMEOUT, |line| {
        line.text.contains("database system is ready to accept connections")
    });
    if ready.is_some()
        && poll(Duration::from_secs(5), || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
    {
        return Ok(process);
    }
    let why = match process.wait(Duration::from_millis(100)) {
        Some(status) => format!("it ended with {status}"),
        None => format!("not ready within {START_TIMEOUT:?}"),
    };
    Err(StartError::Failed { program: PROGRAM, why, log: log.tail() })
}

fn user_ids(name: &str) -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let fields: Vec<&str> =
        users.lines().map(|line| line.split(':').collect()).find(|fields: &Vec<&str>| fields[0] == name)?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}
