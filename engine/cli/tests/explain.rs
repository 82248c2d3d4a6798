//! `dr explain`, and the pages of the reference that lie in the repository.
//!
//! `UPDATE_EXPECT=1` writes the pages anew.

mod support;

use expect_test::expect;
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};
use support::Place;

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../steps/reference")
}

/// The files of a folder and what is in them.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let read = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).expect("text");
        (entry.file_name().to_string_lossy().into_owned(), text)
    };
    fs::read_dir(folder).into_iter().flatten().flatten().map(read).collect()
}

#[test]
fn the_pages_in_the_repository_are_current() {
    let place = Place::new();
    place.run(&["explain", "--pages", "pages"]).ends(0);
    let (pages, reference) = (files(&place.path("pages")), reference());
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::remove_dir_all(&reference).ok();
        fs::create_dir_all(&reference).expect("a folder");
        for (name, text) in &pages {
            fs::write(reference.join(name), text).expect("it can be written");
        }
    }
    let registry = dr_steps::registry();
    let expected: BTreeSet<_> = registry.names().map(|kind| format!("{kind}.md")).chain(["README.md".into()]).collect();
    assert_eq!(pages.keys().cloned().collect::<BTreeSet<_>>(), expected);
    let kept = files(&reference);
    assert_eq!(kept.keys().collect::<Vec<_>>(), pages.keys().collect::<Vec<_>>(), "UPDATE_EXPECT=1 writes them anew");
    for (name, text) in &pages {
        assert_eq!(kept[name], *text, "steps/reference/{name}; UPDATE_EXPECT=1 writes it anew");
    }
}

#[test]
fn a_kind_is_explained_within_eighty_columns() {
    let place = Place::new();
    let list = place.run(&["explain"]).ends(0).out;
    for kind in dr_steps::registry().names() {
        let page = place.run(&["explain", kind]).ends(0).out;
        assert!(page.starts_with(&format!("{kind}\n\n")), "{page}");
        assert!(list.lines().any(|line| line.split_whitespace().next() == Some(kind)), "{kind} is not in the list");
        for line in list.lines().chain(page.lines()) {
            assert!(line.chars().count() <= 80, "{kind}: {line}");
        }
    }
    expect![[r"
        verify.tcp

        Waits until a connection stands.
        It changes nothing.

        Fields (any value may be a reference, as in ${params.NAME})
          address (`host:port`, required)
              Where to connect: `host:port`.
          every (duration, as in `1h30m`, default 5s)
              The pause between two probes.
          good_in_a_row (whole number from 1, default 1)
              How many probes in a row must be good.

        Check
          One connection, which is closed again. Done if it stands and one good probe is
          enough; otherwise it is the first of the row.

        Run
          Probes again every `every`, until `good_in_a_row` were good one after the
          other, as long as the step's `timeout` lets it.

        Time
          At once, when the service is up and one good probe is enough.

        Traps
          - A connection that stands says that somebody listens, not that the service
            works.

        Outputs
          - healthy (any value)
          - address (text)

        Example
          database_listens:
            do:
              verify.tcp:
                address: orders-dr.example.com:5432
            timeout: 10m
    "]]
    .assert_eq(&place.run(&["explain", "verify.tcp"]).ends(0).out);
}

#[test]
fn a_kind_is_explained_to_programs() {
    let place = Place::new();
    let said = place.run(&["explain", "verify.tcp", "--json"]).ends(0).out;
    let page: serde_json::Value = serde_json::from_str(&said).expect("an object");
    assert_eq!((&page["format"], &page["version"]), (&"dr-explain".into(), &1.into()));
    assert_eq!((&page["kind"], &page["fields"][0]["name"]), (&"verify.tcp".into(), &"address".into()));
    let all = place.run(&["explain", "--json"]).ends(0).out;
    assert_eq!(all.lines().count(), dr_steps::registry().names().count());
    assert!(all.lines().any(|line| line == said.trim_end()));
}

#[test]
fn a_kind_that_is_not_there_is_told_with_the_way_out() {
    let place = Place::new();
    let said = place.run(&["explain", "rds.restore_snapshop"]).ends(2);
    let expected = "error: there is no kind `rds.restore_snapshop`\n\
                    hint: did you mean `rds.restore_snapshot`? dr explain rds.restore_snapshot\n";
    assert_eq!(said.err, expected);
    assert_eq!(
        place.run(&["explain", "teleport"]).ends(2).err.lines().last(),
        Some("hint: `dr explain` lists them all")
    );
    // What it says does not depend on settings: a broken file of them is in nobody's way.
    place.write("dr.toml", "[[[");
    place.run(&["--config", "dr.toml", "explain", "verify.tcp"]).ends(0);
}
