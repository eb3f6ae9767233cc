//! Two users, each with two devices, talk through the balancer while the nodes behind it come and go.
//! `run.sh` starts everything around it and is its [`Operator`].

mod device;
mod frames;
mod http;
mod operator;
mod report;

use std::{
    collections::BTreeSet,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use antiphon_client::HistoryPage;
use anyhow::{Context, Result, ensure};
use device::{Device, Entry, PATIENCE};
use frames::Cast;
use http::Api;
use operator::Operator;
use report::Report;
use tokio::time::{Instant, sleep};

const NODE_A: &str = "node-a";
const NODE_B: &str = "node-b";
/// How much is said before something happens to a node, and after.
const SOME: usize = 30;

#[tokio::main]
async fn main() -> ExitCode {
    let mut report = Report::default();
    if let Err(error) = story(&mut report).await {
        report.check("the conversation goes on to its end", false, format!("{error:#}"));
    }
    if report.close() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn story(report: &mut Report) -> Result<()> {
    let given = |name| std::env::var(name).with_context(|| format!("{name} is not set; run.sh sets it"));
    let (address, company) = (given("BALANCER")?, given("COMPANY")?);
    let (ada, ben, key) = (given("ADA_TOKEN")?, given("BEN_TOKEN")?, given("API_KEY")?);
    let url = format!("ws://{address}/ws");
    let api = Api { address, key };
    let operator = Operator::default();
    let mut said = Vec::new();

    report.step("Ada and Ben come through the balancer, each with two devices");
    let mut devices = Vec::new();
    let names =
        [("ada's laptop", &ada), ("ben's laptop", &ben), ("ben's phone", &ben), ("ada's phone", &ada)];
    for (name, token) in names {
        devices.push(Device::come(name, &url, token).await?);
    }
    let spread = [operator.connections(NODE_A).await?, operator.connections(NODE_B).await?];
    report.check("the balancer gave two connections to each node", spread == [2, 2], spread);
    let listening = operator.listening_nodes().await?;
    report.check("both nodes listen to the company's topic on Redis", listening == 2, listening);

    let all = async || Ok(api.get("/connections").await?.contains("\"cluster\":4"));
    eventually("the API counts four", all).await?;
    report.check("the API counts four connections on all nodes", true, ());

    report.step("All four say something");
    for device in &devices {
        let text = format!("{}: hello", device.name);
        let accepted = device.say(text.clone()).await?;
        said.push(Entry { offset: accepted.offset, id: accepted.id, text });
    }
    all_hear(&devices, said.len()).await?;
    report.check("each device has heard all four, across the nodes", true, ());

    let cast = Cast { url: &url, company: &company, ada: &ada, ben: &ben, api: &api, operator: &operator };
    report.step("Strangers come without a good token");
    cast.strangers(report).await?;
    report.step("Ada and Ben subscribe to two topics at once");
    cast.topics(report).await?;
    report.step("Ben has switched a project off, and then switches it on");
    cast.settings(report).await?;
    let four = async || Ok(operator.connections(NODE_A).await? + operator.connections(NODE_B).await? == 4);
    eventually("only the four devices are left", four).await?;

    report.step("Ada and Ben talk from their laptops, and in the middle of it node-a is killed with kill -9");
    let talk = Talk::begin(&devices, "while a node dies");
    talk.goes_on(&devices).await?;
    operator.kill(NODE_A).await?;
    eventually("node-b has all four", async || Ok(operator.connections(NODE_B).await? == 4)).await?;
    talk.goes_on(&devices).await?;
    said.extend(talk.end().await?);
    all_hear(&devices, said.len()).await?;
    let mut losses: Vec<usize> = devices.iter().map(|device| device.heard().losses).collect();
    losses.sort_unstable();
    let what = "the two devices of node-a were cut once, those of node-b noticed nothing";
    report.check(what, losses == [0, 0, 1, 1], losses);
    report.check("the two came back through the balancer by themselves, to node-b", true, ());

    report.step("node-a is started again");
    operator.start(NODE_A).await?;
    eventually("the balancer uses both", async || Ok(operator.usable_nodes().await? == 2)).await?;
    report.check("the balancer has found it again", true, ());

    report.step("They talk on, and in the middle of it node-b is stopped with SIGTERM, as in a deploy");
    let talk = Talk::begin(&devices, "while a node drains");
    talk.goes_on(&devices).await?;
    operator.stop(NODE_B).await?;
    eventually("node-a has all four", async || Ok(operator.connections(NODE_A).await? == 4)).await?;
    talk.goes_on(&devices).await?;
    operator.ended(NODE_B).await?;
    said.extend(talk.end().await?);
    all_hear(&devices, said.len()).await?;
    report.check("node-b let all four leave for node-a, and ended with status 0", true, ());

    report.step("What was said, and what was heard");
    said.sort_by_key(|entry| entry.offset);
    let log = whole_log(&devices[0]).await?;
    let what = format!("the log holds each of the {} entries that were accepted, once", said.len());
    report.check(&what, log == said, differences(&log, &said));
    let numbers = log.iter().zip(1..).all(|(entry, number)| entry.offset == number);
    report.check("they are numbered without a hole", numbers, log.last());
    for device in &devices {
        let heard = device.heard();
        let what = format!(
            "{} lost its connection {} times and heard every entry, in order, once",
            device.name, heard.losses
        );
        let holds = heard.entries == log && heard.faults.is_empty() && heard.returns == heard.losses;
        report.check(&what, holds, (differences(&heard.entries, &log), heard.returns, heard.faults));
    }

    report.step("All leave");
    for device in &devices {
        device.client.close().await;
    }
    let nobody = async || Ok(operator.connections(NODE_A).await? == 0);
    eventually("node-a forgets the connections", nobody).await?;
    let silence = async || Ok(operator.listening_nodes().await? == 0);
    eventually("the topic's subscription on Redis ends", silence).await?;
    report.check(
        "no connection stays, and no node listens to the company's topic on Redis any more",
        true,
        (),
    );
    Ok(())
}

/// The two laptops, which are on different nodes, speaking.
struct Talk {
    enough: Arc<AtomicBool>,
    speakers: Vec<tokio::task::JoinHandle<Result<Vec<Entry>>>>,
}

impl Talk {
    fn begin(devices: &[Device], about: &'static str) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let speakers = devices[..2].iter().map(|device| device.speak(about, &enough)).collect();
        Self { enough, speakers }
    }

    /// Waits until each device has heard some more from each of the speakers.
    async fn goes_on(&self, devices: &[Device]) -> Result<()> {
        let from = |entries: &[Entry], name: &str| {
            entries.iter().filter(|entry| entry.text.starts_with(name)).count()
        };
        for device in devices {
            for speaker in &devices[..2] {
                let goal = from(&device.heard().entries, speaker.name) + SOME;
                let what = format!("heard {goal} entries from {}", speaker.name);
                device.until(&what, |heard| from(&heard.entries, speaker.name) >= goal).await?;
            }
        }
        Ok(())
    }

    /// What they have said.
    async fn end(self) -> Result<Vec<Entry>> {
        self.enough.store(true, Ordering::Relaxed);
        let mut said = Vec::new();
        for speaker in self.speakers {
            let own = speaker.await??;
            ensure!(own.is_sorted_by_key(|entry| entry.offset), "one speaker's entries are out of order");
            said.extend(own);
        }
        Ok(said)
    }
}

/// Waits until each device has heard so many entries.
async fn all_hear(devices: &[Device], count: usize) -> Result<()> {
    for device in devices {
        let what = format!("heard {count} entries");
        device.until(&what, |heard| heard.entries.len() >= count).await?;
    }
    Ok(())
}

/// All that was ever said, as the database has it.
async fn whole_log(device: &Device) -> Result<Vec<Entry>> {
    let mut log = Vec::new();
    let mut page = HistoryPage::newest().limit(200);
    loop {
        let (entries, more) = device.client.history(page).await?;
        let Some(first) = entries.first().map(|entry| entry.position.clone()) else { break };
        log.splice(0..0, entries.into_iter().map(Entry::from));
        if !more {
            break;
        }
        page = HistoryPage::newest().before(first).limit(200);
    }
    Ok(log)
}

/// What one has and the other lacks, and whether either has something twice.
fn differences(one: &[Entry], other: &[Entry]) -> String {
    let ids = |entries: &[Entry]| entries.iter().map(|entry| entry.id.clone()).collect::<BTreeSet<_>>();
    let (ones, others) = (ids(one), ids(other));
    format!(
        "{} and {} entries, {} twice, {} missing, {} too many",
        one.len(),
        other.len(),
        one.len() - ones.len(),
        others.difference(&ones).count(),
        ones.difference(&others).count()
    )
}

/// Asks until it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while !is_so().await? {
        ensure!(Instant::now() < until, "never: {what}");
        // poll: what other processes do.
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
