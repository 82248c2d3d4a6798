//! The arguments of every command.

pub mod lab;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use dr_engine::event::RunKind;
use std::path::PathBuf;

/// Runs, rehearses and proves disaster-recovery runbooks.
#[derive(Debug, Parser)]
#[command(name = "dr", version = env!("DR_VERSION"), max_term_width = 100, disable_help_subcommand = true)]
pub struct Args {
    /// Settings, instead of dr.toml beside the runbook or in the user's configuration.
    #[arg(long, global = true, value_name = "FILE", env = "DR_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where runs are kept.
    #[arg(long, global = true, value_name = "DIR", env = "DR_STATE")]
    pub state: Option<PathBuf>,
    /// One JSON object a line instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a runbook, or a plan that was saved.
    Execute(Execute),
    /// Show what would be done and how long it would take; changes nothing.
    Plan(PlanArgs),
    /// Draw a plan.
    Graph(Graph),
    /// Check a runbook without a network.
    Lint(Chosen),
    /// Go on with a run.
    Resume(Resume),
    /// Show a run, or all of them.
    Status(OneRun),
    /// Follow a run, line by line.
    Watch(Watch),
    /// Answer a question of a step.
    Answer(Answer),
    /// Say that a step was done by hand.
    Done(Done),
    /// Add a fact to the timeline, or correct a clock.
    Note(Note),
    /// The Incident Commander's updates: see the next one, word it, send it.
    #[command(subcommand)]
    Update(Update),
    /// Pass a role on to somebody else.
    #[command(subcommand)]
    Role(Role),
    /// What is told to people.
    #[command(subcommand)]
    Comms(Comms),
    /// Start nothing new until `dr resume`.
    Pause(Says),
    /// Take back what was done.
    Undo(Undo),
    /// Show the output of a step's command.
    Logs(Logs),
    /// What the run took and lost.
    Report(Report),
    /// What past runs took, and what to estimate next.
    History(History),
    /// Check evidence.
    #[command(subcommand)]
    Audit(Audit),
    /// Write a run into one file.
    Export(Export),
    /// Take a run in from a file.
    Import(Import),
    /// Say all about a kind of work, or list them all.
    Explain(Explain),
    /// Print the JSON Schema of runbooks, for editors.
    Schema,
    /// Print what completes commands and options in a shell.
    #[command(hide = true)]
    Completions(Completions),
    /// Print the manual page of `dr`, or write those of all commands.
    #[command(hide = true)]
    Man(Man),
    /// A local AWS to rehearse disasters against.
    Lab(lab::Lab),
    /// Could I recover from here, now?
    Doctor(Doctor),
}

/// Arguments of `dr explain`.
#[derive(Debug, ClapArgs)]
pub struct Explain {
    /// The kind, as it stands under `do:`; all are listed if none is named.
    pub kind: Option<String>,
    /// Write a page of Markdown per kind into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "kind", hide = true)]
    pub pages: Option<PathBuf>,
}

/// Arguments of `dr completions`.
#[derive(Debug, ClapArgs)]
pub struct Completions {
    /// The shell: bash takes them by `source <(dr completions bash)`.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Arguments of `dr man`.
#[derive(Debug, ClapArgs)]
pub struct Man {
    /// Write a page per command into this folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// What is read: a runbook and its parameters.
#[derive(Debug, ClapArgs)]
pub struct Chosen {
    /// The runbook, or a plan saved by `dr plan --out`.
    pub runbook: PathBuf,
    /// A parameter of the runbook; may be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Whether the primary region can still be asked.
    #[arg(long, value_enum, default_value = "ungraceful")]
    pub mode: ModeArg,
    /// Only these steps or phases (`phase.dns`).
    #[arg(long, value_name = "STEP")]
    pub only: Vec<String>,
    /// These steps and what they need.
    #[arg(long, value_name = "STEP")]
    pub until: Vec<String>,
    /// Without these steps.
    #[arg(long, value_name = "STEP")]
    pub skip: Vec<String>,
    /// Steps that cannot be taken back need no approval.
    #[arg(long)]
    pub accept_irreversible: bool,
}

/// Whether the primary region can still be asked.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ModeArg {
    /// It can: a switchover.
    Graceful,
    /// It cannot: a failover.
    Ungraceful,
}

/// Arguments of `dr plan`.
#[derive(Debug, ClapArgs)]
pub struct PlanArgs {
    #[command(flatten)]
    pub chosen: Chosen,
    /// Save the plan; `dr execute FILE` runs exactly that.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How many steps may run at the same time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub parallel: Option<u32>,
}

/// Arguments of `dr graph`.
#[derive(Debug, ClapArgs)]
pub struct Graph {
    #[command(flatten)]
    pub chosen: Chosen,
    /// The form; it goes to standard output.
    #[arg(long, value_enum, default_value = "svg")]
    pub format: GraphForm,
    /// How many steps may run at the same time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub parallel: Option<u32>,
}

/// Forms of a picture.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum GraphForm {
    /// A picture that browsers show.
    Svg,
    /// For Graphviz.
    Dot,
    /// For Mermaid, as many wikis draw it.
    Mermaid,
}

