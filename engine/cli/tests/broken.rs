//! Every mistake of `runbooks/broken` is told as the text beside it says.
//!
//! `UPDATE_EXPECT=1` writes these texts anew; what changed is then to be read
//! as somebody would read it in the middle of the night.

mod support;

use regex_lite::Regex;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};
use support::{pty::Screen, until};

/// Mistakes are told while somebody waits.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn broken() -> PathBuf {
    root().join("runbooks/broken")
}

/// `dr plan` in a folder, without anybody's settings.
fn plan(folder: &Path, runbook: &str, args: &[&str]) -> Command {
    let nowhere = env::temp_dir().join("dr-no-such-home");
    let mut dr = Command::new(env!("CARGO_BIN_EXE_dr"));
    dr.current_dir(folder).arg("plan").arg(runbook).args(args);
    dr.env_remove("DR_READ_BYTES_MAX").env_remove("DR_STATE");
    dr.env("NO_COLOR", "1").env("HOME", &nowhere).env("XDG_CONFIG_HOME", &nowhere).env("XDG_STATE_HOME", &nowhere);
    dr
}

/// What is wrong with an outcome, if anything is. `name` is the expected text's.
fn compare(name: &str, output: &Output) -> Option<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(2) {
        return Some(format!("{name}: exit {:?}, not 2\n{said}", output.status.code()));
    }
    if !output.stdout.is_empty() {
        return Some(format!("{name}: something was printed for programs"));
    }
    let file = broken().join(format!("{name}.expected"));
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, said.as_bytes()).expect("the expected text can be written");
        return None;
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    (said != expected).then(|| format!("{name}: expected\n{expected}\nbut told was\n{said}"))
}

fn check(found: impl Iterator<Item = Option<String>>) {
    let wrong: Vec<_> = found.flatten().collect();
    assert!(wrong.is_empty(), "{} differ; UPDATE_EXPECT=1 accepts what is told\n\n{}", wrong.len(), wrong.join("\n"));
}

/// The runbooks with a mistake.
fn runbooks() -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(broken()).expect("the folder is there").flatten().map(|it| it.path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == "yaml"));
    files.sort();
    files
}

/// The name of a runbook, and the arguments that it is planned with.
fn asked(path: &Path) -> (String, String) {
    let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    let text = fs::read_to_string(path).expect("the file is text");
    let args = text.lines().find_map(|line| line.strip_prefix("# args: ")).unwrap_or_default().to_owned();
    (name, args)
}

#[test]
fn every_mistake_is_told_as_expected() {
    let files = runbooks();
    assert!(files.len() > 150, "mistakes got lost: {} are left", files.len());
    check(files.iter().map(|path| {
        let (name, args) = asked(path);
        let args: Vec<_> = args.split_whitespace().collect();
        let output = plan(&root(), &format!("runbooks/broken/{name}.yaml"), &args).output().expect("dr runs");
        compare(&name, &output)
    }));
}

/// The same mistakes on a terminal: colours, and nothing else, are added, and
/// no line of ours is wider than the terminal. A line of the runbook stays whole.
#[test]
fn colours_change_no_word_of_a_mistake() {
    let colour = Regex::new("\u{1b}\\[[0-9;]*m").expect("an expression");
    let plain = |screen: &Screen| {
        let shown = String::from_utf8_lossy(&screen.bytes()).replace("\r\n", "\n");
        (colour.is_match(&shown), colour.replace_all(&shown, "").into_owned())
    };
    for path in runbooks() {
        let (name, args) = asked(&path);
        let expected = fs::read_to_string(path.with_extension("expected")).expect("a text");
        let args: Vec<_> = args.split_whitespace().collect();
        let mut dr = plan(&root(), &format!("runbooks/broken/{name}.yaml"), &args);
        dr.env_remove("NO_COLOR").env("TERM", "xterm-256color");
        let mut screen = Screen::begin(dr, (200, 80));
        assert_eq!(screen.code(), Some(2), "{name}");
        until("all of it", || plain(&screen).1.len() >= expected.len());
        let (coloured, told) = plain(&screen);
        assert_eq!(told, expected, "{name}");
        assert!(coloured || expected.contains('…') || !expected.contains('╭'), "{name} has no colours");
    }
}

