//! `command`, with real processes.

use crate::support::{Scene, done, doubted, failed, leave, obeys, read, refused, step};
use dr_engine::{attempt::Ended, duration::Dur, event::Doubt, step::Check};
use dr_steps::{command::Command, redact::redactor};
use serde_json::{Value, json};
use std::{os::unix::fs::PermissionsExt, sync::atomic::Ordering};

fn sh(script: &str) -> Value {
    json!({ "argv": ["/bin/sh", "-c", script] })
}

fn with(mut value: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("fields are a map") };
    value.as_object_mut().expect("inputs are a map").extend(fields);
    value
}

#[tokio::test]
async fn a_command_with_a_check_obeys_the_contract() {
    let scene = Scene::new("warm");
    let inputs =
        with(sh("echo x >> made"), json!({ "check": { "argv": ["/bin/sh", "-c", "test -e made || exit 3"] } }));
    obeys(&scene, || step::<Command>(inputs.clone()), || read(&scene.book("made")) == "x\n").await;
}

#[tokio::test]
async fn naughty_arguments_arrive_verbatim() {
    let naughty = [
        "",
        " ",
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned",
        "a\nb",
        "'\"\\",
        "*",
        "~",
        "-rf",
        "é漢\u{202e}",
        "%s%n",
        "\u{1b}[31m",
        "${params.x}",
        "$HOME",
    ];
    let corpus = include_str!("../naughty-strings/blns.json");
    let file: Vec<String> = serde_json::from_str(corpus).expect("a list of texts");
    assert!(file.len() > 400);
    let all: Vec<_> = naughty.into_iter().map(ToOwned::to_owned).chain(file).filter(|s| !s.contains('\0')).collect();
    let scene = Scene::new("naughty");
    let argv: Vec<_> = ["/bin/sh", "-c", "for a; do printf '%s\\0' \"$a\"; done", "sh"]
        .into_iter()
        .map(ToOwned::to_owned)
        .chain(all.clone())
        .collect();
    done(scene.bench.attempt(step::<Command>(json!({ "argv": argv })), None).await);
    let arrived = read(&scene.log(1, "out"));
    assert_eq!(arrived.split_terminator('\0').collect::<Vec<_>>(), all);
    assert!(!scene.book("pwned").exists());
}

#[tokio::test]
async fn it_knows_its_run_its_step_and_its_folder() {
    let scene = Scene::new("restore[eu]");
    std::fs::create_dir(scene.book("sub")).expect("a folder");
    std::fs::write(scene.book("sub/tool"), "#!/bin/sh\necho \"$DR_RUN|$DR_STEP|$DR_ATTEMPT|$X|$(pwd -P)|$PATH\"")
        .expect("a script");
    std::fs::set_permissions(scene.book("sub/tool"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let inputs = json!({ "argv": ["./tool"], "cwd": "sub", "env": { "X": 6 }, "outputs": { "line": { "line": 1 } } });
    let values = done(scene.bench.attempt(step::<Command>(inputs), None).await);
    let folder = scene.book("sub").canonicalize().expect("it is there");
    let path = std::env::var("PATH").expect("a PATH");
    let expected = format!("{}|restore[eu]|1|6|{}|{path}", scene.bench.run.id, folder.display());
    assert_eq!(values, json!({ "line": expected }));
}

#[tokio::test]
async fn logs_belong_to_their_owner_alone() {
    let scene = Scene::new("modes");
    done(scene.bench.attempt(step::<Command>(sh("echo out; echo err >&2")), None).await);
    assert_eq!((read(&scene.log(1, "out")), read(&scene.log(1, "err"))), ("out\n".into(), "err\n".into()));
    let mode = |path: &std::path::Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&scene.log(1, "out")), mode(&scene.log(1, "err"))), (0o600, 0o600));
    assert_eq!(mode(scene.log(1, "out").parent().expect("a folder")), 0o700);
}

