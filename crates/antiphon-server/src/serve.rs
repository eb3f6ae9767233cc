//! `serve`: a node behind its door, from the first attempt at the database to the end of the drain.

use std::{sync::Arc, time::Duration};

use antiphon_core::{Limits, Tasks};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    assemble::{self, OpenError, Opened, Running},
    cli::{Flags, Serve},
    config::{Config, JwtParts},
    failure::Failure,
    files::{self, Asker},
    gate::Gate,
    listen::{self, Door},
    output,
    signals::Signals,
    slots::Slots,
    systemd, telemetry,
    tls::Certificate,
};

/// Between two attempts at a database that is not there.
const RETRY: Duration = Duration::from_secs(1);
/// How long requests that are being answered may take after a drain.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Runs a node until it is told to end.
pub fn run(flags: &Flags<Serve>) -> Result<(), Failure> {
    let settings = flags.settings()?;
    let warnings = settings.warnings_for_serve();
    let config = settings.config;
    config.check()?;
    telemetry::start(&config)?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let jwt = config.jwt.parts()?;
    let tls = Certificate::read(&config)?;
    let limits = bounded(&config, files::raise(), tls.is_some());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::running)?;
    let outcome = runtime.block_on(serve(config, limits, jwt, tls));
    // Whatever still runs was given its time.
    runtime.shutdown_background();
    outcome
}

fn bounded(config: &Config, open_files: u64, tls: bool) -> Limits {
    let mut limits = config.limits();
    let most = files::connections_below(open_files, tls);
    if most < limits.connections {
        // The default is meant to be out of reach; a number that somebody wrote is not.
        if config.max_connections != Config::default().max_connections {
            tracing::warn!(open_files, most, "the limit of open files allows fewer connections than wanted");
        }
        limits.connections = most;
    }
    limits
}

async fn serve(
    config: Config,
    limits: Limits,
    jwt: Option<JwtParts>,
    tls: Option<Arc<Certificate>>,
) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::running)?;
    let listener = listen::bind(config.listen.as_str())?;
    let admin = config.admin_listen.as_ref().map(|address| listen::bind(address.as_str())).transpose()?;
    let mut opened = tokio::select! {
        opened = attempt(&config, &limits) => opened?,
        _ = signals.next() => return Ok(()),
    };
    let doors = Doors::new(&config, &limits, tls)?;
    let mut jwt = jwt;
    let mut running = match opened.take() {
        Some(opened) => Some(doors.open_to(assemble::start(&config, limits.clone(), opened, jwt.take())?)),
        None => None,
    };
    doors.listen(listener, admin, &config).map_err(Failure::running)?;
    systemd::ready();
    if running.is_none() {
        let opened = tokio::select! {
            opened = until_open(&config, &limits) => opened?,
            _ = signals.next() => return Ok(()),
        };
        running = Some(doors.open_to(assemble::start(&config, limits, opened, jwt)?));
    }
    let signal = signals.next().await;
    tracing::info!(%signal, "draining; a second signal ends at once");
    systemd::stopping();
    tokio::select! {
        () = drain(&config, running, &doors) => {
            tracing::info!("drained");
            Ok(())
        }
        signal = signals.next() => Err(Failure::Running(format!("ended by a second {signal} before the drain did"))),
    }
}

/// None: the database is not there, which was said.
async fn attempt(config: &Config, limits: &Limits) -> Result<Option<Opened>, Failure> {
    match assemble::open(config, limits).await {
        Ok(opened) => Ok(Some(opened)),
        Err(OpenError::Final(failure)) => Err(failure),
        Err(OpenError::NotThere(error)) => {
            tracing::error!("not ready, and tried again each second: {error}");
            Ok(None)
        }
    }
}

async fn until_open(config: &Config, limits: &Limits) -> Result<Opened, Failure> {
    loop {
        sleep(RETRY).await;
        match assemble::open(config, limits).await {
            Ok(opened) => {
                tracing::info!(database = %config.database, "the database is there: ready");
                return Ok(opened);
            }
            Err(OpenError::Final(failure)) => return Err(failure),
            Err(OpenError::NotThere(error)) => tracing::debug!(%error, "the database is still not there"),
        }
    }
}

/// Not ready, then without clients, then not listening, then gone. Whoever asks how it is gets an answer until the
/// last client has left.
async fn drain(config: &Config, running: Option<Running>, doors: &Doors) {
    let Some(running) = running else { return };
    running.doors.node().begin_drain();
    sleep(config.drain_delay.0).await;
    let (reactor, window) = (running.doors.reactor().clone(), config.drain.0);
    let (done, drained) = tokio::sync::oneshot::channel();
    doors.tasks.spawn(async move {
        // Waits for threads; a task of its own, so that the second signal is still heard.
        tokio::task::block_in_place(|| reactor.drain(window));
        let _ = done.send(());
    });
    if drained.await.is_err() {
        tracing::error!("the drain broke off");
    }
    doors.close().await;
    running.end().await;
}

/// What the world comes in by.
struct Doors {
    public: Door,
    operations: Door,
    public_gate: Gate,
    operations_gate: Gate,
    is_tls: bool,
    tasks: Tasks,
    /// Cancelled: no new connections.
    stop: CancellationToken,
}

impl Doors {
    fn new(config: &Config, limits: &Limits, tls: Option<Arc<Certificate>>) -> Result<Self, Failure> {
        let (public_gate, operations_gate) = (Gate::closed(NO_DATABASE), Gate::closed(NO_DATABASE));
        let slots =
            || Slots::new(limits.half_open, limits.half_open_per_address, config.trusted_proxy.clone());
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let acceptor = tls.as_ref().map(Certificate::acceptor).transpose()?;
        let is_tls = acceptor.is_some();
        if let Some(certificate) = tls {
            tasks.spawn_until_end(certificate.keep_fresh().map_err(Failure::running)?);
        }
        Ok(Self {
            public: Door::new(public_gate.router(), acceptor, slots(), Asker::Client, limits),
            operations: Door::new(operations_gate.router(), None, slots(), Asker::Operator, limits),
            public_gate,
            operations_gate,
            is_tls,
            tasks,
            stop: CancellationToken::new(),
        })
    }

    fn open_to(&self, running: Running) -> Running {
        self.public_gate.open(running.public.clone());
        self.operations_gate.open(running.operations.clone());
        running
    }

    fn listen(
        &self,
        listener: TcpListener,
        admin: Option<TcpListener>,
        config: &Config,
    ) -> std::io::Result<()> {
        let scheme = if self.is_tls { "https" } else { "http" };
        let address = listener.local_addr()?;
        if let Some(admin) = admin {
            tracing::info!("health and metrics on http://{}", admin.local_addr()?);
            self.tasks.spawn(self.operations.clone().accept(admin, self.tasks.clone(), self.stop.clone()));
        }
        self.tasks.spawn(self.public.clone().accept(listener, self.tasks.clone(), self.stop.clone()));
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            database = %config.database,
            other_nodes = %assemble::other_nodes(config),
            "listening on {scheme}://{address}"
        );
        // On standard output, for whoever asked for port 0.
        output::print(&format!("listening on {scheme}://{address}"))
            .map_err(|failure| std::io::Error::other(failure.to_string()))
    }

    /// Stops listening, and lets requests that are being answered end.
    async fn close(&self) {
        self.stop.cancel();
        self.public.end();
        self.operations.end();
        self.tasks.end(LAST_ANSWERS).await;
    }
}

const NO_DATABASE: &str = "the database is not there yet";