#[test]
fn every_expected_text_belongs_to_a_mistake() {
    let made: Vec<_> = made().into_iter().map(|case| case.name).chain(NO_FILE.map(|(name, _)| name)).collect();
    for entry in fs::read_dir(broken()).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|it| it == "expected") {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            assert!(path.with_extension("yaml").is_file() || made.contains(&name.as_str()), "{name} is left over");
        }
    }
}

/// A mistake that is made here: too long, or no text at all.
struct Made {
    name: &'static str,
    bytes: Vec<u8>,
    bytes_max: Option<&'static str>,
}

fn made() -> Vec<Made> {
    let made = |name, bytes: Vec<u8>| Made { name, bytes, bytes_max: None };
    let step = |n: usize, needs: &str| {
        format!("  step_{n:03}:\n    needs: [{needs}]\n    do: {{ command: {{ argv: [./go] }} }}\n")
    };
    let head = "dr: v1\nname: evacuate\nsteps:\n";
    let circle: String = (0..300).map(|n| step(n, &format!("step_{:03}", (n + 1) % 300))).collect();
    let wrong_needs: String = (0..300).map(|n| step(n, "nothing")).collect();
    let mut latin = format!("{head}  restore_orders:\n    do: {{ command: {{ argv: [./restore, Gr").into_bytes();
    latin.extend(b"\xfc\xdfe] } }\n");
    vec![
        made("made_nothing", Vec::new()),
        made("made_latin_1", latin),
        made("made_binary", b"\x7fELF\x02\x01\x01\0\0\0\0\0".to_vec()),
        Made { bytes_max: Some("1000"), ..made("made_too_long", "# x\n".repeat(300).into_bytes()) },
        made("made_too_deep", format!("{head}{}", "[".repeat(10_000)).into_bytes()),
        made("made_circle_of_300", format!("{head}{circle}").into_bytes()),
        made("made_300_mistakes", format!("{head}{wrong_needs}").into_bytes()),
        made("made_escape_sequence", format!("{head}  \"\u{1b}]0;owned\u{7}\":\n    do: {{}}\n").into_bytes()),
    ]
}

#[test]
fn what_is_made_here_is_told_as_expected() {
    check(made().into_iter().map(|case| {
        let folder = tempfile::tempdir().expect("a folder for a runbook");
        let runbook = format!("{}.yaml", case.name);
        fs::write(folder.path().join(&runbook), &case.bytes).expect("the runbook can be written");
        let mut dr = plan(folder.path(), &runbook, &[]);
        if let Some(bytes_max) = case.bytes_max {
            dr.env("DR_READ_BYTES_MAX", bytes_max);
        }
        #[expect(clippy::disallowed_methods, reason = "how long a person waits is real time")]
        let began = Instant::now();
        let output = dr.output().expect("dr runs");
        if began.elapsed() > TOLD_WITHIN {
            return Some(format!("{} took {:?}", case.name, began.elapsed()));
        }
        compare(case.name, &output)
    }));
}

/// What is no file at all.
const NO_FILE: [(&str, &str); 2] = [("made_no_file", "no_such_file.yaml"), ("made_folder", "a_folder.yaml")];

#[test]
fn what_is_no_file_is_told_as_expected() {
    let folder = tempfile::tempdir().expect("a folder for a runbook");
    fs::create_dir(folder.path().join("a_folder.yaml")).expect("a folder can be made");
    check(NO_FILE.into_iter().map(|(name, runbook)| {
        let output = plan(folder.path(), runbook, &[]).output().expect("dr runs");
        compare(name, &output)
    }));
}
