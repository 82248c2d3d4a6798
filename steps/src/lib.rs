//! The kinds of work of `dr`: one file each.
//!
//! A kind is a struct with its inputs as fields; what it does stands in its
//! [`Step`](dr_engine::step::Step). The documents of the fields are what an
//! editor shows over a runbook.

pub mod approve;
pub mod arc_routing_control;
mod aurora;
pub mod aurora_global_failover;
pub mod aurora_global_switchover;
pub mod aurora_restore_cluster;
pub mod aws;
pub mod aws_cli;
mod backup;
pub mod backup_copy_job;
pub mod backup_restore_job;
mod before;
pub mod claim;
mod client;
pub mod cloudfront_kvs_flag;
pub mod cloudfront_update_origin;
pub mod cognito_import_users;
pub mod cognito_replica_activate;
pub mod command;
mod dns;
pub mod dns_verify;
mod dynamodb;
pub mod dynamodb_global_table;
pub mod dynamodb_restore_backup;
pub mod dynamodb_restore_pitr;
pub mod ecs_scale_service;
mod elasticache;
pub mod elasticache_global_failover;
pub mod elasticache_restore_snapshot;
pub mod elasticache_start_empty;
pub mod fence_command;
pub mod fence_rds_read_only;
pub mod fence_security_group;
mod form;
pub mod http;
pub mod iam_check;
mod lambda;
pub mod lambda_activate;
pub mod lambda_event_source;
pub mod lambda_smoke;
pub mod limits;
pub mod manual;
mod metrics;
mod moments;
mod namesakes;
mod newest;
pub mod output;
pub mod prepared;
pub mod probe;
pub mod process;
mod promotion;
mod rds;
pub mod rds_copy_snapshot;
pub mod rds_create_replica;
pub mod rds_promote_replica;
pub mod rds_restore_pitr;
pub mod rds_restore_snapshot;
mod reach;
pub mod redact;
pub mod route53_failover_flip;
pub mod route53_upsert;
pub mod s3_replication_check;
pub mod s3_sync_point_in_time;
pub mod secret;
pub mod sms;
pub mod status_page_static;
pub mod status_page_statuspage;
pub mod text;
mod trust;
pub mod verify;
pub mod verify_alarm;
pub mod verify_authz;
pub mod verify_canary;
pub mod verify_sql;
pub mod wait_until;
pub mod web;
mod work;
pub mod world;

use dr_engine::kind::{Kind, Registry};

/// Every kind of work that this program knows: the visible list.
pub fn registry() -> Registry {
    Registry::of([
        Kind::of::<approve::Approve>("approve"),
        Kind::of::<arc_routing_control::RoutingControl>("arc.routing_control"),
        Kind::of::<aurora_global_failover::GlobalFailover>("aurora.global_failover"),
        Kind::of::<aurora_global_switchover::GlobalSwitchover>("aurora.global_switchover"),
        Kind::of::<aurora_restore_cluster::RestoreCluster>("aurora.restore_cluster"),
        Kind::of::<aws_cli::AwsCli>("aws.cli"),
        Kind::of::<backup_copy_job::CopyJob>("backup.copy_job"),
        Kind::of::<backup_restore_job::RestoreJob>("backup.restore_job"),
        Kind::of::<cloudfront_kvs_flag::KvsFlag>("cloudfront.kvs_flag"),
        Kind::of::<cloudfront_update_origin::UpdateOrigin>("cloudfront.update_origin"),
        Kind::of::<cognito_import_users::ImportUsers>("cognito.import_users"),
        Kind::of::<cognito_replica_activate::ReplicaActivate>("cognito.replica_activate"),
        Kind::of::<command::Command>("command"),
        Kind::of::<dns_verify::DnsVerify>("dns.verify"),
        Kind::of::<dynamodb_global_table::GlobalTable>("dynamodb.global_table"),
        Kind::of::<dynamodb_restore_backup::RestoreBackup>("dynamodb.restore_backup"),
        Kind::of::<dynamodb_restore_pitr::RestorePitr>("dynamodb.restore_pitr"),
        Kind::of::<ecs_scale_service::ScaleService>("ecs.scale_service"),
        Kind::of::<elasticache_global_failover::GlobalFailover>("elasticache.global_failover"),
        Kind::of::<elasticache_restore_snapshot::RestoreSnapshot>("elasticache.restore_snapshot"),
        Kind::of::<elasticache_start_empty::StartEmpty>("elasticache.start_empty"),
        Kind::of::<fence_command::FenceCommand>("fence.command"),
        Kind::of::<fence_rds_read_only::ReadOnly>("fence.rds_read_only"),
        Kind::of::<fence_security_group::SecurityGroup>("fence.security_group"),
        Kind::of::<http::Http>("http"),
        Kind::of::<iam_check::IamCheck>("iam.check"),
        Kind::of::<lambda_activate::Activate>("lambda.activate"),
        Kind::of::<lambda_event_source::EventSource>("lambda.event_source"),
        Kind::of::<lambda_smoke::Smoke>("lambda.smoke"),
        Kind::of::<manual::Manual>("manual"),
        Kind::of::<rds_copy_snapshot::CopySnapshot>("rds.copy_snapshot"),
        Kind::of::<rds_create_replica::CreateReplica>("rds.create_replica"),
        Kind::of::<rds_promote_replica::PromoteReplica>("rds.promote_replica"),
        Kind::of::<rds_restore_pitr::RestorePitr>("rds.restore_pitr"),
        Kind::of::<rds_restore_snapshot::RestoreSnapshot>("rds.restore_snapshot"),
        Kind::of::<route53_failover_flip::FailoverFlip>("route53.failover_flip"),
        Kind::of::<route53_upsert::Upsert>("route53.upsert"),
        Kind::of::<s3_replication_check::ReplicationCheck>("s3.replication_check"),
        Kind::of::<s3_sync_point_in_time::SyncPointInTime>("s3.sync_point_in_time"),
        Kind::of::<status_page_static::StatusPage>(status_page_static::KIND),
        Kind::of::<status_page_statuspage::Statuspage>(status_page_statuspage::KIND),
        Kind::of::<verify_alarm::VerifyAlarm>("verify.alarm"),
        Kind::of::<verify_authz::VerifyAuthz>("verify.authz"),
        Kind::of::<verify_canary::VerifyCanary>("verify.canary"),
        Kind::of::<verify::VerifyHttp>("verify.http"),
        Kind::of::<verify_sql::VerifySql>("verify.sql"),
        Kind::of::<verify::VerifyTcp>("verify.tcp"),
        Kind::of::<wait_until::WaitUntil>("wait_until"),
    ])
}
