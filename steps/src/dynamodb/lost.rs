//! What a restore loses, as a list that can be looked at, and how each is given back.

use super::Wanted;
use crate::aws::{Clients, error::code, tags};
use aws_sdk_dynamodb::types::{
    ContinuousBackupsDescription, ContinuousBackupsStatus, PointInTimeRecoverySpecification, PointInTimeRecoveryStatus,
    StreamSpecification, StreamViewType, TableDescription, Tag, TimeToLiveSpecification, TimeToLiveStatus,
};
use dr_engine::{
    outcome::Failure,
    step::{Look, ReadCx, StepCx, StepError},
};
use std::collections::BTreeMap;

/// Something that a restore loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Tags,
    Stream,
    Ttl,
    Pitr,
}

impl Wanted {
    fn tags(&self, cx: &ReadCx) -> BTreeMap<String, String> {
        let own = self.tags.clone().into_iter();
        own.chain(tags::of(cx).map(|(key, value)| (key.to_owned(), value))).collect()
    }

    /// What the table still lacks of what a restore loses.
    pub(super) async fn lost(
        &self,
        cx: &ReadCx,
        clients: &Clients,
        table: &TableDescription,
    ) -> Result<Vec<Lost>, Failure> {
        let mut lost = Vec::new();
        let has = tags_of(clients, table).await?;
        if !self.tags(cx).iter().all(|(key, value)| has.get(key) == Some(value)) {
            lost.push(Lost::Tags);
        }
        if let Some(wanted) = &self.stream {
            let stream = table.stream_specification().filter(|s| s.stream_enabled());
            if stream.and_then(|s| s.stream_view_type()).map(StreamViewType::as_str) != Some(wanted.as_str()) {
                lost.push(Lost::Stream);
            }
        }
        let name = &self.name;
        if let Some(wanted) = &self.ttl {
            let reply = clients.dynamodb.describe_time_to_live().table_name(name).send().await;
            let reply = reply.map_err(|e| clients.call("dynamodb", "DescribeTimeToLive").read(&e))?;
            // ENABLING may last an hour, and is as good.
            let on = reply.time_to_live_description().is_some_and(|ttl| {
                ttl.attribute_name() == Some(wanted.as_str())
                    && matches!(ttl.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
            });
            if !on {
                lost.push(Lost::Ttl);
            }
        }
        if self.pitr {
            let backups = self.continuous_backups(clients).await?;
            let pitr = backups.as_ref().and_then(|b| b.point_in_time_recovery_description());
            if pitr.and_then(|pitr| pitr.point_in_time_recovery_status()) != Some(&PointInTimeRecoveryStatus::Enabled) {
                lost.push(Lost::Pitr);
            }
        }
        Ok(lost)
    }

    async fn continuous_backups(&self, clients: &Clients) -> Result<Option<ContinuousBackupsDescription>, Failure> {
        let reply = clients.dynamodb.describe_continuous_backups().table_name(&self.name).send().await;
        let reply = reply.map_err(|e| clients.call("dynamodb", "DescribeContinuousBackups").read(&e))?;
        Ok(reply.continuous_backups_description)
    }

    pub(super) async fn give_back(
        &self,
        cx: &StepCx,
        clients: &Clients,
        table: &TableDescription,
        lost: Lost,
    ) -> Result<(), StepError> {
        let (db, name) = (&clients.dynamodb, &self.name);
        let invalid = |e: aws_sdk_dynamodb::error::BuildError| Failure::new(e.to_string());
        let wrote = |operation| clients.call("dynamodb", operation);
        match lost {
            Lost::Tags => {
                let tag = |(key, value)| Tag::builder().key(key).value(value).build().map_err(invalid);
                let tags = self.tags(&cx.read).into_iter().map(tag).collect::<Result<Vec<_>, _>>()?;
                let request =
                    db.tag_resource().set_tags(Some(tags)).set_resource_arn(table.table_arn().map(Into::into));
                request.send().await.map(drop).map_err(|e| wrote("TagResource").wrote(&e))
            }
            Lost::Stream => {
                let view = self.stream.as_ref().map(|s| StreamViewType::from(s.as_str()));
                let stream = StreamSpecification::builder().stream_enabled(true).set_stream_view_type(view).build();
                let request = db.update_table().table_name(name).stream_specification(stream.map_err(invalid)?);
                request.send().await.map(drop).map_err(|e| wrote("UpdateTable").wrote(&e))
            }
            Lost::Ttl => {
                let attribute = self.ttl.clone();
                let ttl = TimeToLiveSpecification::builder().enabled(true).set_attribute_name(attribute).build();
                let request = db.update_time_to_live().table_name(name);
                let request = request.time_to_live_specification(ttl.map_err(invalid)?);
                request.send().await.map(drop).map_err(|e| wrote("UpdateTimeToLive").wrote(&e))
            }
            Lost::Pitr => {
                // A table is active before its backups are enabled, and until then the call is refused.
                let enabled = || async {
                    let backups = self.continuous_backups(clients).await?;
                    Ok(match backups.as_ref().map(ContinuousBackupsDescription::continuous_backups_status) {
                        Some(ContinuousBackupsStatus::Enabled) => Look::Ready(()),
                        _ => Look::Pending(format!("the continuous backups of `{name}` are being enabled")),
                    })
                };
                cx.read.poll(enabled).await?;
                let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
                let request = db.update_continuous_backups().table_name(name);
                let request = request.point_in_time_recovery_specification(on.map_err(invalid)?);
                request.send().await.map(drop).map_err(|e| wrote("UpdateContinuousBackups").wrote(&e))
            }
        }
    }
}

/// The tags of a table.
pub(super) async fn tags_of(clients: &Clients, table: &TableDescription) -> Result<BTreeMap<String, String>, Failure> {
    let mut tags = BTreeMap::new();
    let mut request = clients.dynamodb.list_tags_of_resource().resource_arn(table.table_arn().unwrap_or_default());
    loop {
        let reply = match request.clone().send().await {
            // A table that is just being made or has just gone has none.
            Err(e) if code(&e) == "ResourceNotFoundException" => return Ok(tags),
            reply => reply.map_err(|e| clients.call("dynamodb", "ListTagsOfResource").read(&e))?,
        };
        tags.extend(reply.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())));
        match reply.next_token() {
            Some(next) => request = request.next_token(next),
            None => return Ok(tags),
        }
    }
}
