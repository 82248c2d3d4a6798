//! The recipes for the AWS command line, run by the binary against the lab,
//! and what `dr doctor` says of a command line.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use support::{
    Place,
    lab::{Estate, bin, lab, path_with},
};

fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks/aws_cli_recipes.yaml").canonicalize().expect("a runbook")
}

/// Somebody who prepares the account by hand.
fn by_hand(estate: &Estate, words: &[&str]) {
    let mut aws = Command::new(bin().join("aws"));
    aws.args(words).envs(estate.lab.env(&estate.account, "eu-central-1")).env("AWS_DEFAULT_REGION", "eu-central-1");
    let said = aws.output().expect("aws runs");
    assert!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
}

fn about(estate: &Estate, place: &Place, words: &[&str]) -> Command {
    let runbook = recipes();
    let account = format!("account={}", estate.account);
    let mut dr = estate.dr(place, &[words, &[runbook.to_str().expect("text"), "--param", &account]].concat());
    dr.env("PATH", path_with(&bin()));
    dr
}

/// What stands in the recovery region before: a function that is held back, a schedule that sleeps.
fn prepare(estate: &Estate, place: &Place) {
    let zip = place.path("function.zip");
    // The shortest archive: its directory, of no file.
    fs::write(&zip, [b"PK\x05\x06".as_slice(), &[0; 18]].concat()).expect("a file");
    let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
    by_hand(estate, &["iam", "create-role", "--role-name", "import", "--assume-role-policy-document", trust]);
    let role = format!("arn:aws:iam::{}:role/import", estate.account);
    let code = format!("fileb://{}", zip.display());
    let name = ["lambda", "create-function", "--function-name", "import-orders", "--runtime", "python3.12"];
    by_hand(estate, &[&name[..], &["--handler", "a.b", "--role", &role, "--zip-file", &code]].concat());
    let schedule = ["events", "put-rule", "--name", "nightly-import", "--schedule-expression", "rate(1 day)"];
    by_hand(estate, &[&schedule[..], &["--state", "DISABLED"]].concat());
}

#[test]
fn every_recipe_does_its_work_once_and_is_found_done() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let place = Place::new();
    prepare(&estate, &place);
    let before = estate.writes().len();
    place.end(about(&estate, &place, &["execute", "--yes"])).ends(0);
    let made: Vec<_> = estate.writes().into_iter().skip(before).map(|(name, _)| name).collect();
    let mut sorted = made.clone();
    sorted.sort();
    assert_eq!(sorted, ["CreateQueue", "EnableRule", "PutFunctionConcurrency", "PutParameter"]);
    assert_eq!(made.last().map(String::as_str), Some("EnableRule"));
    // Once more: all of it is there.
    place.end(about(&estate, &place, &["execute", "--yes"])).ends(0);
    assert_eq!(estate.writes().len(), before + 4);
}

#[test]
fn doctor_names_the_command_line_or_says_that_there_is_none() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let place = Place::new();
    let found = format!("ok   aws cli    {} 1.", bin().join("aws").display());
    place.end(about(&estate, &place, &["doctor"])).prints(&[&found]);
    let mut none = about(&estate, &place, &["doctor"]);
    none.env("PATH", place.path(""));
    place.end(none).ends(1).prints(&["BAD  aws cli    there is no `aws` in PATH", "https://aws.amazon.com/cli/"]);
    let old = place.path("old");
    fs::create_dir(&old).expect("a folder");
    place.program("old/aws", "#!/bin/sh\necho aws-cli/1.22.34 Python/3\n");
    let mut too_old = about(&estate, &place, &["doctor"]);
    too_old.env("PATH", path_with(&old));
    place.end(too_old).ends(1).prints(&["BAD  aws cli ", "version 1.22.34, which does not go where AWS_ENDPOINT_URL"]);
}
