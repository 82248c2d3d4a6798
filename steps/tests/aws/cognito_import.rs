//! `cognito.import_users`.

use crate::{
    drive::{Drive, by_hand},
    lab::{Estate, lab},
    sweep::Trial,
};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use dr_engine::{
    clock::{Clock, SystemClock},
    crash::{Edge, Place},
    duration::Dur,
    plan::StepIx,
    run::State,
};
use serde_json::{Value, json};
use std::sync::Arc;

fn with(estate: &Estate) -> Value {
    json!({
        "pool": estate.param("pool_standby"),
        "bucket": estate.param("bucket_exports"),
        "object": estate.param("export_users"),
        "logs_role": estate.param("import_role"),
    })
}

pub(crate) const TRIAL: Trial = Trial { kind: "cognito.import_users", with, before: |_| () };

fn users(estate: &Estate) -> Value {
    estate.state()["cognito"]["pools"]["eu-central-1 shop-standby"].clone()
}

fn jobs(estate: &Estate) -> Vec<(String, Value)> {
    let state = estate.state();
    let jobs = state["cognito"]["imports"].as_array().expect("a list").iter();
    jobs.map(|job| (job["status"].as_str().expect("a status").to_owned(), job["counts"].clone())).collect()
}

/// Puts an export by hand; the pool's columns come with `header`.
async fn export(estate: &Estate, object: &str, text: &str, taken: Option<&str>) {
    let hand = by_hand(estate).await;
    let put = hand.s3.put_object().bucket(estate.param("bucket_exports")).key(object);
    let put = put.set_metadata(taken.map(|at| [("exported-at".to_owned(), at.to_owned())].into()));
    put.body(ByteStream::from(text.as_bytes().to_vec())).send().await.expect("it is kept");
}

async fn header(estate: &Estate) -> String {
    let reply = by_hand(estate).await.cognito.get_csv_header().user_pool_id(estate.param("pool_standby")).send().await;
    reply.expect("columns").csv_header().join(",")
}

/// A line of the export: with these values, and empty ones in all other columns.
fn row(header: &str, values: &[(&str, &str)]) -> String {
    let value = |name| values.iter().find(|(of, _)| *of == name).map_or("", |(_, value)| value);
    format!("{}\n", header.split(',').map(value).collect::<Vec<_>>().join(","))
}

fn person<'a>(name: &'a str, mail: &'a str) -> [(&'a str, &'a str); 4] {
    [("cognito:username", name), ("email", mail), ("email_verified", "true"), ("cognito:mfa_enabled", "false")]
}

#[tokio::test]
async fn users_of_the_newest_export_are_there_and_who_was_there_is_left_alone() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    let counts = ["users", "imported", "skipped", "failed"].map(|name| output.values[name].as_u64().expect("a number"));
    assert_eq!(counts, [12, 11, 1, 0]);
    assert_eq!(output.values["pool_id"], estate.param("pool_standby"));
    assert_eq!(output.values["lost"], "passwords, MFA, groups, federated links, and the `sub` of every user");
    let point = output.recovery_point.as_ref().expect("data came back");
    let old = ended.run.at.since(point.at);
    assert!(old > Dur(44 * 60_000) && old < Dur(47 * 60_000), "of 45 minutes ago, not {old}");
    assert_eq!(users(&estate)["gül"]["status"], "RESET_REQUIRED");
    assert_eq!(users(&estate)["eve"]["status"], "CONFIRMED", "she was there before");
    assert_eq!(estate.changes(), ["CreateUserImportJob", "PutObject", "StartUserImportJob"]);
    // Whoever has the signed URL can write what is imported: nobody is shown it.
    let journal = format!("{:?}", drive.events);
    let said = drive.said.lock().expect("whole").join("\n");
    assert!(said.contains("is Pending: of 12 users 0 imported"), "{said}");
    assert!(!journal.contains("X-Amz-") && !said.contains("X-Amz-"));
}

#[tokio::test]
async fn the_moment_of_the_data_is_when_its_export_began_where_that_is_said() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let header = header(&estate).await;
    let text = format!("{header}\n{}", row(&header, &person("ann", "ann@example.com")));
    export(&estate, "said.csv", &text, Some("2026-11-22T06:15:00Z")).await;
    export(&estate, "wrong.csv", &text, Some("this morning")).await;
    let mut with = with(&estate);
    with["object"] = "said.csv".into();
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    let point = ended.run.step(StepIx(0)).output.recovery_point.clone().expect("it is said");
    assert_eq!((point.at.to_string().as_str(), point.source.as_str()), ("2026-11-22T06:15:00Z", "exported-at"));
    with["object"] = "wrong.csv".into();
    let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
    assert!(failure.message.contains("wrong.csv: `exported-at` is `this morning`"), "{failure:?}");
}

