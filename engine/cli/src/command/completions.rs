//! `dr completions`: what completes commands and options in a shell.

use crate::{
    args::{Args, Completions},
    failure, show,
};
use clap::CommandFactory;

/// Prints the script for a shell.
pub fn completions(of: &Completions) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(of.shell, &mut Args::command(), "dr", &mut script);
    show::print(&String::from_utf8_lossy(&script));
    failure::DONE
}
