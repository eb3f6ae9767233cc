//! `demo`: two nodes in one process and four users on a page, on the loopback alone.
//! The page has a listener of its own, so that it stays when a node is killed.

mod cast;
mod page;
mod stage;

use std::sync::Arc;

use antiphon_core::Tasks;

use crate::{
    cli::{Demo, Flags},
    failure::Failure,
    listen, output,
    signals::Signals,
};

use stage::Stage;

/// Runs the demo until it is told to end.
pub fn run(flags: &Flags<Demo>) -> Result<(), Failure> {
    let settings = flags.settings()?;
    output::warn(&settings.warnings);
    crate::files::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::running)?;
    let outcome = runtime.block_on(play(settings.config.port));
    runtime.shutdown_background();
    outcome
}

async fn play(port: u16) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::running)?;
    let listener = listen::bind(&format!("127.0.0.1:{port}"))?;
    let address = listener.local_addr().map_err(Failure::running)?;
    let stage = Arc::new(Stage::set(address).await?);
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let app = page::router(&stage, address);
    tasks.spawn_until_end(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the page can't be served any more");
        }
    });
    output::print(&format!("the demo is on http://{address}/"))?;
    signals.next().await;
    stage.clear().await;
    tasks.end(std::time::Duration::from_secs(1)).await;
    Ok(())
}