#[tokio::test]
async fn what_cognito_would_fail_over_is_told_before_anything_is_begun() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let header = header(&estate).await;
    export(&estate, "lacks.csv", &header.replace("nickname,", ""), None).await;
    export(&estate, "empty.csv", &header, None).await;
    export(&estate, "short.csv", &format!("{header}\nann,x\n"), None).await;
    let changes = estate.writes().len();
    for (field, value, says) in [
        ("object", json!("none.csv"), "none.csv: there is no such object"),
        ("bucket", json!("nobodys-bucket"), "there is no such bucket in eu-central-1"),
        ("version", json!("11111111-1111-1111-1111-111111111111"), "users.csv: there is no such version of it"),
        ("object", json!("lacks.csv"), "lacks.csv: its header lacks nickname"),
        ("object", json!("empty.csv"), "empty.csv: it holds no users"),
        ("object", json!("short.csv"), "short.csv: line 2 has 2 values, and the header 21 columns"),
        ("password_hashes", json!("BCRYPT"), "its header has no column of hashes"),
        ("pool", json!("eu-central-1_none"), "there is no user pool `eu-central-1_none` in eu-central-1"),
    ] {
        let mut with = with(&estate);
        with[field] = value;
        let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
        assert!(failure.message.contains(says), "{failure:?}");
    }
    let deaf = lab.estate_with(json!({ "pool_verifies": [] }));
    let failure = Drive::new(&deaf, TRIAL.kind, &with(&deaf)).go(None).await.failure();
    assert!(failure.message.contains("verifies neither email nor telephone"), "{failure:?}");
    assert_eq!((estate.writes().len(), deaf.writes().len()), (changes, 0));
}

#[tokio::test]
async fn who_is_missing_is_told_once_and_a_person_decides() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let header = header(&estate).await;
    let rows = [person("ann", "ann@example.com"), person("no one", "x@example.com"), person("eve", "eve@example.com")];
    let text: String = rows.iter().map(|values| row(&header, values)).collect();
    export(&estate, "bad.csv", &format!("{header}\n{text}"), None).await;
    let mut with = with(&estate);
    with["object"] = "bad.csv".into();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with);
    let failure = drive.go(None).await.failure();
    let says = "is Succeeded: of 3 users 1 imported, 1 were there, 1 failed; 1 are not in";
    assert!(failure.message.contains(says), "{failure:?}");
    assert!(failure.hint.is_some_and(|hint| hint.contains("retry --set failed_at_most=1")));
    // The same again is a job of its own, in which nobody is new: Cognito calls it failed.
    let failure = drive.again().await.failure();
    assert!(failure.message.contains("0 imported, 2 were there, 1 failed; 1 are not in"), "{failure:?}");
    assert!(failure.message.ends_with("Too many users have failed or been skipped during the import."), "{failure:?}");
    // Letting the one go judges what was done, and does nothing more.
    let ended = drive.again_with(&json!({ "failed_at_most": 1 })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output.values;
    assert_eq!((&output["failed"], &output["skipped"]), (&json!(1), &json!(2)));
    assert_eq!(jobs(&estate), [("Succeeded".into(), json!([1, 1, 1])), ("Failed".into(), json!([0, 2, 1]))]);
}

#[tokio::test]
async fn passwords_come_along_where_their_hashes_are_given() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let header = format!("{},hash", header(&estate).await);
    let values = [person("ann", "ann@example.com").as_slice(), &[("hash", "$2a$10$x")]].concat();
    export(&estate, "hashes.csv", &format!("{header}\n{}", row(&header, &values)), None).await;
    let mut with = with(&estate);
    with["object"] = "hashes.csv".into();
    with["password_hashes"] = "BCRYPT".into();
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let lost = ended.run.step(StepIx(0)).output.values["lost"].clone();
    assert_eq!(lost, "MFA, groups, federated links, and the `sub` of every user");
    assert_eq!(users(&estate)["ann"]["status"], "CONFIRMED");
}

#[tokio::test]
async fn a_job_whose_time_was_up_before_its_file_came_is_followed_by_another() {
    let Some(lab) = lab() else { return };
    for (age, left) in [(16 * 60, "Created"), (25 * 3600, "Expired")] {
        let estate = lab.estate_with(json!({ "import_ages": [age] }));
        let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
        assert!(drive.go(Some((Place::Call, 1, Edge::After))).await.life.is_over());
        let ended = drive.go(None).await;
        assert!(matches!(ended.state(), State::Done), "{left}: {:?}", ended.state());
        let states: Vec<_> = jobs(&estate).into_iter().map(|(status, _)| status).collect();
        assert_eq!(states, [left, "Succeeded"]);
        assert_eq!(users(&estate).as_object().map(serde_json::Map::len), Some(12));
    }
}

