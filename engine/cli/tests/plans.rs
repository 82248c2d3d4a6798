//! Golden plans: a runbook with a `.plan` beside it is planned to exactly these
//! bytes, and a dry run shows the same ones.
//!
//! What it is planned with stands in a `.args` beside it, an argument a line.
//! `UPDATE_EXPECT=1` writes the plans anew.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `dr` prints about a runbook, without anybody's settings.
fn shown(command: &[&str], runbook: &str, args: &[&str]) -> String {
    let nowhere = env::temp_dir().join("dr-no-such-home");
    let mut dr = Command::new(env!("CARGO_BIN_EXE_dr"));
    dr.current_dir(root()).args(command).arg(runbook).args(args);
    dr.env_remove("DR_READ_BYTES_MAX").env_remove("DR_STATE");
    dr.env("NO_COLOR", "1").env("HOME", &nowhere).env("XDG_CONFIG_HOME", &nowhere).env("XDG_STATE_HOME", &nowhere);
    let output = dr.output().expect("dr runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{runbook}: {:?}\n{said}", output.status.code());
    assert_eq!(said, "", "{runbook}");
    assert!(!nowhere.exists(), "planning {runbook} wrote something");
    String::from_utf8(output.stdout).expect("a plan is text")
}

/// The files with this ending that stand beside runbooks.
fn beside(ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("runbooks")).expect("the folder").flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == ending));
    assert!(!paths.is_empty(), "there is no .{ending} at all");
    paths
}

/// What a command prints about the runbook that this file stands beside.
fn told(command: &[&str], path: &Path) -> String {
    let name = path.file_stem().expect("a file has a name").to_string_lossy();
    let args = fs::read_to_string(path.with_extension("args")).unwrap_or_default();
    let args: Vec<_> = args.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    shown(command, &format!("runbooks/{name}.yaml"), &args)
}

/// Compares with what stands in the file, or writes it there.
fn expected(told: &str, path: &Path) {
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, told).expect("it can be written");
    }
    let expected = fs::read_to_string(path).expect("it is text");
    assert_eq!(told, expected, "{}; UPDATE_EXPECT=1 accepts what is planned", path.display());
}

#[test]
fn a_runbook_is_planned_to_the_plan_beside_it() {
    for path in beside("plan") {
        let planned = told(&["plan"], &path);
        assert_eq!(
            planned,
            told(&["execute", "--dry-run"], &path),
            "{}: a dry run shows something else",
            path.display()
        );
        expected(&planned, &path);
    }
}

#[test]
fn a_runbook_is_drawn_as_the_picture_beside_it() {
    for path in beside("svg") {
        expected(&told(&["graph"], &path), &path);
    }
}

/// Nothing of the machine is in a plan: not the folder, not the time, not who asks.
#[test]
fn a_plan_is_the_same_wherever_it_is_made() {
    let elsewhere = tempfile::tempdir().expect("a folder");
    let runbook = elsewhere.path().join("renamed.yaml");
    fs::copy(root().join("runbooks/warm_standby.yaml"), &runbook).expect("a runbook can be copied");
    let there = shown(&["plan"], &runbook.display().to_string(), &[]);
    assert_eq!(there, shown(&["plan"], "runbooks/warm_standby.yaml", &[]));
}
