//! The lab's Python files and the environment they run in.

use super::{Error, error::last_lines};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Every file of the lab but its tests: path and text.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/lab_files.rs"));

/// In a finished environment: the list of packages that it was made from.
const STAMP: &str = ".made-from";

/// The server's file in the lab's folder, written if it is not there.
pub(super) fn server(dir: &Path) -> Result<PathBuf, Error> {
    let code = dir.join("code/lab");
    let there = |name: &str, text: &str| fs::read_to_string(code.join(name)).is_ok_and(|found| found == text);
    if !FILES.iter().all(|(name, text)| there(name, text)) {
        remove(&code)?;
        for (name, text) in FILES {
            let path = code.join(name);
            let folder = path.parent().expect("a file stands in a folder");
            fs::create_dir_all(folder).map_err(Error::file(format!("{} cannot be made", folder.display())))?;
            fs::write(&path, text).map_err(Error::file(format!("{} cannot be written", path.display())))?;
        }
    }
    Ok(code.join("serve.py"))
}

/// The Python that has what the lab needs. Made once; `DR_LAB_VENV` points at
/// one that is there already.
pub(super) fn python(dir: &Path, tell: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    if let Some(given) = env::var_os("DR_LAB_VENV").filter(|path| !path.is_empty()) {
        let python = PathBuf::from(given).join("bin/python");
        return if python.exists() { Ok(python) } else { Err(Error::NoPython(python.display().to_string())) };
    }
    made(dir, Path::new("python3"), tell)
}

fn made(dir: &Path, python3: &Path, tell: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    let venv = dir.join("venv");
    let python = venv.join("bin/python");
    let (_, wanted) = FILES.iter().find(|(name, _)| *name == "requirements.txt").expect("it is taken in");
    if python.exists() && fs::read_to_string(venv.join(STAMP)).is_ok_and(|found| found == *wanted) {
        return Ok(python);
    }
    tell("making the lab's Python environment, once; this takes a minute");
    remove(&venv)?;
    let list = dir.join("code/lab/requirements.txt");
    let made = said(Command::new(python3).args(["-m", "venv"]).arg(&venv), python3)?;
    if let Err(lines) = made {
        return Err(Error::Venv(lines));
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "-r"];
    let installed = said(Command::new(&python).args(pip).arg(&list), &python)?;
    if let Err(lines) = installed {
        return Err(Error::Pip(lines));
    }
    // Last: an environment that was interrupted half-way is made again.
    fs::write(venv.join(STAMP), wanted).map_err(Error::file(format!("{} cannot be written", venv.display())))?;
    Ok(python)
}

/// Runs a program; the last of what it said if it failed.
fn said(command: &mut Command, program: &Path) -> Result<Result<(), String>, Error> {
    let shown = program.display();
    match without_foreign(command).output() {
        Ok(Output { status, .. }) if status.success() => Ok(Ok(())),
        Ok(Output { stdout, stderr, .. }) => {
            let text = String::from_utf8_lossy(&stdout) + "\n" + String::from_utf8_lossy(&stderr);
            Ok(Err(last_lines(&text)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoPython(shown.to_string())),
        Err(error) => Err(Error::file(format!("{shown} cannot be run"))(error)),
    }
}

/// Without what the caller's environment has for other Pythons and for AWS.
pub(super) fn without_foreign(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("AWS_") || matches!(&*shown, "PYTHONPATH" | "PYTHONHOME" | "VIRTUAL_ENV") {
            command.env_remove(&name);
        }
    }
    command
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file(format!("{} cannot be removed", folder.display()))(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
