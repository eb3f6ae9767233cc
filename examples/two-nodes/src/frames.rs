//! The frames of the post, one by one, on bare connections through the balancer: who comes without a good token, several
//! topics in one frame, and the settings that decide who gets what.

use std::{collections::BTreeSet, time::Duration};

use antiphon_client::Raw;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{http::Api, operator::Operator, report::Report};

const SYSTEM_PROJECT: &str = "88888888-8888-8888-8888-888888888888";
/// What a stranger says of itself.
const STRANGER: [(&str, &str); 2] = [("user-agent", "stranger/1.0"), ("x-forwarded-for", "203.0.113.7")];

/// Who speaks.
#[derive(Debug)]
pub struct Cast<'a> {
    pub url: &'a str,
    pub company: &'a str,
    pub ada: &'a str,
    pub ben: &'a str,
    pub api: &'a Api,
    pub operator: &'a Operator,
}

impl Cast<'_> {
    /// Those without a good token are sent away.
    pub async fn strangers(&self, report: &mut Report) -> Result<()> {
        for (frame, reason) in [
            (json!({"type": "SUBSCRIBE"}), "NO_TOKEN_PROVIDED"),
            (json!({"type": "SUBSCRIBE", "token": "ant_nobody"}), "INVALID_TOKEN"),
        ] {
            let mut stranger = Raw::connect_with(self.url, &STRANGER).await?;
            stranger.send_json(&frame).await?;
            let (frames, code) = stranger.closed().await?;
            let said: Value = frames.first().map_or(Ok(Value::Null), |frame| serde_json::from_str(frame))?;
            let holds = said["type"] == "TERMINATE_CONNECTION"
                && said["text"] == reason
                && said["entry"]["projectId"] == SYSTEM_PROJECT
                && frames.len() == 1
                && code == Some(4401);
            report.check(
                &format!("TERMINATE_CONNECTION with {reason} ends the connection"),
                holds,
                (frames, code),
            );
        }
        let warned = self.operator.warnings(STRANGER[0].1, STRANGER[1].1).await?;
        let what = "the log warns of the missing and of the wrong token, with the User-Agent and the X-Forwarded-For";
        report.check(what, warned == 2, warned);
        let warned = self.operator.warnings("valid", "token").await?;
        report.check("the log warns of the wrong token", warned == 1, warned);
        Ok(())
    }

    /// Several topics at once, and a message from the other node in each.
    pub async fn topics(&self, report: &mut Report) -> Result<()> {
        let (mut ada, mut ben) = (Raw::connect(self.url).await?, Raw::connect(self.url).await?);
        let topics = ["kitchen", "lobby"];
        let mut ids = BTreeSet::new();
        for (client, token) in [(&mut ada, self.ada), (&mut ben, self.ben)] {
            client.send_json(&json!({"type": "SUBSCRIBE", "token": token, "topics": topics})).await?;
            let frame = client.frame_of("SUBSCRIPTION_SUCCESSFUL").await?;
            let both = topics.iter().all(|topic| frame["topics"][topic]["position"].is_string());
            let is_system = frame["entry"]["projectId"] == SYSTEM_PROJECT;
            let holds = frame["text"] == self.company && is_system && both;
            report.check("SUBSCRIPTION_SUCCESSFUL names the company and both topics", holds, &frame);
            ids.insert(frame["entry"]["id"].as_str().context("no entry id")?.to_owned());
        }
        report.check("each system entry has an id of its own", ids.len() == 2, ids);
        let mut heard = Vec::new();
        for topic in topics {
            ada.send_json(&json!({"type": "MESSAGE", "topic": topic, "text": topic})).await?;
            ada.frame_of("ACCEPTED").await?;
            heard.push(ben.frame_of("MESSAGE").await?["entry"]["topic"].clone());
        }
        report.check(
            "what Ada says in each reaches Ben at the other node",
            json!(heard) == json!(topics),
            heard,
        );
        ada.close().await?;
        ben.close().await?;
        Ok(())
    }

    /// A project that Ben does not want, and then does.
    pub async fn settings(&self, report: &mut Report) -> Result<()> {
        let project = format!("/tenants/{}/projects/apollo/members", self.company);
        let members = json!([{"userId": "ada"}, {"userId": "ben", "deliver": false}]);
        self.api.put(&project, &members.to_string()).await?;
        let (mut ada, mut ben) = (Raw::connect(self.url).await?, Raw::connect(self.url).await?);
        for (client, token) in [(&mut ada, self.ada), (&mut ben, self.ben)] {
            client.send_json(&json!({"type": "SUBSCRIBE", "token": token, "topics": ["lobby"]})).await?;
            client.frame_of("SUBSCRIPTION_SUCCESSFUL").await?;
        }
        let of_project =
            json!({"type": "MESSAGE", "topic": "lobby", "text": "unwanted", "projectId": "apollo"});
        ada.send_json(&of_project).await?;
        ada.send_json(&json!({"type": "MESSAGE", "topic": "lobby", "text": "for all"})).await?;
        let (own, heard) = (ada.frame_of("MESSAGE").await?, ben.frame_of("MESSAGE").await?);
        let holds = own["text"] == "unwanted" && heard["text"] == "for all";
        report.check("a project's message does not reach who has switched it off", holds, (own, heard));

        let settings = format!("{project}/ben/settings");
        self.api.put(&settings, &json!({"deliver": true}).to_string()).await?;
        // The change holds within a second; what Ada says meanwhile may or may not reach him.
        let mut heard = None;
        for number in 0..50 {
            let text = format!("wanted {number}");
            ada.send_json(&json!({"type": "MESSAGE", "topic": "lobby", "text": text, "projectId": "apollo"}))
                .await?;
            let mark = format!("mark {number}");
            ada.send_json(&json!({"type": "MESSAGE", "topic": "lobby", "text": mark})).await?;
            let frame = ben.frame_of("MESSAGE").await?;
            if frame["text"] == text {
                heard = Some(frame);
                break;
            }
            // poll: what another node knows of the change.
            sleep(Duration::from_millis(20)).await;
        }
        report.check("once he has switched it on, it does, on the open connection", heard.is_some(), &heard);
        ada.close().await?;
        ben.close().await?;
        Ok(())
    }
}
