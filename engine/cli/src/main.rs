//! `dr`: the disaster-recovery runbook engine on the command line.

#![expect(unreachable_pub, reason = "in a binary nothing is reachable; `pub` says what other files use")]

mod args;
mod break_glass;
mod channels;
mod claim;
mod command;
mod control;
mod endpoints;
mod evidence;
mod explain;
mod failure;
mod person;
mod settings;
mod show;
mod state;
mod telling;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no mistakes; everything else is a wrong use.
            error.print().ok();
            return ExitCode::from(if error.use_stderr() { failure::USAGE } else { failure::DONE });
        }
    };
    let json = args.json;
    match command::run(args) {
        Ok(failure::DONE) if show::unprinted().is_some() => {
            let why = show::unprinted().unwrap_or_default();
            show::failure(&failure::Failure::before(format!("not all of it could be printed: {why}")), json);
            ExitCode::from(failure::BEFORE)
        }
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            show::failure(&failure, json);
            ExitCode::from(failure.code)
        }
    }
}