/// Arguments of `dr execute`.
#[derive(Debug, ClapArgs)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the command line")]
pub struct Execute {
    #[command(flatten)]
    pub chosen: Chosen,
    /// Print the plan, exactly as `dr plan` does, and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// The hash of the plan that was reviewed; at least 8 of its digits.
    #[arg(long, value_name = "HASH")]
    pub confirm: Option<String>,
    /// Do not ask; for drills and labs only.
    #[arg(long)]
    pub yes: bool,
    /// A real recovery or a drill; runs against a local AWS are lab runs.
    #[arg(long, value_enum)]
    pub kind: Option<KindArg>,
    /// When the outage began: RFC 3339, HH:MM (UTC) or -25m. The RTO counts from here.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub incident_at: Option<String>,
    /// When it was noticed.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub detected_at: Option<String>,
    /// When the disaster was declared.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub declared_at: Option<String>,
    /// Who declared it: the executive of the runbook's roles, or a deputy.
    #[arg(long, value_name = "NAME")]
    pub declared_by: Option<String>,
    /// Who you are: a name of the runbook's roles.
    #[arg(long = "as", value_name = "NAME")]
    pub who: Option<String>,
    /// Start although another live run of this runbook is not finished.
    #[arg(long)]
    pub also: bool,
    /// Work with the credentials of the profile that the settings keep for emergencies; wants --why.
    #[arg(long)]
    pub break_glass: bool,
    /// Why the claim is broken, or gone without, or those credentials are taken.
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    #[command(flatten)]
    pub on_claim: OnClaim,
    #[command(flatten)]
    pub driving: Driving,
}

/// Whether a run is a real recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KindArg {
    /// Production.
    Live,
    /// A rehearsal.
    Drill,
    /// Against a local AWS alone.
    Lab,
}

impl From<KindArg> for RunKind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Live => Self::Live,
            KindArg::Drill => Self::Drill,
            KindArg::Lab => Self::Lab,
        }
    }
}

/// How a run is driven.
#[derive(Debug, Clone, ClapArgs)]
pub struct Driving {
    /// How many steps may run at the same time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub parallel: Option<u32>,
    /// End with 4 as soon as nothing goes on without a person.
    #[arg(long)]
    pub no_wait: bool,
    /// Anything but `recovered` ends with 3.
    #[arg(long)]
    pub strict: bool,
}

/// What a person says of a claim that stands in the way.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct OnClaim {
    /// Take the runbook's claim from somebody else, who is off or stops then; wants --why.
    #[arg(long)]
    pub break_claim: bool,
    /// Go on although the runbook's claim cannot be read or written; wants --why.
    #[arg(long)]
    pub without_claim: bool,
}

/// Arguments of `dr resume`.
#[derive(Debug, ClapArgs)]
pub struct Resume {
    /// The run; the only unfinished one if none is named.
    pub run: Option<String>,
    /// Take the run from a controller that lives but does not answer.
    #[arg(long, requires = "why")]
    pub take_over: bool,
    /// Work with the credentials of the profile that the settings keep for emergencies; wants --why.
    #[arg(long)]
    pub break_glass: bool,
    /// Why it is taken over, its claim broken or gone without, or those credentials are taken.
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    /// The run came from another host, which is off for certain.
    #[arg(long)]
    pub moved: bool,
    #[command(flatten)]
    pub on_claim: OnClaim,
    #[command(flatten)]
    pub driving: Driving,
}

/// A run, if one is named.
#[derive(Debug, ClapArgs)]
pub struct OneRun {
    /// The run, or enough of the beginning of its id; `dr status` lists them.
    pub run: Option<String>,
}

/// Who says something, and why.
#[derive(Debug, Clone, ClapArgs)]
pub struct Saying {
    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,
    /// Who you are: a name of the runbook's roles.
    #[arg(long = "as", value_name = "NAME")]
    pub who: Option<String>,
    /// How long to wait for a controller to take it.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub within: String,
}

