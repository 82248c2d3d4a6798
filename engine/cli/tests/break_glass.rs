//! The credentials that are kept for emergencies: taken with a reason, told
//! everywhere, and for no longer than somebody says.

mod support;

use std::{fs, process::Command};
use support::{
    Place,
    lab::{Estate, lab},
};

const RUNBOOK: &str = "
dr: v1
name: scale
regions: { recovery: eu-central-1 }
accounts: { production: { id: \"${params.account}\" } }
params: { account: { type: string } }
steps:
  orders:
    check_timeout: 500ms
    do: { ecs.scale_service: { cluster: prod, service: orders, desired: 2 } }
";
const SETTINGS: &str = "
[break_glass]
profile = \"glass\"
";

/// A place where the usual credentials are of another account, and the profile `glass` of the right one.
fn place(estate: &Estate, settings: &str) -> Place {
    let place = Place::with(RUNBOOK);
    let lab = fs::read_to_string(estate.lab.settings()).expect("the lab's settings");
    place.write("settings.toml", &format!("{lab}\n{settings}"));
    let keys = format!("aws_access_key_id = LAB{}\naws_secret_access_key = canary-glass-0815\n", estate.account);
    place.write("aws.ini", &format!("[profile glass]\n{keys}"));
    place
}

fn dr(estate: &Estate, place: &Place, words: &[&str]) -> Command {
    let mut command = estate.dr(place, words);
    command.env("DR_CONFIG", place.path("settings.toml")).env("AWS_CONFIG_FILE", place.path("aws.ini"));
    command.env("AWS_ACCESS_KEY_ID", "LAB999999999999");
    command
}

fn execute(estate: &Estate, place: &Place, words: &[&str]) -> Command {
    let account = format!("account={}", estate.account);
    dr(estate, place, &[&["execute", "runbook.yaml", "--yes", "--no-wait", "--param", &account], words].concat())
}

#[test]
fn they_are_taken_with_a_reason_and_told_on_every_screen_and_in_the_report() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let place = place(&estate, SETTINGS);
    let why = ["--break-glass", "--why", "the sign-in is in the lost region"];
    let said = place.end(execute(&estate, &place, &why)).ends(0);
    said.says(&["production", "· BREAK GLASS glass ·"])
        .prints(&["BREAK GLASS, the profile glass, says", "the lost region"]);
    assert_eq!(estate.changes(), ["UpdateService"]);
    let id = place.id();
    // Whoever only adds a word works with no credentials.
    place.end(dr(&estate, &place, &["note", &id, "it is over"]));
    place.end(dr(&estate, &place, &["status", &id])).ends(0).prints(&["· BREAK GLASS glass ·"]);
    let report = place.end(dr(&estate, &place, &["report", &id, "--format", "md"])).ends(0).out;
    // Where a line is wrapped follows from the version's length.
    let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        "worked with the credentials of the break-glass profile",
        "BREAK GLASS glass: the sign-in is in the lost region",
    ] {
        assert!(report.contains(told), "{told}: {report}");
    }
    let json = place.end(dr(&estate, &place, &["report", &id, "--format", "json"])).ends(0);
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["tool"][0]["break_glass"]["profile"], "glass");
    assert_eq!(json["tool"][0]["break_glass"]["why"], "the sign-in is in the lost region");
    assert!(!json.to_string().contains("canary"));
    // Whether they are any good is seen before they are needed.
    let ready = format!("ok   break glass profile `glass` is of {} (arn:aws:", estate.account);
    place.end(dr(&estate, &place, &["doctor"])).prints(&[&ready]);
    place.write("aws.ini", "");
    place.end(dr(&estate, &place, &["doctor"])).prints(&["BAD  break glass profile `glass`: "]);
}

#[test]
fn a_run_that_is_held_goes_on_with_them_and_only_as_long_as_somebody_says() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let place = place(&estate, SETTINGS);
    place.end(execute(&estate, &place, &[])).ends(4).prints(&["these credentials are of account 999999999999"]);
    let id = place.id();
    let again = || {
        place.end(dr(&estate, &place, &["answer", &id, "orders", "retry", "--why", "signed in"])).ends(4);
    };
    again();
    place.end(dr(&estate, &place, &["resume", &id, "--no-wait"])).ends(4).prints(&["account 999999999999"]);
    again();
    let glass = ["--break-glass", "--why", "nobody can sign in"];
    place.write(
        "glass",
        &fs::read_to_string(place.path("aws.ini")).expect("keys").replace("[profile glass]", "[profile gone]"),
    );
    let mut gone = dr(&estate, &place, &[&["resume", &id, "--no-wait"], &glass[..]].concat());
    gone.env("AWS_CONFIG_FILE", place.path("glass"));
    place.end(gone).ends(1).says(&["the break-glass profile `glass` gives no credentials: "]);
    let said = place.end(dr(&estate, &place, &[&["resume", &id, "--no-wait"], &glass[..]].concat())).ends(0);
    said.says(&["· BREAK GLASS glass ·"]).prints(&["goes on with it; BREAK GLASS, the profile glass, says"]);
    assert_eq!(estate.changes(), ["UpdateService"]);
}

#[test]
fn every_mistake_is_told_before_anything_is_written() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let why = ["--break-glass", "--why", "x"];
    for (settings, words, code, says) in [
        (SETTINGS, &["--break-glass"][..], 2, "--break-glass wants a reason, for the report"),
        (SETTINGS, &["--break-glass", "--why", " "], 2, "--break-glass wants a reason, for the report"),
        ("", &why, 2, "the settings name no profile for it"),
        ("[break_glass]\nprofil = \"x\"", &why, 2, "unknown field `profil`"),
        ("[break_glass]\nprofile = \"gone\"", &why, 1, "the break-glass profile `gone` gives no credentials: "),
    ] {
        let place = place(&estate, settings);
        place.end(execute(&estate, &place, words)).ends(code).says(&[says]);
        assert_eq!(place.runs(), Vec::<String>::new(), "{says}");
    }
    let place = place(&estate, SETTINGS);
    place.write("runbook.yaml", "dr: v1\nname: none\nsteps:\n  one: { do: { command: { argv: [\"true\"] } } }\n");
    let words = [&["execute", "runbook.yaml", "--yes"], &why[..]].concat();
    place.end(dr(&estate, &place, &words)).ends(2).says(&["this runbook calls no service of AWS"]);
    assert_eq!(estate.changes(), Vec::<String>::new());
}
