//! `dr graph`: a plan as a picture.

use super::plan;
use crate::{
    args::{Graph, GraphForm},
    failure::{self, Failure},
    show,
};
use dr_engine::{forecast::critical, picture};

/// Prints the picture of a plan.
pub fn graph(args: &Graph) -> Result<u8, Failure> {
    let plan = plan::chosen(&args.chosen)?.0;
    let slots = show::plan::predict(&plan, args.parallel).usual;
    let draw = match args.format {
        GraphForm::Svg => picture::lanes,
        GraphForm::Dot => picture::dot,
        GraphForm::Mermaid => picture::mermaid,
    };
    show::print(&draw(&plan, &slots, &critical(&plan, &slots)));
    Ok(failure::DONE)
}
