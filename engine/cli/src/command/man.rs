//! `dr man`: the manual, a page per command, in the words of `--help`.

use crate::{
    args::{Args, Man},
    failure::{self, Failure},
    show,
};
use clap::{Command, CommandFactory};
use clap_mangen::roff::{Roff, bold, italic, roman};
use std::{fs, io, path::Path};

/// Where `dr` looks for what, and keeps what.
const FILES: [(&str, &str); 3] = [
    ("dr.toml", "Settings, beside the runbook."),
    ("~/.config/dr/dr.toml", "Settings where the runbook has none beside it; under $XDG_CONFIG_HOME if that is set."),
    ("~/.local/state/dr/runs", "Runs, a folder each; under $XDG_STATE_HOME if that is set."),
];

/// Prints the page of `dr` itself, or writes all of them into a folder.
pub fn man(to: &Man) -> Result<u8, Failure> {
    let mut dr = Args::command();
    dr.build();
    match &to.out {
        None => {
            let page = page(&dr).map_err(|e| Failure::before(format!("the manual cannot be made: {e}")))?;
            show::print(&String::from_utf8_lossy(&page));
        }
        Some(folder) => {
            let failed = |e| Failure::before(format!("the manual cannot be written into {}: {e}", folder.display()));
            fs::create_dir_all(folder).map_err(failed)?;
            write(&dr, folder).map_err(failed)?;
        }
    }
    Ok(failure::DONE)
}

/// Writes the pages of a command and of all below it.
fn write(command: &Command, folder: &Path) -> io::Result<()> {
    fs::write(folder.join(format!("{}.1", name(command))), page(command)?)?;
    command.get_subcommands().filter(|it| !it.is_hide_set()).try_for_each(|below| write(below, folder))
}

/// `dr-lab-up`, as its page is called.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = clap_mangen::Man::new(command.clone()).title(name(command).to_uppercase());
    let man = man.date(env!("DR_DATE")).source(concat!("dr ", env!("CARGO_PKG_VERSION"))).manual("Disaster recovery");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut more = Roff::new();
    if name(command) == "dr" {
        more.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in failure::CODES {
            more.control("TP", []).text([bold(code.to_string())]).text([roman(meaning)]);
        }
        more.control("SH", ["FILES"]);
        for (path, what) in FILES {
            more.control("TP", []).text([italic(path)]).text([roman(what)]);
        }
        more.control("SH", ["VERSION"]).text([roman(env!("DR_VERSION"))]);
    } else {
        more.control("SH", ["SEE ALSO"]).text([bold("dr"), roman("(1)")]);
    }
    more.to_writer(&mut page)?;
    Ok(page)
}