#[tokio::test]
async fn an_end_that_is_not_well_is_told_with_its_last_line() {
    for (script, retry_on, message, transient) in [
        ("exit 7", json!([]), "exit code 7", false),
        (
            "echo one >&2; printf '\\033[31mno \\033]0;x\\007way\\r\\n\\n' >&2; exit 1",
            json!([]),
            "exit code 1: no way",
            false,
        ),
        ("echo busy >&2; exit 75", json!([75]), "exit code 75: busy", true),
        ("exit 76", json!([75]), "exit code 76", false),
        ("kill -9 $$", json!([75]), "signal KILL", false),
    ] {
        let scene = Scene::new("bad");
        let listed = with(sh(script), json!({ "retry_on": retry_on }));
        let seen = with(listed.clone(), json!({ "check": { "argv": ["/bin/sh", "-c", "exit 3"] } }));
        let failure = failed(scene.bench.attempt(step::<Command>(seen), None).await);
        assert_eq!((failure.message.as_str(), failure.transient), (message, transient), "{script}");
        assert_eq!(scene.calls(), (1, 1));
        // What cannot be looked at has one attempt.
        let scene = Scene::new("blind");
        let failure = failed(scene.bench.attempt(step::<Command>(listed), None).await);
        assert_eq!((failure.message.as_str(), failure.transient), (message, false), "{script}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_has_failed_for_certain() {
    let scene = Scene::new("start");
    for (inputs, message) in [
        (json!({ "argv": ["./gone"] }), "`./gone` cannot be started: No such file or directory (os error 2)"),
        (json!({ "argv": ["true"], "env": { "A=B": "x" } }), "`A=B` cannot name a variable of an environment"),
        (
            json!({ "argv": ["true"], "env": { "A": { "secret": "env:DR_TEST_IS_NOT_SET" } } }),
            "the secret `env:DR_TEST_IS_NOT_SET` is not set",
        ),
        (json!({ "argv": ["true", "a\0b"] }), "`true` cannot be started: nul byte found in provided data"),
    ] {
        assert_eq!(failed(scene.bench.attempt(step::<Command>(inputs), None).await).message, message);
    }
    let message =
        failed(scene.bench.attempt(step::<Command>(json!({ "argv": ["true"], "cwd": "gone" })), None).await).message;
    assert!(message.starts_with("the folder `") && message.ends_with("/book/gone` is not there"), "{message}");
    assert!(refused::<Command>(json!({ "argv": ["x"], "shell": true })).starts_with("unknown field `shell`"));
    assert!(refused::<Command>(json!({ "argv": [] })).starts_with("`argv` names no program"));
    assert!(refused::<Command>(json!({ "argv": [""] })).starts_with("`argv` names no program"));
}

#[tokio::test]
async fn outputs_are_read_from_what_it_printed() {
    let scene = Scene::new("out");
    let outputs =
        json!({ "size": { "json": "/size" }, "first": { "line": 1 }, "id": { "regex": "\"id\":\"([a-z]+)\"" } });
    let script = r#"echo '{"size": 12, "id":"abc"}'"#;
    let values =
        done(scene.bench.attempt(step::<Command>(with(sh(script), json!({ "outputs": outputs }))), None).await);
    assert_eq!(values, json!({ "first": r#"{"size": 12, "id":"abc"}"#, "id": "abc", "size": 12 }));
    let failure =
        failed(scene.bench.attempt(step::<Command>(with(sh("echo '{}'"), json!({ "outputs": outputs }))), None).await);
    assert_eq!(failure.message, "it ended well, but no output `id`: nothing matches `\"id\":\"([a-z]+)\"`");
    assert!(failure.hint.is_some() && !failure.transient);
}

#[tokio::test]
async fn what_a_controller_left_behind_is_waited_for_and_its_check_decides() {
    let scene = Scene::new("adopt");
    let script = "echo '{\"size\": 3}'; touch begun; while ! test -e go; do sleep 0.01; done; touch made";
    let check = json!({ "check": { "argv": ["/bin/sh", "-c", "test -e made || exit 3"] }, "outputs": { "size": { "json": "/size" } } });
    let work = || step::<Command>(with(sh(script), check.clone()));
    // The controller leaves while the command runs: the command goes on.
    leave(&scene, scene.bench.attempt(work(), None), "the command runs", || scene.book("begun").exists()).await;
    let open = scene.book("go");
    let (ended, ()) = tokio::join!(scene.bench.attempt(work(), Some(Doubt::Lost)), async {
        scene.until("it is adopted", || scene.bench.heard().iter().any(|text| text.contains("still runs"))).await;
        std::fs::write(&open, "").expect("a file");
    });
    assert!(matches!(ended, Ended::Done { found: false, .. }), "{ended:?}");
    assert_eq!(done(ended), json!({ "size": 3 }), "the outputs are those that the first attempt printed");
    assert_eq!(scene.calls(), (1, 1), "it ran once");
}

#[tokio::test]
async fn without_a_check_what_was_left_behind_ends_in_doubt() {
    let scene = Scene::new("lost");
    let work = || step::<Command>(sh("touch begun; while ! test -e go; do sleep 0.01; done"));
    leave(&scene, scene.bench.attempt(work(), None), "the command runs", || scene.book("begun").exists()).await;
    let open = scene.book("go");
    let (ended, ()) = tokio::join!(scene.bench.attempt(work(), Some(Doubt::Lost)), async {
        scene.until("it is adopted", || !scene.bench.heard().is_empty()).await;
        std::fs::write(&open, "").expect("a file");
    });
    assert_eq!(doubted(ended).message, "the command began before, and what it has left behind is not known");
    let ended = scene.bench.attempt(work(), Some(Doubt::NoAnswer)).await;
    assert_eq!(ended, Ended::Unknown("the command began before, and what it has left behind is not known".into()));
    assert_eq!(scene.calls(), (1, 1), "nothing runs twice without a person");
    done(scene.bench.granted(work(), Doubt::Unknown).await);
    assert_eq!(scene.calls(), (2, 2), "a person said so");
}

#[tokio::test]
async fn a_check_says_done_absent_under_way_or_nothing() {
    let scene = Scene::new("check");
    for (script, seen) in [
        ("exit 0", Check::Done(dr_engine::outcome::Output::default())),
        ("exit 3", Check::Absent),
        ("exit 75", Check::InProgress),
        ("echo why >&2; exit 1", Check::Unknown("its check ended with exit code 1: why".into())),
        ("kill -15 $$", Check::Unknown("its check ended with signal TERM".into())),
    ] {
        let work = step::<Command>(with(sh("false"), json!({ "check": { "argv": ["/bin/sh", "-c", script] } })));
        assert_eq!(work.check(&scene.bench.cx().read).await, Ok(seen), "{script}");
    }
    let work = step::<Command>(with(sh("false"), json!({ "check": { "argv": ["./gone"] } })));
    assert!(work.check(&scene.bench.cx().read).await.is_err_and(|failure| !failure.transient));
    assert_eq!(scene.calls(), (0, 0));
}

#[tokio::test]
async fn somebody_elses_work_under_way_is_waited_for_not_begun_again() {
    let scene = Scene::new("foreign");
    let check = "echo x >> looks; test \"$(wc -l < looks)\" -gt 2 || exit 75";
    let work = step::<Command>(with(sh("touch ran"), json!({ "check": { "argv": ["/bin/sh", "-c", check] } })));
    done(scene.bench.attempt(work, None).await);
    assert_eq!((scene.calls(), scene.book("ran").exists()), ((0, 0), false));
}

#[tokio::test]
async fn a_command_whose_time_is_up_is_ended_with_its_whole_group() {
    let mut scene = Scene::new("slow");
    scene.bench.step.timeout = Dur(2_000);
    let script = "trap 'echo term; exit 0' TERM; sh -c 'echo $$ > child; while :; do sleep 0.05; done' & while :; do sleep 0.02; done";
    let failure = doubted(scene.bench.attempt(step::<Command>(sh(script)), None).await);
    assert_eq!(failure.message, "its time was up, and it was ended: exit code 0");
    assert_eq!(read(&scene.log(1, "out")), "term\n", "it was asked first");
    let child = format!("/proc/{}/environ", read(&scene.book("child")).trim());
    scene.until("the child of the command is gone too", || read(child.as_ref()).is_empty()).await;
    let ended = scene.bench.attempt(step::<Command>(sh(script)), Some(Doubt::NoAnswer)).await;
    assert!(matches!(ended, Ended::Unknown(_)), "{ended:?}");
}

#[tokio::test]
async fn whoever_ignores_the_polite_signal_is_killed() {
    let mut scene = Scene::new("deaf");
    scene.bench.step.timeout = Dur(2_000);
    let failure =
        doubted(scene.bench.attempt(step::<Command>(sh("trap '' TERM; while :; do sleep 0.05; done")), None).await);
    assert_eq!(failure.message, "its time was up, and it was ended: signal KILL");
}

#[tokio::test]
async fn a_look_that_nobody_waits_for_any_more_is_killed() {
    let scene = Scene::new("hang");
    let check = "echo $$ > looker; while :; do sleep 0.05; done";
    let work = step::<Command>(with(sh("true"), json!({ "check": { "argv": ["/bin/sh", "-c", check] } })));
    let cx = scene.bench.cx();
    leave(&scene, work.check(&cx.read), "the check runs", || !read(&scene.book("looker")).is_empty()).await;
    let looker = format!("/proc/{}/environ", read(&scene.book("looker")).trim());
    scene.until("the check is gone", || read(looker.as_ref()).is_empty()).await;
}

#[tokio::test]
async fn a_controller_that_may_not_act_starts_nothing() {
    let scene = Scene::new("dry");
    scene.bench.calls.refuse.store(true, Ordering::SeqCst);
    let ended = scene.bench.attempt(step::<Command>(sh("touch ran")), None).await;
    assert_eq!(failed(ended).message, "this controller may not act");
    assert!(!scene.book("ran").exists());
}

#[tokio::test]
async fn a_secret_reaches_the_process_and_nobody_else() {
    let scene = Scene::new("secret");
    std::fs::write(scene.book("token"), "canary-41a7\n").expect("a file");
    let env = json!({ "env": { "T": { "secret": "file:token" } } });
    let script = "echo \"{\\\"t\\\": \\\"$T\\\", \\\"ok\\\": true}\"";
    let outputs = json!({ "outputs": { "t": { "json": "/t" }, "ok": { "json": "/ok" } } });
    let inputs = with(with(sh(script), env.clone()), outputs);
    let values = done(scene.bench.attempt(step::<Command>(inputs.clone()), None).await);
    assert_eq!(values, json!({ "t": "[secret]", "ok": true }));
    let bad = "printf 'denied: Basic %s' \"$(printf 'me:%s' \"$T\" | base64)\" >&2; exit 1";
    let failure = failed(scene.bench.attempt(step::<Command>(with(sh(bad), env.clone())), None).await);
    assert!(
        failure.message.starts_with("exit code 1: denied: Basic") && failure.message.contains("[secret]"),
        "{failure:?}"
    );
    // What a check says, wherever it says it; a colour in the middle of a secret hides nothing of it.
    for says in ["echo $T >&2", "echo $T", "printf '%s\\033[1m%s\\n' \"${T%41a7}\" 41a7"] {
        let check = json!({ "check": { "argv": ["/bin/sh", "-c", format!("{says}; exit 9")] } });
        let work = step::<Command>(with(sh("false"), with(env.clone(), check)));
        let seen = scene.bench.attempt(work, None).await;
        assert_eq!(seen, Ended::Unknown("its check ended with exit code 9: [secret]".into()), "{says}");
    }
    // The log is the process's own; whoever shows it takes the secret out.
    let log = read(&scene.log(1, "out"));
    assert!(log.contains("canary"));
    assert!(!redactor([&inputs], &scene.book("")).0.text(&log).contains("canary"));
    assert!(!scene.bench.heard().concat().contains("canary"));
}
