//! What a command printed, as it is shown: without secrets, without anything
//! that a terminal would obey, and as it comes.

mod support;

use std::fs;
use support::{Place, Said, until};

/// A program that prints its secret in three ways and one that prints another step's.
const RUNBOOK: &str = "
dr: v1
name: leaky
params: { token_of: { type: string, default: TOKEN } }
steps:
  ask:
    do:
      command:
        argv: [sh, -c, 'printf \"\\033[31mwith %s\\033[0m\\nas %s\\n\" \"$SENT\" \"$(printf %s \"$SENT\" | base64)\"; echo \"from $FROM_FILE\" >&2']
        env: { SENT: { secret: env:TOKEN }, FROM_FILE: { secret: file:key } }
  wait:
    needs: [ask]
    do: { command: { argv: [sh, ./say] } }
";

/// Prints half a line, then the rest of it once it may, then more.
const SAY: &str = "printf 'one\\r\\ntwo canary-'
touch began/wait
until [ -e go/wait ]; do [ -d go ] || exit 9; sleep 0.02; done
printf '%s\\n' \"${TOKEN#canary-}\"
echo three";

/// Runs `dr` with the secrets that the runbook names at hand.
fn run(place: &Place, args: &[&str], token: bool) -> Said {
    let mut command = place.dr(args);
    if token {
        command.env("TOKEN", "canary-1/+?x");
    }
    place.end(command)
}

#[test]
fn logs_are_shown_without_secrets_and_say_which_could_not_be_looked_for() {
    let place = Place::with(RUNBOOK);
    place.write("key", "canary-2\n");
    place.write("say", SAY);
    place.go("wait");
    run(&place, &["execute", "runbook.yaml", "--kind", "drill", "--yes"], true).ends(0);
    let id = place.id();
    let kept = fs::read_to_string(place.run_folder().join("logs/ask.1.out")).expect("a log");
    assert!(kept.contains("canary-1"), "the log itself is as the program wrote it: {kept}");

    let said = run(&place, &["logs", &id, "ask"], true).ends(0);
    assert_eq!(said.out, "== ask.1.err\nfrom [secret]\n== ask.1.out\nwith [secret]\nas [secret]\n");
    assert_eq!(said.err, "");
    // A program has the environment of `dr`: it may print what it was not given.
    let said = run(&place, &["logs", &id, "wait", "-f"], true).ends(0);
    assert_eq!(said.out, "== wait.1.out\none\ntwo [secret]\nthree\n");

    // What cannot be read here cannot be looked for, and nobody is to believe that it was.
    let said = run(&place, &["logs", &id, "ask"], false).ends(0);
    said.says(&["the secret `env:TOKEN` cannot be read here, so it is not looked for"]).prints(&["from [secret]"]);
}

#[test]
fn logs_that_are_followed_end_with_the_step_and_never_show_half_a_line() {
    let place = Place::with(RUNBOOK);
    place.write("key", "canary-2\n");
    place.write("say", SAY);
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
    command.env("TOKEN", "canary-1/+?x");
    let controller = place.begin(command);
    until("a waiting command", || place.began("wait"));
    let id = place.id();
    let mut command = place.dr(&["logs", &id, "wait", "--follow"]);
    command.env("TOKEN", "canary-1/+?x");
    let follower = place.begin(command);
    until("its first line", || follower.so_far().0.contains("one\n"));
    assert_eq!(follower.so_far().0, "== wait.1.out\none\n", "the beginning of a line waits for its end");
    place.go("wait");
    controller.end().ends(0);
    let said = follower.end().ends(0);
    assert_eq!(said.out, "== wait.1.out\none\ntwo [secret]\nthree\n");
    assert_eq!(said.err, "");
}

#[test]
fn logs_of_a_run_that_nobody_drives_are_not_followed_for_ever() {
    let place = Place::with(RUNBOOK);
    // A secret that is not there fails the step, and a person is asked.
    let held = ["execute", "runbook.yaml", "--kind", "drill", "--yes", "--no-wait"];
    run(&place, &held, true).ends(4);
    let id = place.id();
    run(&place, &["logs", &id, "wait", "-f"], true).ends(1).says(&["`wait` has printed nothing here"]);
}
