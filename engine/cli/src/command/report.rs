//! `dr report`: what the run took and lost.

use super::Here;
use crate::{
    args::{Report, ReportForm},
    control,
    failure::{self, Failure},
    show, state,
};
use dr_engine::plan::hex;

/// Prints the report of a run, finished or not.
pub fn report(here: &Here, args: &Report) -> Result<u8, Failure> {
    let id = here.state.find(&args.run)?;
    // Reading checks the whole chain: a report is of an unbroken one or not at all.
    let read = state::history(&here.state.folder(&id))?;
    let report = dr_engine::report::Report::of(&read.events, &hex(&read.head), control::clock().now())
        .map_err(|e| Failure::before(format!("the journal tells what cannot have happened: {e}")))?
        .chain_ok(true);
    match if here.json { ReportForm::Json } else { args.format } {
        ReportForm::Md => show::print(&show::plain(&report.to_markdown())),
        ReportForm::Html => show::print(&report.to_html()),
        ReportForm::Json => {
            let text = serde_json::to_string_pretty(&report.to_json()).map_err(|e| Failure::before(e.to_string()))?;
            show::print(&format!("{text}\n"));
        }
    }
    Ok(failure::DONE)
}
