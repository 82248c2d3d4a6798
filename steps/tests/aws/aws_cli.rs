//! `aws.cli`, with the command line of the lab's Python and with scripts in its place.

use crate::{
    drive::Drive,
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    clock::{Clock, SystemClock},
    crash::{Edge, Place},
    duration::Dur,
    plan::StepIx,
    run::State,
    step::Step,
};
use dr_steps::aws_cli::AwsCli;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

const KIND: &str = "aws.cli";
const QUERY: &str = "BackupSummaries[?BackupName=='before'] | [0]";

/// A backup: made twice there would be two, of one name.
fn backup(_: &Estate) -> Value {
    json!({
        "args": ["dynamodb", "create-backup", "--table-name", "sessions", "--backup-name", "before"],
        "check": {
            "args": ["dynamodb", "list-backups", "--table-name", "sessions", "--query", QUERY],
            "expect": { "/BackupName": "before" },
        },
        "until": { "expect": { "/BackupStatus": "AVAILABLE" }, "failed": { "/BackupStatus": ["DELETED"] } },
        "outputs": { "arn": { "regex": "\"BackupArn\": \"([^\"]+)\"" } },
    })
}

pub(crate) const TRIAL: Trial = Trial { kind: KIND, with: backup, before: |_| () };

fn drive(estate: &Estate, with: &Value) -> Drive {
    Drive::new(estate, KIND, with)
}

/// A script in the place of the command line, which says that it is a version.
fn scripted(drive: &mut Drive, version: &str, script: &str) {
    drive.cli = drive.folder.path().join("aws");
    let all =
        format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'aws-cli/{version} Python/3'; exit; fi\n{script}\n");
    fs::write(&drive.cli, all).expect("a script");
    fs::set_permissions(&drive.cli, fs::Permissions::from_mode(0o755)).expect("a mode");
}

#[tokio::test]
async fn an_operation_is_made_waited_for_and_gives_its_values() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = drive(&estate, &backup(&estate));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let arn = ended.run.step(StepIx(0)).output.values["arn"].as_str().expect("an ARN");
    assert!(arn.contains(&format!(":{}:table/sessions/backup/", estate.account)), "{arn}");
    assert_eq!(estate.changes(), ["CreateBackup"]);
    let printed = fs::read_to_string(drive.folder.path().join("logs/it.1.out")).expect("a log");
    assert!(printed.contains(arn), "{printed}");
    for call in estate.calls() {
        assert_eq!((&call["account"], &call["region"]), (&json!(estate.account), &json!("eu-central-1")), "{call}");
    }
}

#[tokio::test]
async fn without_a_check_a_lost_answer_goes_to_a_person_and_nothing_runs_twice() {
    let Some(lab) = lab() else { return };
    let lost = "the operation began before, and what it has left behind is not known";
    let refused = "aws dynamodb create-backup in eu-central-1: ThrottlingException: Rate exceeded";
    for (fault, says) in [("drop_after", lost), ("garbage", lost), ("fail_after", lost), ("throttle", refused)] {
        let estate = lab.estate();
        estate.faults(&json!([{ "write_nth": 1, "do": fault }]));
        let mut with = backup(&estate);
        with.as_object_mut().expect("fields").retain(|name, _| name == "args");
        let mut drive = drive(&estate, &with);
        let failure = drive.go(None).await.failure();
        assert_eq!(failure.message, says, "{fault}");
        assert_eq!(estate.writes().len(), 1, "{fault}: {failure:?}");
        assert_eq!(estate.changes().len(), usize::from(says == lost), "{fault}");
    }
}

#[tokio::test]
async fn what_aws_refuses_is_told_as_our_own_clients_tell_it() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.faults(&json!([{ "operation": "CreateBackup", "nth": 1, "do": "access_denied" }]));
    let failure = drive(&estate, &backup(&estate)).go(None).await.failure();
    assert!(failure.message.contains("AccessDeniedException"), "{failure:?}");
    assert_eq!(failure.hint.as_deref(), Some("the caller needs the permission `dynamodb:CreateBackup`"));
    // A look that passes is repeated; one that is refused is told before anything is done.
    let estate = lab.estate();
    estate.faults(&json!([{ "operation": "ListBackups", "nth": 1, "do": "throttle" }]));
    assert!(matches!(drive(&estate, &backup(&estate)).go(None).await.state(), State::Done));
    let estate = lab.estate();
    estate.faults(&json!([{ "operation": "ListBackups", "every": true, "do": "access_denied" }]));
    let failure = drive(&estate, &backup(&estate)).go(None).await.failure();
    assert_eq!(failure.hint.as_deref(), Some("the caller needs the permission `dynamodb:ListBackups`"));
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn an_error_code_is_absence_only_where_the_runbook_says_so() {
    let Some(lab) = lab() else { return };
    let with = |absent: &[&str]| {
        json!({
            "args": ["ssm", "put-parameter", "--name", "/app/region", "--type", "String", "--value", "eu-central-1"],
            "check": {
                "args": ["ssm", "get-parameter", "--name", "/app/region"],
                "expect": { "/Parameter/Value": "eu-central-1" },
                "absent": absent,
            },
            "outputs": { "version": { "json": "/Version" } },
        })
    };
    let estate = lab.estate();
    let failure = drive(&estate, &with(&[])).go(None).await.failure();
    assert!(failure.message.contains("name it: `absent: [ParameterNotFound]`"), "{failure:?}");
    assert_eq!(estate.writes(), []);
    let ended = drive(&estate, &with(&["ParameterNotFound"])).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(ended.run.step(StepIx(0)).output.values["version"], 1);
    // Somebody else has done it: it is found, and nothing is sent.
    let ended = drive(&estate, &with(&["ParameterNotFound"])).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(estate.writes().len(), 1);
}