#[tokio::test]
async fn somebody_elses_import_into_the_pool_is_waited_for() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let header = header(&estate).await;
    export(&estate, "theirs.csv", &format!("{header}\n{}", row(&header, &person("zoe", "z@example.com"))), None).await;
    let mut theirs = with(&estate);
    theirs["object"] = "theirs.csv".into();
    let started = Some((Place::Call, 3, Edge::After));
    assert!(Drive::new(&estate, TRIAL.kind, &theirs).go(started).await.life.is_over());
    let (hand, pool) = (by_hand(&estate).await, estate.param("pool_standby"));
    let listed = hand.cognito.list_user_import_jobs().user_pool_id(pool).max_results(1).send().await.expect("jobs");
    let id = listed.user_import_jobs()[0].job_id().expect("an id").to_owned();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let said = drive.said.clone();
    let look = async {
        let waits =
            || said.lock().expect("whole").iter().any(|text| text.contains("another import goes into the pool"));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        while !waits() {
            clock.sleep(Dur(5)).await;
        }
        // A list is no look: theirs ends by being looked at.
        for _ in 0..3 {
            hand.cognito.describe_user_import_job().user_pool_id(pool).job_id(&id).send().await.expect("it is there");
        }
    };
    let (ended, ()) = tokio::join!(drive.go(None), look);
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(users(&estate).as_object().map(serde_json::Map::len), Some(13), "all of both");
}

#[tokio::test]
async fn an_export_that_is_written_over_meanwhile_stays_the_one_that_was_chosen() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let killed = drive.go(Some((Place::Call, 1, Edge::After))).await;
    assert!(killed.life.is_over());
    let header = header(&estate).await;
    let other = format!("{header}\n{}", row(&header, &person("zoe", "zoe@example.com")));
    export(&estate, estate.param("export_users"), &other, None).await;
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(users(&estate).as_object().map(serde_json::Map::len), Some(12), "not zoe");
    assert_eq!(jobs(&estate), [("Succeeded".into(), json!([11, 1, 0]))]);
}

/// Versions that are not kept do not hold what was chosen; its entity tag does.
#[tokio::test]
async fn an_export_without_a_version_of_its_own_that_is_written_over_is_refused() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let (hand, header) = (by_hand(&estate).await, header(&estate).await);
    let suspended = VersioningConfiguration::builder().status(BucketVersioningStatus::Suspended).build();
    let suspend = hand.s3.put_bucket_versioning().bucket(estate.param("bucket_exports"));
    suspend.versioning_configuration(suspended).send().await.expect("it is suspended");
    let text = |name| format!("{header}\n{}", row(&header, &person(name, "x@example.com")));
    export(&estate, "null.csv", &text("ann"), None).await;
    let mut with = with(&estate);
    with["object"] = "null.csv".into();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with);
    assert!(drive.go(Some((Place::Call, 1, Edge::After))).await.life.is_over());
    export(&estate, "null.csv", &text("zoe"), None).await;
    let failure = drive.go(None).await.failure();
    assert!(failure.message.ends_with("null.csv: it was written over since this step chose it"), "{failure:?}");
    let read = estate.calls().into_iter().rfind(|call| call["operation"] == "GetObject").expect("it was read again");
    assert_eq!(read["request"]["VersionId"], "null");
    assert_eq!(users(&estate).as_object().map(serde_json::Map::len), Some(1), "neither ann nor zoe");
}

#[tokio::test]
async fn other_inputs_do_not_take_over_a_job_that_is_at_work() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    estate.faults(&json!([{ "operation": "DescribeUserImportJob", "nth": 1, "do": "access_denied" }]));
    assert!(drive.go(None).await.failure().message.contains("AccessDenied"));
    let failure = drive.again_with(&json!({ "object": "other.csv" })).await.failure();
    assert!(failure.message.contains("was begun before the inputs changed, and is at work"), "{failure:?}");
    let ended = drive.again_with(&json!({ "object": estate.param("export_users") })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(estate.changes(), ["CreateUserImportJob", "PutObject", "StartUserImportJob"]);
}

#[tokio::test]
async fn a_file_that_s3_refuses_is_told_without_what_s3_says_of_the_signature() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let refused = json!({
        "operation": "PutObject", "every": true, "do": "fail_before", "status": 403,
        "code": "SignatureDoesNotMatch", "message": "StringToSign X-Amz-Signature=canary",
    });
    estate.faults(&json!([refused]));
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let failure = drive.go(None).await.failure();
    assert!(failure.message.ends_with(": 403 SignatureDoesNotMatch"), "{failure:?}");
    assert!(!format!("{:?}", drive.events).contains("canary"));
    estate.faults(&json!([]));
    let ended = drive.again().await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(jobs(&estate).len(), 1);
}
