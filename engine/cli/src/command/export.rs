//! `dr export` and `dr import`: a run in one file, for evidence or for another
//! machine.

use super::Here;
use crate::{
    args::{Export, ExportForm, Import},
    failure::{self, Failure},
    show, state,
};
use dr_engine::{
    clock::Time,
    event::{Event, Kind},
    journal::{
        Journal,
        sqlite::{self, Sqlite},
    },
    plan::hex,
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    sync::Arc,
};

/// One event of an export.
#[derive(Serialize, Deserialize)]
struct Line {
    seq: u64,
    at: i64,
    kind: Kind,
}

/// The first line of an export.
#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
    run: String,
    events: usize,
    hash: String,
}

const FORMAT: &str = "dr-run";
/// The version of the form.
const VERSION: u32 = 1;
/// The head line of an export is shorter than this.
const HEAD_BYTES_MAX: u64 = 4096;

/// Writes a run into one file: a head line, then one event a line.
pub fn export(here: &Here, args: &Export) -> Result<u8, Failure> {
    let id = here.state.find(&args.run)?;
    let read = state::history(&here.state.folder(&id))?;
    let head =
        Head { format: FORMAT.into(), version: VERSION, run: id, events: read.events.len(), hash: hex(&read.head) };
    let mut text = json(&head)?;
    for Event { seq, at, kind } in read.events {
        text.push_str(&json(&Line { seq, at: at.0, kind })?);
    }
    let ExportForm::Jsonl = args.format;
    match &args.out {
        None => show::print(&text),
        Some(path) => save(path, &head.run, &text)?,
    }
    Ok(failure::DONE)
}

/// Writes an export into a file, over an older one of the same run but over nothing else.
fn save(path: &Path, run: &str, text: &str) -> Result<(), Failure> {
    let shown = path.display();
    let failed = |e: io::Error| Failure::before(format!("{shown} cannot be written: {e}"));
    // What is no file, such as a pipe, holds nothing that could be lost.
    if fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0) {
        let mut first = String::new();
        let file = fs::File::open(path).map_err(failed)?;
        // What is no text is no export either.
        BufReader::new(file.take(HEAD_BYTES_MAX)).read_line(&mut first).ok();
        if !serde_json::from_str(&first).is_ok_and(|head: Head| head.format == FORMAT && head.run == run) {
            let message = format!("{shown} is there already and is no export of this run: nothing was written");
            return Err(Failure::usage(message).hint("name another file: --out FILE"));
        }
    }
    let mut file = fs::File::create(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map(|text| text + "\n").map_err(|e| Failure::before(e.to_string()))
}

/// Takes a run in. It cannot fence the original: that host must be off.
pub fn import(here: &Here, args: &Import) -> Result<u8, Failure> {
    let shown = args.file.display();
    let wrong = |why: String| {
        Failure::usage(format!("{shown} is no export of a run: {why}")).hint("one is made by: dr export RUN --out FILE")
    };
    let text = fs::read_to_string(&args.file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::before(format!("there is no file {shown}")),
        io::ErrorKind::IsADirectory => wrong("it is a folder".into()),
        io::ErrorKind::InvalidData => wrong("it is no UTF-8 text".into()),
        _ => Failure::before(format!("{shown} cannot be read: {error}")),
    })?;
    let mut lines = text.lines();
    let head: Head = serde_json::from_str(lines.next().unwrap_or_default())
        .map_err(|_| wrong("its first line is not the head of one".into()))?;
    if head.format != FORMAT {
        return Err(wrong(format!("its first line says `{}`", show::plain(&head.format))));
    }
    if head.version != VERSION {
        return Err(Failure::usage(format!(
            "{shown} has version {} of the form, this version of dr reads {VERSION}",
            head.version
        ))
        .hint("use the version of dr that wrote it, or a newer one"));
    }
    let mut events = Vec::new();
    for line in lines {
        let Line { seq, at, kind } =
            serde_json::from_str(line).map_err(|e| wrong(format!("event {}: {e}", events.len() + 1)))?;
        events.push(Event { seq, at: Time(at), kind });
    }
    if events.len() != head.events {
        return Err(wrong(format!("{} of its {} events are there", events.len(), head.events)));
    }
    let opened = state::fold(&events)?.opened.run;
    // The id becomes a folder's name, and the file may come from anywhere.
    if opened != head.run || !state::is_id(&head.run) {
        return Err(wrong("the run has another id than its first line says, or none that dr gives".into()));
    }
    let folder = here.state.folder(&head.run);
    if folder.exists() {
        let failure = Failure::usage(format!("the run {} is here already: nothing was taken in", head.run));
        return Err(failure.hint(format!("dr status {} shows it; --state DIR takes it in elsewhere", head.run)));
    }
    // Written aside and renamed: a run that is here is here whole.
    let aside = here.state.folder(&format!(".import-{}", head.run));
    // Left by an import that was interrupted.
    fs::remove_dir_all(&aside).ok();
    let mut journal = Sqlite::create(&aside, &crate::person::process(), Arc::default())?;
    journal.append(&events)?;
    let same = hex(&journal.head()) == head.hash;
    drop(journal);
    if !same {
        fs::remove_dir_all(&aside).ok();
        return Err(Failure::new(
            failure::FAILED,
            format!("{shown} was changed after it was written: its head hash does not fit"),
        ));
    }
    // The next controller must be later than every one before.
    let epochs = events.iter().filter_map(|e| if let Kind::Joined(c) = &e.kind { Some(c.epoch) } else { None });
    sqlite::set_epoch(&aside, epochs.max().unwrap_or(1))?;
    fs::rename(&aside, &folder).map_err(|e| Failure::before(format!("{} cannot be made: {e}", folder.display())))?;
    show::print(&format!("{}: {} events, head {}\n", head.run, head.events, &head.hash[..12]));
    show::aside(&format!("go on from here once the other host is off: dr resume {} --moved", head.run));
    Ok(failure::DONE)
}
