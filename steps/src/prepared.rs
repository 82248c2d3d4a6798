//! What steps lean on, on this machine: how their kinds say it, and a look at
//! whether it is there. Nothing is started, and no secret's value is given.

use crate::{
    secret::{Source, TextOrSecret},
    text::{self, Word},
    trust::Trust,
};
use dr_engine::{need::Need, outcome::Failure, yaml::In};
use rustix::fs::{Access, access};
use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fmt, fs,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// What the C library looks through where there is no `PATH`.
const PATH: &str = "/bin:/usr/bin";
/// How far into a file the kernel reads the line that names its interpreter.
const FIRST_LINE_BYTES: u64 = 256;

/// What became of a look.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It is there, under this name.
    There(String),
    /// It is not, or not as it has to be.
    Missing(Failure),
    /// Nobody can tell yet.
    Unknown(String),
}

/// Whether something is on this machine. The command line of AWS is looked at
/// by [`Cli::installed`](crate::aws::cli::Cli::installed).
pub fn look(need: &Need, runbook: &Path) -> Found {
    let found = match need {
        Need::Secret(name) => secret(name, runbook),
        Need::Certificates(file) => Trust::of_file(file, &runbook.join(file)).map(|_| file.clone()),
        Need::Program { name, folder, path } => program(name, &runbook.join(folder), path.as_deref()),
        Need::ProviderCli => return Found::Unknown("the AWS command line was not looked at".into()),
        Need::Later { what, written } => {
            return Found::Unknown(format!("which {what} `{written}` is, only a run knows"));
        }
    };
    found.map_or_else(Found::Missing, Found::There)
}

fn secret(name: &str, runbook: &Path) -> Result<String, Failure> {
    let source: Source = name.parse().map_err(Failure::new)?;
    let way_out = match &source {
        Source::Env(name) => format!("export {name} where `dr` is started"),
        Source::File(path) => {
            format!("put it into {}, where the user of `dr` may read it", runbook.join(path).display())
        }
    };
    source.read(runbook).map(|_| name.to_owned()).map_err(|failure| failure.hint(way_out))
}

/// The program that would be started in a folder under this name: as
/// `execvp` finds it, since that is who starts it.
fn program(name: &str, folder: &Path, path: Option<&str>) -> Result<String, Failure> {
    let shown = text::short(name).into_owned();
    if !folder.is_dir() {
        let text = format!("the folder `{}`, in which `{shown}` is started, is not there", folder.display());
        return Err(Failure::new(text).hint("`cwd` is relative to the runbook"));
    }
    if name.contains('/') {
        let file = folder.join(name);
        return runs(&file).map(|()| shown.clone()).map_err(|why| {
            let hint = match why {
                Why::NotThere => "a path is relative to `cwd`, which is relative to the runbook".to_owned(),
                Why::NotAllowed => format!("chmod +x {}", dr_engine::question::word(&file.display().to_string())),
                Why::Interpreter(_) => {
                    "name a program that is there in the first line, and end that as Unix does".into()
                }
            };
            Failure::new(format!("the program `{shown}` cannot be started: {} {why}", file.display())).hint(hint)
        });
    }
    let path = path.map(Into::into).or_else(|| env::var_os("PATH")).unwrap_or_else(|| PATH.into());
    let files: Vec<PathBuf> = env::split_paths(&path).map(|entry| folder.join(entry).join(name)).collect();
    let ends: Vec<_> = files.iter().map(|file| (file, runs(file))).collect();
    if ends.iter().any(|(_, end)| end.is_ok()) {
        return Ok(shown);
    }
    let nearest = ends.into_iter().find_map(|(file, end)| Some((file, end.err().filter(|it| *it != Why::NotThere)?)));
    Err(match nearest {
        Some((file, why)) => Failure::new(format!("the program `{shown}` cannot be started: {} {why}", file.display()))
            .hint("mend that, or name another one"),
        None => Failure::new(format!("there is no program `{shown}` in PATH"))
            .hint(format!("install it; one that lies beside the runbook is `./{shown}`")),
    })
}

/// Why a file is no program that could be started.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    NotThere,
    NotAllowed,
    Interpreter(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere => f.write_str("is not there"),
            Self::NotAllowed => f.write_str("may not be executed by this user"),
            Self::Interpreter(named) => write!(f, "names `{named}` in its first line, which is not there"),
        }
    }
}

fn runs(file: &Path) -> Result<(), Why> {
    if !file.is_file() {
        return Err(Why::NotThere);
    }
    access(file, Access::EXEC_OK).map_err(|_| Why::NotAllowed)?;
    // What cannot be read may be executed all the same.
    match interpreter(file) {
        Ok(Some(named)) if !named.is_file() => {
            // A line's end of another system is part of the name, and is to be seen.
            Err(Why::Interpreter(named.display().to_string().escape_debug().to_string()))
        }
        _ => Ok(()),
    }
}

/// The program that a script names in its first line.
fn interpreter(file: &Path) -> io::Result<Option<PathBuf>> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(FIRST_LINE_BYTES).read_to_end(&mut bytes)?;
    let Some(line) = bytes.strip_prefix(b"#!") else { return Ok(None) };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty());
    Ok(words.next().map(|word| Path::new(OsStr::from_bytes(word)).to_path_buf()))
}

/// The secrets among these texts.
pub(crate) fn secrets<'a>(texts: impl IntoIterator<Item = &'a In<TextOrSecret>>) -> impl Iterator<Item = Need> {
    texts.into_iter().filter_map(|text| match text {
        In::Lit(TextOrSecret::Secret(source)) => Some(Need::Secret(source.to_string())),
        In::Lit(TextOrSecret::Text(_)) | In::Later(_) => None,
    })
}

/// What a program leans on that is started with this environment, in this folder.
pub(crate) fn started(
    argv: &[In<Word>],
    env: &BTreeMap<String, In<TextOrSecret>>,
    cwd: Option<&In<String>>,
) -> impl Iterator<Item = Need> {
    let later = |written: String| Need::Later { what: "program", written };
    let path = env.get("PATH");
    let program = argv.first().map(|name| match (name, cwd, path) {
        (In::Later(name), ..) => later(name.to_string()),
        (In::Lit(Word(name)), Some(In::Later(folder)), _) => later(format!("{folder}/{name}")),
        (In::Lit(Word(name)), _, Some(In::Later(_) | In::Lit(TextOrSecret::Secret(_)))) if !name.contains('/') => {
            later(name.clone())
        }
        (In::Lit(Word(name)), folder, path) => Need::Program {
            name: name.clone(),
            folder: folder.map_or(".", |folder| folder.get()).to_owned(),
            path: match path {
                Some(In::Lit(TextOrSecret::Text(path))) => Some(path.clone()),
                _ => None,
            },
        },
    });
    program.into_iter().chain(secrets(env.values()).collect::<Vec<_>>())
}