#[tokio::test]
async fn what_was_taken_and_is_not_seen_is_not_sent_again() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = backup(&estate);
    with["check"]["expect"] = json!({ "/BackupNam": "before" });
    let mut drive = drive(&estate, &with);
    // The power goes when it is written down that the operation was taken.
    let killed = drive.go(Some((Place::Commit, 2, Edge::After))).await;
    assert!(killed.life.is_over());
    let failure = drive.go(None).await.failure();
    assert!(
        failure.message.contains("was taken in an earlier attempt, and its check says: `/BackupNam`"),
        "{failure:?}"
    );
    assert_eq!(estate.changes(), ["CreateBackup"]);
}

#[tokio::test]
async fn a_value_that_ends_the_wait_is_a_failure() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = backup(&estate);
    with["until"]["failed"] = json!({ "/BackupStatus": ["CREATING", "AVAILABLE"] });
    let failure = drive(&estate, &with).go(None).await.failure();
    assert!(failure.message.contains("what was waited for has failed: `/BackupStatus`"), "{failure:?}");
    assert_eq!(estate.changes(), ["CreateBackup"]);
}

#[tokio::test]
async fn one_that_only_looks_changes_nothing_and_waits() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let looks = json!({
        "args": ["dynamodb", "describe-table", "--table-name", "sessions"],
        "until": { "expect": { "/Table/TableStatus": "ACTIVE" } },
        "outputs": { "name": { "json": "/Table/TableName" } },
    });
    let ended = drive(&estate, &looks).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(ended.run.step(StepIx(0)).output.values["name"], "sessions");
    let gone = json!({ "args": ["dynamodb", "describe-table", "--table-name", "nothing"] });
    let failure = drive(&estate, &gone).go(None).await.failure();
    assert!(failure.message.contains("ResourceNotFoundException"), "{failure:?}");
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn it_is_told_where_and_as_whom_it_works() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let with = json!({ "args": ["sns", "publish", "--message", "$HOME `id`"], "outputs": { "said": { "line": 1 } } });
    let mut drive = drive(&estate, &with);
    let names = "$AWS_ACCESS_KEY_ID|$AWS_SESSION_TOKEN|$AWS_REGION|$AWS_MAX_ATTEMPTS|$AWS_PAGER|$DR_STEP";
    scripted(&mut drive, "2.15.0", &format!("echo \"{names}|$*\""));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let said = &ended.run.step(StepIx(0)).output.values["said"];
    let right = format!(
        "LAB{}||eu-central-1|1||it|--region eu-central-1 --output json --cli-connect-timeout 3 --endpoint-url {} \
         sns publish --message $HOME `id`",
        estate.account, lab.endpoint
    );
    assert_eq!(said, &json!(right));
}

#[tokio::test]
async fn what_is_signed_with_is_never_repeated() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = drive(&estate, &json!({ "args": ["sns", "publish"] }));
    let keys = aws_sdk_sts::config::Credentials::new(
        format!("LAB{}", estate.account),
        "canary-4711-secret",
        Some("canary-4711-token".into()),
        None,
        "lab",
    );
    let keys = aws_sdk_sts::config::SharedCredentialsProvider::new(keys);
    drive.config = drive.config.clone().into_builder().credentials_provider(keys).build();
    let said =
        |what| format!("echo \"An error occurred (No) when calling the Publish operation: {what}\" >&2; exit 254");
    scripted(&mut drive, "2.15.0", &said("no: $AWS_SECRET_ACCESS_KEY $AWS_SESSION_TOKEN"));
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("[secret] [secret]") && !failure.message.contains("4711"), "{failure:?}");
}

#[tokio::test]
async fn a_command_line_that_would_go_elsewhere_is_refused() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (version, script, says) in [
        ("1.22.34", "touch \"$0.ran\"", "is version 1.22.34, which does not go where AWS_ENDPOINT_URL says"),
        ("2.12.9", "touch \"$0.ran\"", "is version 2.12.9, which does not go"),
        ("x", "touch \"$0.ran\"", "does not name a version of the AWS CLI: aws-cli/x Python/3"),
        ("1.46.3", "touch \"$0.ran\"", "would fetch `https://a.example` and send what it finds in its place"),
    ] {
        let with = json!({ "args": ["ssm", "put-parameter", "--value", "https://a.example"] });
        let mut drive = drive(&estate, &with);
        scripted(&mut drive, version, script);
        let failure = drive.go(None).await.failure();
        assert!(failure.message.contains(says), "{failure:?}");
        assert!(!drive.folder.path().join("aws.ran").exists(), "{version}");
    }
    let mut drive = drive(&estate, &json!({ "args": ["ssm", "put-parameter"] }));
    drive.cli = drive.folder.path().join("gone");
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("gone` cannot be started"), "{failure:?}");
}

