//! What a person has of an installed `dr` before any runbook: its version, its
//! manual, and what their shell completes.

mod support;

#[path = "../build/commit.rs"]
mod commit;

use commit::Commit;
use dr_engine::event::Kind;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use support::Place;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `dr` prints.
fn printed(place: &Place, args: &[&str]) -> String {
    let said = place.run(args).ends(0);
    assert_eq!(said.err, "", "{args:?}");
    said.out
}

/// The commands that help tells of, with those below them: `lab up`.
fn commands(place: &Place) -> Vec<String> {
    let below = |path: &str| {
        let args: Vec<_> = path.split(' ').filter(|word| !word.is_empty()).chain(["--help"]).collect();
        let help = printed(place, &args);
        let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next());
        names.map(|name| format!("{path} {name}").trim().to_owned()).collect::<Vec<_>>()
    };
    let tops = below("");
    let all: Vec<_> = tops.iter().flat_map(|top| [vec![top.clone()], below(top)].concat()).collect();
    assert!(all.len() > tops.len() && tops.len() > 15, "{all:?}");
    all
}

#[test]
fn the_version_names_the_commit_that_is_checked_out() {
    let place = Place::new();
    let commit = Commit::of(&root());
    assert_eq!(printed(&place, &["--version"]), format!("dr {}\n", commit::shown(VERSION, commit.as_ref())));
    place.write("runbook.yaml", "dr: v1\nname: one\nsteps: { a: { do: { command: { argv: [/bin/true] } } } }\n");
    place.drill().ends(0);
    let joined = place.events().into_iter().find_map(|event| match event.kind {
        Kind::Joined(controller) => Some(controller.version),
        _ => None,
    });
    assert_eq!(joined, Some(commit::written(VERSION, commit.as_ref())));
}

