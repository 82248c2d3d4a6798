//! Writes down, for the program to show, which version and commit it is made from.

#[path = "build/commit.rs"]
mod commit;

use commit::Commit;
use std::{env, path::Path};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    println!("cargo::rerun-if-env-changed=DR_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let given = env::var("DR_COMMIT").unwrap_or_default();
    let commit = match Commit::of(&root) {
        Some(commit) => {
            for path in commit::watched(&root) {
                println!("cargo::rerun-if-changed={}", path.display());
            }
            Some(commit)
        }
        None if given.is_empty() => None,
        None => {
            let named = Commit::named(&given);
            if named.is_none() {
                println!("cargo::error=DR_COMMIT is `{given}`, which is no commit: give its hash, 12 digits or more");
            }
            named
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    println!("cargo::rustc-env=DR_VERSION={}", commit::shown(version, commit.as_ref()));
    println!("cargo::rustc-env=DR_VERSION_IN_JOURNALS={}", commit::written(version, commit.as_ref()));
    println!("cargo::rustc-env=DR_DATE={}", commit.and_then(|it| it.date).unwrap_or_default());
}
