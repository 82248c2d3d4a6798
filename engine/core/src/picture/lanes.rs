//! A plan as lanes: a lane for each phase, boxes from left to right in the
//! order in which they can begin.

use super::{
    Face, fit,
    fold::{Folded, Node, fold},
    picture,
};
use crate::{
    forecast::Slot,
    plan::Plan,
    report::{brief, clean},
};
use maud::{Markup, html};

const MARGIN: i64 = 16;
/// The room for the name of a lane.
const NAME: i64 = 132;
const BOX: (i64, i64) = (208, 54);
/// Between two boxes: beside each other, and above each other.
const GAP: (i64, i64) = (48, 12);
/// The heading, and the key below the lanes, which is wider than the lanes of a short plan.
const HEAD: i64 = 52;
const KEY: i64 = 34;
const KEY_WIDTH: i64 = 680;

/// Where a box stands.
type Spot = (i64, i64);

/// A plan as lanes, a picture of its own. `slots` are those of its forecast,
/// `critical` says of each step whether it decides when the plan ends, by its
/// place in the plan.
pub fn lanes(plan: &Plan, slots: &[Slot], critical: &[bool]) -> String {
    let folded = fold(plan, slots, critical);
    let (places, tops, width) = arranged(&folded);
    let bottom = tops.last().copied().unwrap_or(HEAD);
    let end = slots.iter().map(|slot| slot.end).max().unwrap_or_default();
    let least = if folded.at_least { "at least " } else { "" };
    let count = plan.steps.len();
    let steps = if count == 1 { "1 step".to_owned() } else { format!("{count} steps") };
    let what = format!("{steps}, predicted to take {least}{}", brief(end));
    let body = html! {
        text class="bold" x=(MARGIN) y="24" font-size="15" { (fit(&plan.name, width - 2 * MARGIN, Face::Head)) }
        text class="soft" x=(MARGIN) y="42" { (fit(&what, width - 2 * MARGIN, Face::Plain)) }
        @for (at, name) in folded.lanes.iter().enumerate() { (lane(name, at, &tops, width)) }
        @for arrow in &folded.arrows { (edge(&folded, &places, *arrow)) }
        @for (it, spot) in folded.nodes.iter().zip(&places) { (node(plan, it, *spot)) }
        g transform={ "translate(" (MARGIN) " " (bottom + 22) ")" } {
            line class="edge path" x2="28" y1="-4" y2="-4" {}
            text class="soft" x="36" { "decides when the plan ends" }
            text class="soft" x="220" { "times are predicted from the estimates, counted from the start" }
        }
    };
    picture(width, bottom + KEY, &plan.name, &what, &body).into_string()
}

/// Where the boxes stand, where the lanes begin and the last one ends, and how wide it all is.
fn arranged(folded: &Folded) -> (Vec<Spot>, Vec<i64>, i64) {
    let columns = folded.nodes.iter().map(|it| it.column + 1).max().unwrap_or(1);
    let mut tops = vec![HEAD];
    let mut spots = vec![(0, 0); folded.nodes.len()];
    for lane in 0..folded.lanes.len() {
        let top = tops[lane];
        let mut rows = vec![0; columns];
        let mut inside: Vec<_> = (0..folded.nodes.len()).filter(|at| folded.nodes[*at].lane == lane).collect();
        // Columns from left to right, and in each what comes from above stands above: fewer arrows cross.
        inside.sort_by_key(|at| (folded.nodes[*at].column, height(folded, &spots, *at), *at));
        for at in inside {
            let column = folded.nodes[at].column;
            let x = MARGIN + NAME + units(column) * (BOX.0 + GAP.0);
            spots[at] = (x, top + GAP.1 + units(rows[column]) * (BOX.1 + GAP.1));
            rows[column] += 1;
        }
        let most = rows.into_iter().max().unwrap_or(0).max(1);
        tops.push(top + GAP.1 + units(most) * (BOX.1 + GAP.1));
    }
    let width = MARGIN + NAME + units(columns) * (BOX.0 + GAP.0) - GAP.0 + MARGIN;
    (spots, tops, width.max(KEY_WIDTH))
}

/// The mean height of what a box needs, of what has its place by now.
fn height(folded: &Folded, spots: &[Spot], at: usize) -> i64 {
    let needs = folded.arrows.iter().filter(|(_, to)| *to == at).map(|(from, _)| spots[*from].1);
    let (sum, count) = needs.fold((0, 0), |(sum, count), y| (sum + y, count + 1));
    if count == 0 { 0 } else { sum / count }
}

fn lane(name: &str, at: usize, tops: &[i64], width: i64) -> Markup {
    let (top, height) = (tops[at], tops[at + 1] - tops[at]);
    html! {
        g {
            title { (if name.is_empty() { "without a phase".to_owned() } else { clean(name) }) }
            @if at.is_multiple_of(2) { rect class="stripe" y=(top) width=(width) height=(height) {} }
            text class="bold" x=(MARGIN) y=(top + GAP.1 + 20) { (fit(name, NAME - 12, Face::Bold)) }
        }
    }
}

fn edge(folded: &Folded, spots: &[Spot], (from, to): (usize, usize)) -> Markup {
    let (a, b) = (spots[from], spots[to]);
    let class = if folded.nodes[from].critical && folded.nodes[to].critical { "edge path" } else { "edge" };
    let head = if class == "edge" { "head" } else { "head path" };
    let (x, y) = (a.0 + BOX.0, a.1 + BOX.1 / 2);
    let (end, down) = (b.0, b.1 + BOX.1 / 2);
    let bend = ((end - x) / 2).clamp(GAP.0 / 2, 3 * GAP.0);
    html! {
        path class=(class) d={ "M" (x) " " (y) "C" (x + bend) " " (y) " " (end - bend) " " (down) " " (end - 6) " " (down) } {}
        path class=(head) d={ "M" (end) " " (down) "l-7-4v8z" } {}
    }
}

fn node(plan: &Plan, it: &Node, (x, y): Spot) -> Markup {
    let names: Vec<_> = it.steps.iter().take(40).map(|step| plan.step(*step).id.as_str()).collect();
    let more = it.steps.len() - names.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let time = it.time();
    let whole = format!("{}{more}: {}; {time}", names.join(", "), it.what);
    let any = |which: fn(&crate::plan::PlanStep) -> bool| it.steps.iter().any(|step| which(plan.step(*step)));
    let loud =
        [(any(|step| step.irreversible), "irreversible"), (any(crate::plan::PlanStep::is_gate), "needs approval")];
    let loud: Vec<_> = loud.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
    let last = if loud.is_empty() { it.what.clone() } else { loud.join(", ") };
    html! {
        g transform={ "translate(" (x) " " (y) ")" } {
            title { (clean(&whole)) }
            rect class={ "box" @if it.critical { " path" } } width=(BOX.0) height=(BOX.1) rx="6" {}
            text class="bold" x="10" y="18" { (fit(&it.name, BOX.0 - 18, Face::Bold)) }
            text x="10" y="33" { (fit(&time, BOX.0 - 18, Face::Plain)) }
            text class={ @if loud.is_empty() { "soft" } @else { "loud" } } x="10" y="47" { (fit(&last, BOX.0 - 18, Face::Plain)) }
        }
    }
}

fn units(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
