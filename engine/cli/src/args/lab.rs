//! The arguments of `dr lab`.

use clap::{Args, Subcommand, ValueEnum};
use dr_drills::lab::Account;
use std::path::PathBuf;

/// Arguments of `dr lab`.
#[derive(Debug, Args)]
pub struct Lab {
    /// The lab's folder, if it is not `lab` beside the runs.
    #[arg(long, global = true, value_name = "DIR", env = "DR_LAB_DIR")]
    pub dir: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Lever,
}

/// What can be done with a lab.
#[derive(Debug, Subcommand)]
pub enum Lever {
    /// Start it; it goes on when this command ends.
    Up(Up),
    /// End it.
    Down,
    /// Where it answers, and what is broken in it.
    Status,
    /// Print what puts a shell into it: eval "$(dr lab env ACCOUNT)".
    Env(Env),
    /// Plant production as it stands before the disaster; print parameters for a runbook.
    Seed(Seed),
    /// Take a region down, or up again.
    Region(Region),
    /// Post a script of faults, in place of the one before.
    Fault(Fault),
    /// Print the calls it took, one JSON object a line.
    Calls(Calls),
    /// Print the whole state of an account as sorted JSON.
    Dump(Dump),
}

/// Arguments of `dr lab up`.
#[derive(Debug, Args)]
pub struct Up {
    /// How many looks see what AWS does in the background still under way.
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    pub looks: Option<u32>,
    /// How long it takes, in place of looks.
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
    /// The port of AWS, if not a free one.
    #[arg(long, value_name = "PORT", default_value = "0", hide_default_value = true)]
    pub port: u16,
    /// The port of the lab's own levers.
    #[arg(long, value_name = "PORT", default_value = "0", hide_default_value = true)]
    pub admin_port: u16,
    /// The port of its name server.
    #[arg(long, value_name = "PORT", default_value = "0", hide_default_value = true)]
    pub dns_port: u16,
    /// The port of its health endpoint.
    #[arg(long, value_name = "PORT", default_value = "0", hide_default_value = true)]
    pub health_port: u16,
}

/// Arguments of `dr lab env`.
#[derive(Debug, Args)]
pub struct Env {
    /// The account, twelve digits.
    pub account: Account,
    /// The region that a client is in.
    #[arg(long, value_name = "REGION", default_value = "eu-central-1")]
    pub region: String,
}

/// Arguments of `dr lab seed`.
#[derive(Debug, Args)]
pub struct Seed {
    /// The account, twelve digits; what it had is dropped.
    pub account: Account,
    /// Print only the parameters that this runbook takes: dr plan RUNBOOK $(dr lab seed ACCOUNT --for RUNBOOK).
    #[arg(long = "for", value_name = "RUNBOOK")]
    pub runbook: Option<PathBuf>,
    /// Plant nothing: print the parameters of the last time.
    #[arg(long, conflicts_with = "set")]
    pub last: bool,
    /// How it is planted (primary, recovery, looks, seconds, objects …); JSON or text, may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// Arguments of `dr lab region`.
#[derive(Debug, Args)]
pub struct Region {
    /// Its name; `global` for Route 53, `CloudFront` and IAM alone.
    #[arg(value_name = "REGION")]
    pub name: String,
    /// What happens to it.
    #[arg(value_enum, value_name = "STATE")]
    pub becomes: RegionState,
    /// With us-east-1: Route 53, `CloudFront` and IAM go along.
    #[arg(long)]
    pub global: bool,
    /// How a region that is down does not answer.
    #[arg(long, value_enum, default_value = "reset")]
    pub mode: RegionMode,
    /// For this account alone.
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<Account>,
}

/// Whether a region answers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RegionState {
    /// It answers.
    Up,
    /// It does not.
    Down,
}

/// How a region that is down does not answer.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RegionMode {
    /// Connections are reset.
    Reset,
    /// Nothing comes back.
    Hang,
}

/// Arguments of `dr lab fault`.
#[derive(Debug, Args)]
pub struct Fault {
    /// The rules as JSON, a list or {"rules": […]}; - reads standard input.
    #[arg(required_unless_present = "clear", conflicts_with = "clear")]
    pub file: Option<PathBuf>,
    /// No faults.
    #[arg(long)]
    pub clear: bool,
    /// For this account alone.
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<Account>,
}

/// Arguments of `dr lab calls`.
#[derive(Debug, Args)]
pub struct Calls {
    /// Of this account alone.
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<Account>,
    /// Only those after this number.
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    pub after: u64,
}

/// Arguments of `dr lab dump`.
#[derive(Debug, Args)]
pub struct Dump {
    /// The account, twelve digits.
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Account,
    /// Without what differs between equal runs: times, ports, ids by chance.
    #[arg(long)]
    pub mask: bool,
}

#[cfg(test)]
mod tests {
    use crate::args::Args;
    use clap::Parser;

    #[test]
    fn every_lever_can_be_asked_for() {
        for line in [
            "up --looks 1 --port 4000",
            "down --dir here",
            "--dir here status",
            "env 000000000001 --region eu-west-1",
            "seed 000000000001 --for runbook.yaml --set looks=1",
            "seed 000000000001 --last --json",
            "region us-east-1 down --global --mode hang --account 000000000001",
            "region us-east-1 up",
            "fault -",
            "fault --clear --account 000000000001",
            "calls --after 7",
            "dump --account 000000000001 --mask",
        ] {
            // An argument whose name is also that of a global one panics here, and nowhere sooner.
            let parsed = Args::try_parse_from(["dr", "lab"].into_iter().chain(line.split(' ')));
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
        for line in ["fault", "fault a --clear", "seed 1", "region us-east-1 gone", "up --looks 1 --seconds 2"] {
            let parsed = Args::try_parse_from(["dr", "lab"].into_iter().chain(line.split(' ')));
            assert!(parsed.is_err(), "{line}");
        }
    }
}
