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
use std::{fs, io::Write, sync::Arc};

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

/// Writes a run into one file: a head line, then one event a line.
pub fn export(here: &Here, args: &Export) -> Result<u8, Failure> {
    let id = here.state.find(&args.run)?;
    let read = state::history(&here.state.folder(&id))?;
    let head = Head { format: FORMAT.into(), version: 1, run: id, events: read.events.len(), hash: hex(&read.head) };
    let mut text = json(&head)?;
    for Event { seq, at, kind } in read.events {
        text.push_str(&json(&Line { seq, at: at.0, kind })?);
    }
    let ExportForm::Jsonl = args.format;
    match &args.out {
        None => show::print(&text),
        Some(path) => fs::File::create(path)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|e| Failure::before(format!("{} cannot be written: {e}", path.display())))?,
    }
    Ok(failure::DONE)
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map(|text| text + "\n").map_err(|e| Failure::before(e.to_string()))
}

/// Takes a run in. It cannot fence the original: that host must be off.
pub fn import(here: &Here, args: &Import) -> Result<u8, Failure> {
    let shown = args.file.display();
    let text = fs::read_to_string(&args.file).map_err(|e| Failure::before(format!("{shown} cannot be read: {e}")))?;
    let wrong = |why: String| Failure::usage(format!("{shown} is no export of a run: {why}"));
    let mut lines = text.lines();
    let head: Head = serde_json::from_str(lines.next().unwrap_or_default()).map_err(|e| wrong(e.to_string()))?;
    if head.format != FORMAT || head.version != 1 {
        return Err(wrong(format!("it has format {} {}", head.format, head.version)));
    }
    let mut events = Vec::with_capacity(head.events);
    for line in lines {
        let Line { seq, at, kind } =
            serde_json::from_str(line).map_err(|e| wrong(format!("event {}: {e}", events.len() + 1)))?;
        events.push(Event { seq, at: Time(at), kind });
    }
    if events.len() != head.events {
        return Err(wrong(format!("{} of its {} events are there", events.len(), head.events)));
    }
    state::fold(&events)?;
    let folder = here.state.folder(&head.run);
    if folder.exists() {
        return Err(Failure::usage(format!("the run {} is here already", head.run)));
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
