//! Takes the lab's Python files into the program, so that `dr lab up` needs no
//! checkout. Its tests stay behind.

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("lab");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("lab_files.rs");
    println!("cargo::rerun-if-changed=lab");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut text = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(&root).expect("it was found there").display().to_string();
        writeln!(text, "    ({name:?}, include_str!({:?})),", file.display().to_string()).expect("writing to a String");
    }
    text.push_str("]\n");
    fs::write(out, text).expect("cargo's own folder can be written");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the lab's sources stand beside the manifest") {
        let path = entry.expect("the lab's sources can be listed").path();
        let name = path.file_name().expect("entries have names").to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "__pycache__" && !name.starts_with('.') {
                collect(&path, files);
            }
        } else if name == "requirements.txt"
            || (path.extension().is_some_and(|kind| kind == "py") && !name.starts_with("test"))
        {
            files.push(path);
        }
    }
}