/// Runs git in a folder, as nobody in particular.
fn git(folder: &Path, args: &[&str]) {
    let mut git = Command::new("git");
    git.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
    git.env("GIT_AUTHOR_DATE", "2026-11-22T23:30:00-02:00").env("GIT_COMMITTER_DATE", "2026-11-22T23:30:00-02:00");
    let who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.com", "-c", "init.defaultBranch=main"];
    let output = git.current_dir(folder).args(who).args(args).output().expect("git is there");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_commit_is_that_of_the_sources_and_of_nothing_around_them() {
    let place = Place::new();
    let root = place.path("home");
    fs::create_dir_all(root.join("steps/src")).expect("a folder");
    fs::write(root.join("steps/src/lib.rs"), "one").expect("a file");
    fs::write(root.join("notes"), "one").expect("a file");
    assert_eq!(Commit::of(&root), None, "there is no git");
    git(&root, &["init", "--quiet"]);
    assert_eq!(Commit::of(&root), None, "there is no commit");
    git(&root, &["add", "."]);
    git(&root, &["commit", "--quiet", "--message", "one"]);
    let clean = Commit::of(&root).expect("a commit");
    assert_eq!(clean.date.as_deref(), Some("2026-11-23"), "the day in UTC");
    assert_eq!((clean.hash.len(), clean.changed), (12, false));
    assert_eq!(Commit::of(&root.join("steps")), None, "unpacked in somebody else's repository");

    fs::write(root.join("notes"), "two").expect("a file");
    assert_eq!(Commit::of(&root), Some(clean.clone()), "a text beside the sources");
    fs::write(root.join("steps/src/more.rs"), "new").expect("a file");
    let changed = Commit::of(&root).expect("a commit");
    assert_eq!(changed, Commit { changed: true, ..clean.clone() });
    let hash = &clean.hash;
    assert_eq!(commit::shown("1.2.3", Some(&changed)), format!("1.2.3 (commit {hash} with changes, 2026-11-23)"));
    assert_eq!(commit::written("1.2.3", Some(&changed)), format!("1.2.3+{hash}.changed"));
    assert_eq!(commit::written("1.2.3", Some(&clean)), format!("1.2.3+{hash}"));

    // What makes cargo look again: a commit, in a worktree as in the first place, and nothing that a look does.
    git(&root, &["worktree", "add", "--quiet", "../began/tree"]);
    for folder in [root, place.path("began/tree")] {
        let times = |watched: &[PathBuf]| -> Vec<_> {
            watched.iter().map(|path| fs::metadata(path).and_then(|it| it.modified()).expect("a time")).collect()
        };
        let watched = commit::watched(&folder);
        let before = times(&watched);
        Commit::of(&folder).expect("a commit");
        assert_eq!(times(&watched), before, "{watched:?}");
        git(&folder, &["commit", "--quiet", "--allow-empty", "--message", "two"]);
        assert_ne!(times(&watched), before, "{watched:?}");
    }
}

#[test]
fn sources_without_git_are_named_by_whoever_packs_them() {
    assert_eq!(commit::shown("1.2.3", None), "1.2.3 (commit unknown)");
    assert_eq!(commit::written("1.2.3", None), "1.2.3");
    let given = Commit::named("0123456789abcdef0123456789abcdef01234567").expect("a hash");
    assert_eq!(commit::shown("1.2.3", Some(&given)), "1.2.3 (commit 0123456789ab)");
    for wrong in ["", "main", "0123456", "0123456789AB", "0123456789ab\n", "ünïcödé-hash"] {
        assert_eq!(Commit::named(wrong), None, "{wrong}");
    }
}

/// What a real bash offers after a line is typed and TAB is pressed.
fn completed(place: &Place, line: &[&str]) -> Vec<String> {
    place.write("completions", &printed(place, &["completions", "bash"]));
    // What readline does with a completion: it calls its function, and offers
    // files when that has no answer and was registered with `-o default`.
    let script = r#"
        source ./completions || exit
        registered=$(complete -p dr) && [[ $registered =~ -F\ ([^ ]+) ]] || exit
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "${BASH_REMATCH[1]}" dr "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
        if [[ ${#COMPREPLY[@]} = 0 && $registered = *'-o default'* ]]; then
            COMPREPLY=($(compgen -f -- "${!#}"))
        fi
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-uc", script, "bash"]).args(line).current_dir(place.path("")).stdin(Stdio::null());
    place.clean(&mut bash);
    let said = place.end(bash).ends(0);
    assert_eq!(said.err, "", "{line:?}");
    said.out.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_choices_and_files() {
    let place = Place::with("");
    let all = completed(&place, &["dr", ""]);
    for top in commands(&place).iter().filter(|command| !command.contains(' ')) {
        assert!(all.contains(top), "{top}: {all:?}");
    }
    assert_eq!(completed(&place, &["dr", "exe"]), ["execute"]);
    assert_eq!(completed(&place, &["dr", "execute", "--incident"]), ["--incident-at"]);
    assert_eq!(completed(&place, &["dr", "execute", "--kind", ""]), ["live", "drill", "lab"]);
    assert_eq!(completed(&place, &["dr", "lab", "reg"]), ["region"]);
    assert_eq!(completed(&place, &["dr", "plan", "runb"]), ["runbook.yaml"]);
    assert_eq!(completed(&place, &["dr", "answer", "run", "step", "app"]), ["approve"]);
}

#[test]
fn every_shell_is_told_of_every_command_whatever_the_settings_say() {
    let place = Place::new();
    fs::create_dir_all(place.path("home/.config/dr")).expect("a folder");
    place.write("home/.config/dr/dr.toml", "a mistake");
    let commands = commands(&place);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&place, &["completions", shell]);
        for word in commands.iter().flat_map(|command| command.split(' ')) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert!(printed(&place, &["man"]).contains("EXIT STATUS"));
    assert!(printed(&place, &["schema"]).contains("draft-07"));
    place.run(&["status"]).ends(2);
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let place = Place::new();
    printed(&place, &["man", "--out", "man"]);
    let mut pages: Vec<_> = fs::read_dir(place.path("man")).expect("a folder").flatten().collect();
    pages.sort_by_key(fs::DirEntry::file_name);
    let mut names: Vec<_> = commands(&place).iter().map(|it| format!("dr-{}.1", it.replace(' ', "-"))).collect();
    names.push("dr.1".into());
    names.sort();
    assert_eq!(pages.iter().map(|page| page.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>(), names);
    for page in &pages {
        let text = fs::read_to_string(page.path()).expect("a page");
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
            assert_eq!(text.matches(&format!("\n.SH {section}\n")).count(), 1, "{page:?}: {section}");
        }
    }
    let first = place.read("man/dr.1");
    assert_eq!(printed(&place, &["man"]), first);
    for code in ["0", "1", "2", "3", "4", "5", "6", "130"] {
        assert!(first.contains(&format!(".TP\n\\fB{code}\\fR\n")), "{code}");
    }
    assert!(first.contains("DR_STATE"), "variables that it reads");
}
