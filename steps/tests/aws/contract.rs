//! The contract, which every kind keeps that changes something at AWS: from
//! the one list below, each tried with all of it. What a kind does beyond it
//! stands in its own file.

use crate::{
    drive::{self, Drive},
    lab::{Estate, Lab},
    sweep::Trial,
};
use dr_engine::{
    attempt::Ended,
    clock::{Clock, SystemClock},
    executor::Exit,
    plan::StepIx,
    question::About,
    run::State,
    step::{Check, Step, Steps},
};
use dr_steps::registry;
use serde_json::json;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Each kind with what it is tried with; where it can be taken back, what that is tried with.
macro_rules! contract {
    ($($name:ident: $trial:expr $(, undo: $undo:expr)?;)*) => {
        $(mod $name {
            use crate::lab::lab;

            #[tokio::test]
            async fn it_keeps_the_laws() {
                let Some(lab) = lab() else { return };
                let undone: &[&str] = &[$($undo.kind)?];
                $trial.laws(lab, !undone.is_empty()).await;
            }

            #[tokio::test]
            async fn it_survives_whatever_happens_at_whichever_call() {
                let Some(lab) = lab() else { return };
                $trial.sweep(lab).await;
            }

            $(#[tokio::test]
            async fn so_does_taking_it_back() {
                let Some(lab) = lab() else { return };
                $undo.sweep_undo(lab).await;
            })?
        })*

        /// The kinds of the list.
        const LISTED: &[&str] = &[$($trial.kind),*];
    };
}

contract! {
    arc_routing_control: crate::arc::TRIAL, undo: crate::arc::TRIAL;
    aurora_global_failover: crate::aurora::LOSING;
    aurora_global_switchover: crate::aurora::KEEPING, undo: crate::aurora::KEEPING;
    aurora_restore_cluster: crate::aurora_restore::TRIAL, undo: crate::aurora_restore::TRIAL;
    aws_cli: crate::aws_cli::TRIAL;
    backup_copy_job: crate::backup_copy::TRIAL;
    backup_restore_job: crate::backup::TRIAL;
    cloudfront_kvs_flag: crate::kvs_flag::TRIAL, undo: crate::kvs_flag::TRIAL;
    cloudfront_kvs_flag_of_a_new_key: crate::kvs_flag::NEW, undo: crate::kvs_flag::NEW;
    cloudfront_update_origin: crate::cloudfront::TRIAL, undo: crate::cloudfront::TRIAL;
    cognito_import_users: crate::cognito_import::TRIAL;
    cognito_replica_activate: crate::cognito_replica::TRIAL, undo: crate::cognito_replica::TRIAL;
    dynamodb_global_table: crate::dynamodb_global::TRIAL, undo: crate::dynamodb_global::TRIAL;
    dynamodb_restore_backup: crate::dynamodb::TRIAL, undo: crate::dynamodb::TRIAL;
    dynamodb_restore_pitr: crate::dynamodb_pitr::TRIAL, undo: crate::dynamodb_pitr::TRIAL;
    ecs_scale_service: crate::ecs::TRIAL, undo: crate::ecs::TRIAL;
    elasticache_global_failover: crate::elasticache_global::TRIAL;
    elasticache_restore_snapshot: crate::elasticache::RESTORE, undo: crate::elasticache::RESTORE;
    elasticache_start_empty: crate::elasticache_warm::WARMED, undo: crate::elasticache_warm::WARMED;
    fence_rds_read_only: crate::fence_rds::TRIAL, undo: crate::fence_rds::TRIAL;
    fence_security_group: crate::fence_group::TRIAL, undo: crate::fence_group::TRIAL;
    lambda_activate: crate::lambda_activate::TRIAL, undo: crate::lambda_activate::TRIAL;
    lambda_event_source: crate::lambda_event_source::TRIAL, undo: crate::lambda_event_source::TRIAL;
    rds_copy_snapshot: crate::rds_copy::TRIAL, undo: crate::rds_copy::TRIAL;
    rds_create_replica: crate::rds_create_replica::TRIAL, undo: crate::rds_create_replica::TRIAL;
    rds_promote_replica: crate::rds_promote::TRIAL;
    rds_restore_pitr: crate::rds_pitr::TRIAL, undo: crate::rds_pitr::TRIAL;
    rds_restore_snapshot: crate::rds::TRIAL, undo: crate::rds::TRIAL;
    route53_failover_flip: crate::flip::PRESENT, undo: crate::flip::PRESENT;
    route53_failover_flip_by_absence: crate::flip::ABSENT, undo: crate::flip::ABSENT;
    route53_upsert: crate::route53::TRIAL, undo: crate::route53::CHANGES;
    s3_sync_point_in_time: crate::s3::TRIAL, undo: crate::s3::TRIAL;
    status_page_static: crate::status_page::TRIAL;
    status_page_static_over_another: crate::status_page::OVER;
}

/// The kinds that change nothing at AWS, and so have contracts of their own.
const ELSEWHERE: &[(&str, &str)] = &[
    ("approve", "asks people"),
    ("command", "a process: tests/kinds/command.rs"),
    ("dns.verify", "only looks"),
    ("fence.command", "a process: tests/kinds/fence_command.rs"),
    ("http", "a server of anybody's: tests/kinds/http.rs"),
    ("iam.check", "only looks"),
    ("lambda.smoke", "nobody sees whether a function ran: tests/aws/lambda_smoke.rs"),
    ("manual", "asks people"),
    ("s3.replication_check", "only looks"),
    ("status_page.statuspage", "another's API: tests/kinds/statuspage.rs"),
    ("verify.alarm", "only looks"),
    ("verify.authz", "only looks: tests/kinds/authz.rs"),
    ("verify.canary", "only looks"),
    ("verify.http", "only looks"),
    ("verify.sql", "only looks: tests/kinds/sql.rs"),
    ("verify.tcp", "only looks"),
    ("wait_until", "only looks"),
];