/// Arguments of `dr watch`.
#[derive(Debug, ClapArgs)]
pub struct Watch {
    /// The run; the only unfinished one if none is named.
    pub run: Option<String>,
    /// Watch over whoever tells of the run: when a promised update does not come, tell people the last known state.
    ///
    /// An update counts once it has arrived somewhere. On another machine, give it a copy of the run's folder under
    /// `--state`, with `comms/` in it, and copy anew more often than `--grace`.
    #[arg(long)]
    pub dead_man: bool,
    /// So long after its time a promise counts as broken.
    #[arg(long, value_name = "TIME", default_value = "2m")]
    pub grace: String,
}

/// What can be done with updates.
#[derive(Debug, Subcommand)]
pub enum Update {
    /// Show the next update as it would be now.
    Draft(TheRun),
    /// Put your own words above the facts of the next update.
    Edit(Worded),
    /// Send an update now, in your name.
    Send(Sent),
}

/// What can be done with what is told.
#[derive(Debug, Subcommand)]
pub enum Comms {
    /// Bring what has not arrived, of a run that no controller holds.
    Deliver(TheRun),
    /// Send one message, marked TEST, by every way that a runbook names: nothing has happened, and it says so.
    Test(Trial),
}

/// Arguments of `dr comms test`.
#[derive(Debug, ClapArgs)]
pub struct Trial {
    /// The runbook, or a plan that was saved.
    pub runbook: PathBuf,
    /// A parameter of the runbook; may be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Try this way only; may be repeated. Usually all are tried.
    #[arg(long = "by", value_name = "WAY")]
    pub by: Vec<String>,
}

/// A run that is named.
#[derive(Debug, ClapArgs)]
pub struct TheRun {
    /// The run.
    pub run: String,
}

/// Arguments of `dr update edit`.
#[derive(Debug, ClapArgs)]
pub struct Worded {
    /// The run.
    pub run: String,
    /// The words.
    pub text: String,
    #[command(flatten)]
    pub saying: Saying,
}

/// Arguments of `dr update send`.
#[derive(Debug, ClapArgs)]
pub struct Sent {
    /// The run.
    pub run: String,
    /// Your own words above the facts.
    #[arg(default_value = "")]
    pub text: String,
    #[command(flatten)]
    pub saying: Saying,
}

/// What can be done with roles.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Pass a role on to a person whom the runbook names; prints a brief for them.
    Set(RoleSet),
}

/// Arguments of `dr role set`.
#[derive(Debug, ClapArgs)]
pub struct RoleSet {
    /// The run.
    pub run: String,
    /// The role, as in `incident_commander`.
    pub role: String,
    /// Who has it from now on.
    #[arg(long, value_name = "NAME")]
    pub to: String,
    #[command(flatten)]
    pub saying: Saying,
}

/// Something said to a run.
#[derive(Debug, ClapArgs)]
pub struct Says {
    /// The run, or enough of the beginning of its id; `dr status` lists them.
    pub run: String,
    #[command(flatten)]
    pub saying: Saying,
}

/// Arguments of `dr answer`.
#[derive(Debug, ClapArgs)]
pub struct Answer {
    /// The run, or enough of the beginning of its id; `dr status` lists them.
    pub run: String,
    /// The step that asks.
    pub step: String,
    /// What to do.
    #[arg(value_enum)]
    pub choice: ChoiceArg,
    /// With `set`: the value, as NAME=VALUE.
    pub value: Option<String>,
    /// With `retry`: an input of the step for the next attempt; may be repeated.
    #[arg(long = "set", value_name = "INPUT=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub saying: Saying,
}

/// What can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChoiceArg {
    /// Try again.
    Retry,
    /// Go on waiting for what is under way.
    Wait,
    /// Leave it out; what needs it goes on.
    Skip,
    /// Take back what this step did.
    Undo,
    /// End the run.
    Stop,
    /// Give a value that is missing.
    Set,
    /// Agree.
    Approve,
    /// Do not agree.
    Decline,
    /// Of a fence: it cannot be set now, and the old writer cannot write. Two people must say so.
    Impossible,
}

/// Arguments of `dr done`.
#[derive(Debug, ClapArgs)]
pub struct Done {
    /// The run, or enough of the beginning of its id; `dr status` lists them.
    pub run: String,
    /// The step.
    pub step: String,
    /// An output that the step would have left; may be repeated.
    #[arg(long = "output", value_name = "NAME=VALUE")]
    pub outputs: Vec<String>,
    /// What shows that it is done, where the step asks for that: a text, or a file, of which a copy is kept.
    #[arg(long, value_name = "TEXT|FILE")]
    pub evidence: Option<String>,
    #[command(flatten)]
    pub saying: Saying,
}

