//! What only the script can do, since the servers are its children: a line to it on standard output, a line back.

use std::io::{Write, stdin, stdout};

use anyhow::{Context, Result, ensure};

/// The script's hands.
#[derive(Debug, Default)]
pub struct Operator {
    /// One request at a time: the answers come in a single stream.
    turn: tokio::sync::Mutex<()>,
}

impl Operator {
    /// `kill -9`; answers once it is gone.
    pub async fn kill(&self, node: &str) -> Result<()> {
        self.done(format!("kill {node}")).await
    }

    /// SIGTERM, as in a deploy; it drains.
    pub async fn stop(&self, node: &str) -> Result<()> {
        self.done(format!("stop {node}")).await
    }

    /// Waits for the end of a node that was stopped, which has to be one with status 0.
    pub async fn ended(&self, node: &str) -> Result<()> {
        self.done(format!("ended {node}")).await
    }

    /// Starts a node again at its old address; answers once it is ready.
    pub async fn start(&self, node: &str) -> Result<()> {
        self.done(format!("start {node}")).await
    }

    /// How many connections a node has, by its own metrics.
    pub async fn connections(&self, node: &str) -> Result<usize> {
        self.number(format!("connections {node}")).await
    }

    /// To how many nodes the balancer sends who comes.
    pub async fn usable_nodes(&self) -> Result<usize> {
        self.number("usable-nodes".to_owned()).await
    }

    /// How many nodes listen on Redis to the tenant's own topic.
    pub async fn listening_nodes(&self) -> Result<usize> {
        self.number("listening-nodes".to_owned()).await
    }

    /// How many warnings the nodes have logged with both of these words in them.
    pub async fn warnings(&self, one: &str, other: &str) -> Result<usize> {
        self.number(format!("warnings {one} {other}")).await
    }

    async fn done(&self, request: String) -> Result<()> {
        let answer = self.ask(request.clone()).await?;
        ensure!(answer == "done", "{request}: {answer}");
        Ok(())
    }

    async fn number(&self, request: String) -> Result<usize> {
        let answer = self.ask(request.clone()).await?;
        answer.parse().with_context(|| format!("{request}: {answer}"))
    }

    async fn ask(&self, request: String) -> Result<String> {
        let _turn = self.turn.lock().await;
        let asking = tokio::task::spawn_blocking(move || {
            let mut out = stdout().lock();
            writeln!(out, "@{request}")?;
            out.flush()?;
            let mut answer = String::new();
            stdin().read_line(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        });
        Ok(asking.await??.trim_end().to_owned())
    }
}
