use super::*;

#[test]
fn what_is_taken_in_is_the_server_without_its_tests() {
    let names: Vec<_> = FILES.iter().map(|(name, _)| *name).collect();
    for name in ["serve.py", "main.py", "patches/rds.py", "requirements.txt"] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    assert!(names.iter().all(|name| !name.contains("test") && !name.contains("__pycache__")), "{names:?}");
}

#[test]
fn sources_that_were_changed_by_hand_are_written_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = server(dir.path()).expect("they are written");
    fs::write(&server, "changed").expect("it can be changed");
    super::server(dir.path()).expect("they are written");
    assert!(fs::read_to_string(server).expect("it is there").contains("lab.main"));
}

#[test]
fn without_python_it_says_what_to_install() {
    let dir = tempfile::tempdir().expect("a folder");
    let error = made(dir.path(), Path::new("/nowhere/python3"), &|_| {}).expect_err("there is none");
    assert_eq!(error.to_string(), "the lab needs Python 3, and `/nowhere/python3` was not found");
    assert!(error.hint().expect("a way out").contains("apt-get install python3 python3-venv"));
}

#[test]
fn a_failure_of_venv_shows_what_it_said() {
    let dir = tempfile::tempdir().expect("a folder");
    let python = script(dir.path(), "echo ensurepip is not available; exit 1");
    let error = made(dir.path(), &python, &|_| {}).expect_err("it failed");
    assert_eq!(error.to_string(), "python3 could not make an environment for the lab:\n  ensurepip is not available");
    assert!(error.hint().expect("a way out").contains("apt-get install python3-venv"));
}

#[test]
fn a_failure_of_pip_shows_what_it_said_and_leaves_nothing_that_looks_finished() {
    let dir = tempfile::tempdir().expect("a folder");
    // A venv whose Python is this script again, which then fails as pip would.
    let python = script(
        dir.path(),
        "if [ $2 = venv ]; then mkdir -p $3/bin; cp $0 $3/bin/python; else echo no route to the index >&2; exit 1; fi",
    );
    for _ in 0..2 {
        let error = made(dir.path(), &python, &|_| {}).expect_err("it failed");
        assert_eq!(error.to_string(), "pip could not install what the lab needs:\n  no route to the index");
    }
}

/// Written by a process of its own: while another test starts one, a file that
/// this process writes cannot be run ("text file busy").
fn script(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("python3");
    let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod +x \"$1\"";
    let written = Command::new("sh").args(["-c", write, "sh"]).arg(&path).arg(text).status();
    assert!(written.expect("there is a shell").success());
    path
}