/// Arguments of `dr note`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
#[derive(Debug, ClapArgs)]
pub struct Note {
    /// The run, or enough of the beginning of its id; `dr status` lists them.
    pub run: String,
    /// What to write down.
    pub text: Option<String>,
    /// It is a request for help.
    #[arg(long)]
    pub help_wanted: bool,
    /// It says what users of the service notice; it stands in updates until the next.
    #[arg(long, conflicts_with_all = ["help_wanted", "action", "lesson"])]
    pub impact: bool,
    /// It is something to know the next time.
    #[arg(long, conflicts_with_all = ["help_wanted", "action"])]
    pub lesson: bool,
    /// It is something to do before the next time.
    #[arg(long, conflicts_with = "help_wanted")]
    pub action: bool,
    /// Who sees to it.
    #[arg(long, value_name = "NAME", requires = "action")]
    pub owner: Option<String>,
    /// By when: 2026-12-24.
    #[arg(long, value_name = "DATE", requires = "action")]
    pub due: Option<String>,
    /// Correct when the outage began.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub incident_at: Option<String>,
    /// Correct when it was noticed.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub detected_at: Option<String>,
    /// Correct when the disaster was declared.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub declared_at: Option<String>,
    #[command(flatten)]
    pub saying: Saying,
}

/// Arguments of `dr undo`.
#[derive(Debug, ClapArgs)]
pub struct Undo {
    /// The run, or enough of the beginning of its id; `dr status` lists them.
    pub run: String,
    /// One step, with what was built on it; everything if none is named.
    pub step: Option<String>,
    /// Take back what can be, around what cannot.
    #[arg(long)]
    pub around: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Also send users back to where they were taken from, without asking once more.
    #[arg(long)]
    pub traffic_back: bool,
    #[command(flatten)]
    pub saying: Saying,
    #[command(flatten)]
    pub on_claim: OnClaim,
    #[command(flatten)]
    pub driving: Driving,
}

/// Arguments of `dr logs`.
#[derive(Debug, ClapArgs)]
pub struct Logs {
    /// The run, or enough of the beginning of its id; `dr status` lists them.
    pub run: String,
    /// The step.
    pub step: String,
    /// Go on as more is written, until the step ends.
    #[arg(short, long)]
    pub follow: bool,
}

/// Arguments of `dr report`.
#[derive(Debug, ClapArgs)]
pub struct Report {
    /// The run, or enough of the beginning of its id; `dr status` lists them.
    pub run: String,
    /// The form.
    #[arg(long, value_enum, default_value = "md")]
    pub format: ReportForm,
}

/// Arguments of `dr history`.
#[derive(Debug, ClapArgs)]
pub struct History {
    /// Only runs of this kind. Estimates come from live runs and drills unless it is named.
    #[arg(long, value_enum)]
    pub kind: Option<KindArg>,
    /// Print the estimates that past runs propose for this runbook, to paste into it.
    #[arg(long, value_name = "RUNBOOK")]
    pub estimates: Option<PathBuf>,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ReportForm {
    /// Markdown.
    Md,
    /// JSON.
    Json,
    /// A page that stands by itself, for browsers and for paper.
    Html,
}

/// Checks of evidence.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check the hash chain of a run, offline.
    Verify(Verified),
}

/// Arguments of `dr audit verify`.
#[derive(Debug, ClapArgs)]
pub struct Verified {
    /// The run, or the folder of a copy.
    pub run: String,
    /// A head hash, or its beginning, that was kept elsewhere.
    #[arg(long, value_name = "HASH")]
    pub head: Option<String>,
}

/// Arguments of `dr export`.
#[derive(Debug, ClapArgs)]
pub struct Export {
    /// The run, or enough of the beginning of its id; `dr status` lists them.
    pub run: String,
    /// The form: one JSON object a line, the journal's own.
    #[arg(long, value_enum, default_value = "jsonl")]
    pub format: ExportForm,
    /// Where to write; the screen if not given.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Forms of an export.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ExportForm {
    /// The events, one JSON object a line.
    Jsonl,
}

/// Arguments of `dr import`.
#[derive(Debug, ClapArgs)]
pub struct Import {
    /// A file that `dr export` wrote.
    pub file: PathBuf,
}

/// Arguments of `dr doctor`.
#[derive(Debug, ClapArgs)]
pub struct Doctor {
    /// The runbook to recover by, if one is at hand, or a plan that was saved.
    pub runbook: Option<PathBuf>,
    /// A parameter of the runbook; may be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
}