#[tokio::test]
async fn another_account_is_not_touched() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = drive(&estate, &backup(&estate));
    drive.account = "999999999999".into();
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("`production` is account 999999999999"), "{failure:?}");
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn a_process_that_outlives_its_controller_is_waited_for_and_not_started_again() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let with = json!({
        "args": ["x", "make-thing"],
        "check": { "args": ["x", "describe-thing"], "expect": { "/Made": true } },
    });
    let mut drive = drive(&estate, &with);
    let script = "
        case \"$*\" in
            *make-thing) echo x >> started; sleep 2; touch made ;;
            *) if [ -e made ]; then echo '{\"Made\": true}'; else echo '{\"Made\": false}'; fi ;;
        esac";
    scripted(&mut drive, "2.15.0", script);
    let folder = drive.folder.path().to_path_buf();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let started = || fs::read_to_string(folder.join("started")).unwrap_or_default();
    tokio::select! {
        biased;
        () = async { while started().is_empty() { clock.sleep(Dur(5)).await } } => {}
        _ = Box::pin(drive.go(None)) => panic!("it ended before its work"),
    }
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(started(), "x\n");
    assert!(drive.said.lock().expect("whole").iter().any(|said| said.contains("of an earlier attempt still runs")));
}

#[tokio::test]
async fn what_was_planned_as_something_else_does_not_run() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let of = |words: &[&str]| json!({ "args": words });
    let promotes = of(&["rds", "promote-read-replica", "--db-instance-identifier", "orders-replica"]);
    let writes = of(&["ssm", "put-parameter", "--name", "/x", "--value", "1"]);
    for (with, changes, says) in [
        (&promotes, true, "`aws rds promote-read-replica` promotes, and that was not planned"),
        (&writes, false, "`aws ssm put-parameter` changes something, and that was not planned"),
    ] {
        let mut drive = drive(&estate, with);
        drive.step().changes = changes;
        let failure = drive.go(None).await.failure();
        assert_eq!(failure.message, says);
    }
    assert_eq!(estate.writes(), []);
}

#[test]
fn what_does_not_go_together_is_told_when_planning() {
    let look = json!(["ssm", "get-parameter", "--name", "x"]);
    let write = json!(["ssm", "put-parameter", "--name", "x"]);
    for (with, field, says) in [
        (json!({ "args": ["ssm"] }), "args", "an operation has two words at least"),
        (json!({ "args": ["ssm", "put-parameter", "--profile", "x"] }), "args", "`--profile` is not for a step"),
        (
            json!({ "args": look, "check": { "args": look } }),
            "check",
            "an operation that only looks leaves nothing to be checked",
        ),
        (json!({ "args": write, "check": { "args": write } }), "check", "is not known to look only"),
        (
            json!({ "args": write, "check": { "args": ["s3api", "list-objects-v2", "--max-items", "1"] } }),
            "check",
            "may be a part of the whole",
        ),
        (json!({ "args": write, "check": { "args": look } }), "check", "takes any answer for done"),
        (
            json!({ "args": write, "until": { "args": write, "expect": { "/A": 1 } } }),
            "until",
            "is not known to look only",
        ),
        (
            json!({ "args": write, "until": { "expect": { "/A": 1 } } }),
            "until",
            "names no operation that looks, and there is no `check`",
        ),
        (json!({ "args": write, "until": { "args": look, "expect": {} } }), "until", "expects nothing"),
    ] {
        let step: AwsCli = serde_json::from_value(with.clone()).expect("inputs");
        let [found] = &step.mistakes()[..] else { panic!("{with}: {:?}", step.mistakes()) };
        assert_eq!(found.field, field, "{with}");
        assert!(found.message.contains(says) && !found.help.is_empty(), "{found:?}");
    }
    let step: AwsCli = serde_json::from_value(json!({ "args": write })).expect("inputs");
    assert!(step.changes() && !step.sees_effect() && step.mistakes().is_empty());
    let step: AwsCli = serde_json::from_value(json!({ "args": look })).expect("inputs");
    assert!(!step.changes() && step.sees_effect());
}

#[test]
fn what_promotes_wants_what_a_promotion_wants() {
    for (args, promotes) in [
        (json!(["rds", "promote-read-replica", "--db-instance-identifier", "orders-dr"]), true),
        (json!(["rds", "failover-global-cluster", "--global-cluster-identifier", "x"]), false),
    ] {
        let step: AwsCli = serde_json::from_value(json!({ "args": args })).expect("inputs");
        let is = step.describe();
        assert_eq!((is.second_writer, is.loses_data, is.irreversible), (promotes, promotes, promotes), "{args}");
    }
}
