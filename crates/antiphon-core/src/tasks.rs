//! The tasks of a node: each is tracked, told of the end, and waited for.

use std::{future::Future, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// All tasks of one node. The only place that spawns.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    end: CancellationToken,
    runtime: tokio::runtime::Handle,
}

impl Tasks {
    /// For a node that lives on this runtime.
    pub fn new(runtime: tokio::runtime::Handle) -> Self {
        Self { tracker: TaskTracker::new(), end: CancellationToken::new(), runtime }
    }

    /// Runs a task until it ends by itself; the node waits for it. May be called from any thread.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn_on(task, &self.runtime);
    }

    /// Runs a task until the node ends.
    pub fn spawn_until_end(&self, task: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        self.spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Resolves when the node ends.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        self.end.clone().cancelled_owned()
    }

    /// True once the node ends.
    pub fn is_ended(&self) -> bool {
        self.end.is_cancelled()
    }

    /// Tells every task and waits for them; false if some were still there after the time.
    pub async fn end(&self, wait: Duration) -> bool {
        self.end.cancel();
        self.tracker.close();
        tokio::time::timeout(wait, self.tracker.wait()).await.is_ok()
    }
}