#[test]
fn every_kind_stands_in_one_of_the_lists() {
    for kind in registry().names() {
        let elsewhere = ELSEWHERE.iter().any(|(name, _)| *name == kind);
        assert!(LISTED.contains(&kind) != elsewhere, "`{kind}` is to stand in one of the two lists of its contract");
    }
    assert!(ELSEWHERE.iter().all(|(name, why)| registry().names().any(|kind| kind == *name) && !why.is_empty()));
}

/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(1);

impl Trial {
    /// What every kind keeps, beside surviving.
    pub(crate) async fn laws(&self, lab: &'static Lab, can_undo: bool) {
        self.says_what_it_does_without_a_call(lab, can_undo).await;
        self.changes_nothing_without_leave(lab).await;
        self.done_twice_is_done_once(lab).await;
        self.can_be_left_at_once(lab).await;
    }

    fn planted(&self, lab: &'static Lab) -> Estate {
        let estate = lab.estate();
        (self.before)(&estate);
        estate
    }

    fn work(&self, estate: &Estate) -> Arc<dyn Step> {
        let step = drive::plan(self.kind, &(self.with)(estate)).steps.remove(0);
        registry().step(&step, step.with.clone()).expect("its inputs are right")
    }

    /// What a plan wants to know costs no call, and is what the page says.
    async fn says_what_it_does_without_a_call(&self, lab: &'static Lab, can_undo: bool) {
        let estate = self.planted(lab);
        let (calls, work) = (estate.calls().len(), self.work(&estate));
        let (description, mistakes) = (work.describe(), work.mistakes());
        assert_eq!(mistakes, Vec::new(), "{}: what it is tried with has mistakes", self.kind);
        assert!(!description.actions.is_empty(), "{} needs permissions", self.kind);
        assert_eq!(estate.calls().len(), calls, "{} calls to say what it does", self.kind);
        assert_eq!(work.can_undo(), can_undo, "{}: the list of the contract says otherwise", self.kind);
        let check = work.check(&drive::looking(drive::of(&estate))).await;
        assert!(matches!(check, Ok(Check::Absent)), "{} before anything was done: {check:?}", self.kind);
    }

    /// Whoever may not act changes nothing, and says so.
    async fn changes_nothing_without_leave(&self, lab: &'static Lab) {
        let estate = self.planted(lab);
        let before = estate.changes();
        let bench = drive::bench(drive::of(&estate));
        bench.calls.refuse.store(true, Ordering::SeqCst);
        let ended = bench.attempt(self.work(&estate), None).await;
        assert!(matches!(ended, Ended::Error(_)), "{} went on without leave: {ended:?}", self.kind);
        assert_eq!(estate.changes(), before, "{} changed something without leave", self.kind);
    }

    /// A controller that has lost its journal does it all again, under the
    /// same names: the second time nothing happens. The page says whether data
    /// comes back, and from which field its moment is read.
    async fn done_twice_is_done_once(&self, lab: &'static Lab) {
        let estate = self.planted(lab);
        let with = (self.with)(&estate);
        let first = Drive::new(&estate, self.kind, &with).go(None).await;
        assert!(matches!(first.state(), State::Done), "{}: {:?}", self.kind, first.state());
        let (dump, changes) = (estate.dump(), estate.changes());
        let second = Drive::new(&estate, self.kind, &with).go(None).await;
        // What cannot tell whether it was done asks a person, and nothing else.
        let right = match second.state() {
            State::Done => true,
            State::Asking { question, .. } => matches!(question.about, About::Doubt(_)),
            _ => false,
        };
        assert!(right, "{} a second time: {:?}", self.kind, second.state());
        assert_eq!(estate.changes(), changes, "{}: done a second time", self.kind);
        crate::sweep::assert_same(&estate.dump(), &dump, self.kind);
        let kinds = registry();
        let page = kinds.kinds().iter().find(|kind| kind.name == self.kind).expect("it is listed").reference;
        let point = first.run.step(StepIx(0)).output.recovery_point.as_ref();
        if let Some(point) = point {
            let says = page.recovery_point.unwrap_or_default();
            assert!(says.contains(&point.source), "{}: the page does not name `{}`: {says}", self.kind, point.source);
        }
    }

    /// Somebody says for the second time to leave, while AWS is still at work.
    async fn can_be_left_at_once(&self, lab: &'static Lab) {
        let estate = lab.estate_with(json!({ "looks": 1_000_000 }));
        (self.before)(&estate);
        let clock = SystemClock::new();
        let mut drive = Drive::new(&estate, self.kind, &(self.with)(&estate));
        let began = clock.now();
        let ended = drive.leave(Duration::from_millis(700)).await;
        let took = clock.now().since(began);
        assert!(took.0 < i64::try_from((Duration::from_millis(700) + LEAVE).as_millis()).expect("short"), "{took}");
        // What does not wait for AWS is done by then.
        assert!(matches!(ended.exit, Ok(Exit::Left | Exit::Finished(_))), "{}: {:?}", self.kind, ended.state());
    }
}
