//! The rule by which objects come from one bucket into the other.

use aws_sdk_s3::types::{
    DeleteMarkerReplicationStatus, Destination, Metrics, MetricsStatus, ReplicationRule, ReplicationRuleStatus,
};
use dr_engine::outcome::Failure;

/// What is wanted of a rule.
pub(super) struct Wanted<'a> {
    pub(super) source: &'a str,
    pub(super) target: &'a str,
    /// The keys that it must cover begin so.
    pub(super) prefix: &'a str,
    /// Its name, where the runbook says.
    pub(super) id: Option<&'a str>,
}

/// A rule that covers what is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) id: String,
    /// Whether a deletion is replicated, too.
    pub(super) delete_markers: bool,
    /// Whether it is measured how far behind it is.
    pub(super) metrics: bool,
}

/// The prefix that a rule is for.
fn prefix(rule: &ReplicationRule) -> &str {
    let filter = rule.filter().and_then(|filter| filter.prefix().or_else(|| filter.and()?.prefix()));
    #[expect(deprecated, reason = "rules of the first version have it here, and no filter")]
    filter.or_else(|| rule.prefix()).unwrap_or_default()
}

/// Whether a rule is for objects with certain tags only.
fn tagged(rule: &ReplicationRule) -> bool {
    let filter = rule.filter();
    filter.is_some_and(|filter| filter.tag().is_some() || filter.and().is_some_and(|and| !and.tags().is_empty()))
}

impl Wanted<'_> {
    /// Why a rule does not do; `None` where it does.
    fn lacks(&self, rule: &ReplicationRule) -> Option<String> {
        let id = rule.id().unwrap_or_default();
        if *rule.status() != ReplicationRuleStatus::Enabled {
            Some(format!("`{id}` is disabled"))
        } else if tagged(rule) {
            Some(format!("`{id}` is for objects with certain tags"))
        } else if self.prefix.starts_with(prefix(rule)) {
            None
        } else {
            Some(format!("`{id}` is for keys under `{}`", prefix(rule)))
        }
    }

    /// The rule that covers what is wanted, that of the highest priority.
    ///
    /// # Errors
    /// When there is none; the words name what there is.
    pub(super) fn of(&self, rules: &[ReplicationRule]) -> Result<Rule, Failure> {
        let Self { source, target, prefix, id } = self;
        let here = format!(":::{target}");
        let leads = |rule: &&ReplicationRule| rule.destination().is_some_and(|there| there.bucket().ends_with(&here));
        let named = |rule: &&ReplicationRule| id.is_none_or(|id| rule.id() == Some(id));
        let all: Vec<_> = rules.iter().filter(leads).filter(named).collect();
        let best = all.iter().filter(|rule| self.lacks(rule).is_none()).max_by_key(|rule| rule.priority());
        if let Some(rule) = best {
            let metrics = rule.destination().and_then(Destination::metrics).map(Metrics::status);
            let markers = rule.delete_marker_replication().and_then(|markers| markers.status());
            return Ok(Rule {
                id: rule.id().unwrap_or_default().to_owned(),
                // Rules of the first version replicate the deletions that people make.
                delete_markers: markers
                    .map_or(rule.filter().is_none(), |s| *s == DeleteMarkerReplicationStatus::Enabled),
                metrics: metrics == Some(&MetricsStatus::Enabled),
            });
        }
        let what = id.map_or("no rule".into(), |id| format!("no rule `{id}`"));
        let lacks: Vec<_> = all.iter().filter_map(|rule| self.lacks(rule)).collect();
        let but = if lacks.is_empty() { String::new() } else { format!(": {}", lacks.join(", ")) };
        let keys = if prefix.is_empty() { "everything".into() } else { format!("what begins with `{prefix}`") };
        let text = format!("`{source}` has {what} that replicates {keys} to `{target}`{but}");
        Err(Failure::new(text)
            .hint("what was written meanwhile is in the source alone; set a rule up, then copy the rest"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::types::{DeleteMarkerReplication, ReplicationRuleAndOperator, ReplicationRuleFilter, Tag};

    fn rule(id: &str, target: &str) -> ReplicationRule {
        let there = Destination::builder().bucket(format!("arn:aws:s3:::{target}")).build().expect("whole");
        let rule = ReplicationRule::builder().id(id).destination(there).priority(1);
        rule.filter(ReplicationRuleFilter::builder().prefix("").build())
            .status(ReplicationRuleStatus::Enabled)
            .delete_marker_replication(
                DeleteMarkerReplication::builder().status(DeleteMarkerReplicationStatus::Disabled).build(),
            )
            .build()
            .expect("whole")
    }

    fn found(rules: &[ReplicationRule], prefix: &str, id: Option<&str>) -> Result<String, String> {
        let wanted = Wanted { source: "home", target: "away", prefix, id };
        wanted.of(rules).map(|rule| rule.id).map_err(|failure| failure.message)
    }

    #[test]
    fn the_rule_of_the_highest_priority_that_covers_it_counts() {
        let (mut low, mut high, mut off) = (rule("low", "away"), rule("high", "away"), rule("off", "away"));
        high.priority = Some(2);
        off.priority = Some(9);
        off.status = ReplicationRuleStatus::Disabled;
        low.filter = Some(ReplicationRuleFilter::builder().prefix("film/").build());
        let all = [low, high, off, rule("elsewhere", "far-away")];
        assert_eq!(found(&all, "film/", None).as_deref(), Ok("high"));
        assert_eq!(found(&all, "film/", Some("low")).as_deref(), Ok("low"));
    }

    #[test]
    fn without_one_it_is_said_what_there_is() {
        let mut film = rule("film", "away");
        let and = ReplicationRuleAndOperator::builder().prefix("film/");
        film.filter = Some(ReplicationRuleFilter::builder().and(and.clone().build()).build());
        let mut tagged = rule("tagged", "away");
        let tag = Tag::builder().key("a").value("b").build().expect("whole");
        tagged.filter = Some(ReplicationRuleFilter::builder().and(and.tags(tag).build()).build());
        let mut off = rule("off", "away");
        off.status = ReplicationRuleStatus::Disabled;
        let says = "`home` has no rule that replicates everything to `away`: `film` is for keys under `film/`, \
            `tagged` is for objects with certain tags, `off` is disabled";
        let all = [film, tagged, off];
        assert_eq!(found(&all, "", None), Err(says.into()));
        assert_eq!(found(&all, "film/cut/", None).as_deref(), Ok("film"));
        let says = "`home` has no rule `other` that replicates what begins with `film/` to `away`";
        assert_eq!(found(&all, "film/", Some("other")), Err(says.into()));
        let says = "`home` has no rule that replicates everything to `away`";
        assert_eq!(found(&[rule("x", "far-away")], "", None), Err(says.into()));
    }

    #[test]
    fn deletions_are_told_of_both_versions_of_rules() {
        let wanted = Wanted { source: "home", target: "away", prefix: "film/", id: None };
        let mut one = rule("one", "away");
        let markers = |one: &ReplicationRule| wanted.of(std::slice::from_ref(one)).expect("a rule").delete_markers;
        assert!(!markers(&one));
        let on = DeleteMarkerReplication::builder().status(DeleteMarkerReplicationStatus::Enabled).build();
        one.delete_marker_replication = Some(on);
        assert!(markers(&one));
        (one.delete_marker_replication, one.filter) = (None, None);
        assert!(markers(&one));
    }
}
