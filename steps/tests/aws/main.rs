//! The AWS kinds against the lab.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a test says how much it tried, and that it did not")]

mod alarm;
mod aurora;
mod aurora_restore;
mod aws_cli;
mod backup;
mod canary;
mod claim;
mod cloudfront;
mod contract;
mod dns;
mod drive;
mod dynamodb;
mod dynamodb_global;
mod dynamodb_pitr;
mod ecs;
mod elasticache;
mod errors;
mod fence_group;
mod fence_rds;
mod lab;
mod outage;
mod rds;
mod rds_copy;
mod rds_create_replica;
mod rds_pitr;
mod rds_promote;
mod route53;
mod s3;
mod s3_replication;
mod sms;
mod status_page;
mod sweep;
mod twins;
