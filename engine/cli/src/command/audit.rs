//! `dr audit verify`: is this what was written?

use super::Here;
use crate::{
    args::Verified,
    failure::{self, Failure},
    show,
};
use dr_engine::{journal::sqlite, plan::hex};
use std::path::PathBuf;

/// Checks the hash chain of a run or of a copy of its folder.
pub fn verify(here: &Here, args: &Verified) -> Result<u8, Failure> {
    let path = PathBuf::from(&args.run);
    let folder = if path.join("journal.db").exists() { path } else { here.state.folder(&here.state.find(&args.run)?) };
    let mark = sqlite::each(&folder, |_| Ok::<_, Failure>(()))?;
    let head = hex(&mark.head);
    if let Some(kept) = &args.head
        && !head.starts_with(kept.as_str())
    {
        return Err(Failure::new(failure::FAILED, format!("the chain is whole and its head is {head}, not {kept}"))
            .hint("events were added since, or the whole journal was written anew"));
    }
    show::print(&format!("{} events, chain whole, head {head}\n", mark.seq));
    Ok(failure::DONE)
}
