//! Whether Slack could be used, without posting anything.

use super::{Slack, call::Failed};
use crate::channel::Trouble;
use dr_engine::report::clean;

/// What is done, and the scopes any of which allows it; of a private channel `channels` is `groups`.
const NEEDS: [(&str, &[&str]); 6] = [
    ("post", &["chat:write", "chat:write:bot"]),
    ("find the channel", &["channels:read"]),
    ("see what was posted", &["channels:history"]),
    ("pin the head message", &["pins:write"]),
    ("set the topic", &["channels:manage", "channels:write", "channels:write.topic"]),
    ("invite people", &["channels:manage", "channels:write", "channels:write.invites"]),
];
/// The same for a channel that does not exist yet.
const TO_CREATE: (&str, &[&str]) = ("create the channel", &["channels:manage", "channels:write"]);
/// The same for one that the app is not in.
const TO_JOIN: (&str, &[&str]) = ("join the channel", &["channels:join", "channels:write"]);

/// What a look at Slack found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Whose the token is: `dr-bot in Example`.
    pub who: String,
    /// The channel's id; `None` where it will be created.
    pub channel: Option<String>,
    /// What the token lacks, for what, and the way out, line by line.
    pub missing: Vec<String>,
    /// What could not be seen: unknown is no yes.
    pub unseen: Vec<String>,
}

impl Access {
    /// In words: whose the token is and where it would post, or what is lacking.
    pub(super) fn told(&self) -> Result<String, Trouble> {
        let channel = self.channel.as_deref().map_or("the channel would be made".into(), |id| format!("channel {id}"));
        let found = format!("{}, {channel}", self.who);
        let lacks: Vec<_> = self.missing.iter().chain(&self.unseen).cloned().collect();
        if lacks.is_empty() { Ok(found) } else { Err(Trouble::refused(format!("{found}: {}", lacks.join("; ")))) }
    }
}

impl Slack {
    /// Looks whether the token is valid, may do what is needed, and whether the channel is there.
    pub async fn access(&self) -> Result<Access, Trouble> {
        let (whose, headers) = self.api.whose().await.map_err(Failed::harmless)?;
        let text = |name: &str| clean(whose[name].as_str().unwrap_or("unknown"));
        let who = format!("{} in {}", text("user"), text("team"));
        let found = self.find().await.map_err(Failed::harmless)?;
        if found.is_none() && !self.settings.create {
            return Err(Trouble::refused(self.absent()));
        }
        let scopes = headers.get("x-oauth-scopes").and_then(|scopes| scopes.to_str().ok());
        let Some(scopes) = scopes else {
            let unseen = vec!["Slack did not say which scopes the token has".to_owned()];
            return Ok(Access { who, channel: found.map(|it| it.id), missing: Vec::new(), unseen });
        };
        let has: Vec<_> = scopes.split(',').map(str::trim).collect();
        let private = found.as_ref().is_some_and(|found| found.is_private);
        let mut needs = NEEDS.to_vec();
        match &found {
            None => needs.push(TO_CREATE),
            Some(found) if found.is_member == Some(false) => needs.push(TO_JOIN),
            Some(_) => {}
        }
        let named = |scope: &str| if private { scope.replace("channels:", "groups:") } else { scope.to_owned() };
        // Groups have no scope `manage`: theirs is `write`.
        let named = |scope: &str| named(scope).replace("groups:manage", "groups:write");
        let lacks = needs.iter().filter(|(_, any)| !any.iter().any(|scope| has.contains(&named(scope).as_str())));
        let words = |(what, any): &(&str, &[&str])| {
            let scope = named(any[0]);
            format!("to {what} the token lacks `{scope}`: add it under OAuth & Permissions, and install the app again")
        };
        let missing = lacks.map(words).collect();
        Ok(Access { who, channel: found.map(|it| it.id), missing, unseen: Vec::new() })
    }
}
