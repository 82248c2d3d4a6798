//! Times, ratios of blocks, and the lines in which they are told.

use std::{hint::black_box, time::Instant};

/// What something gave, and the seconds it took.
pub fn timed<T>(act: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = black_box(act());
    (value, start.elapsed().as_secs_f64())
}

/// One number for each block.
#[derive(Debug, Clone, Default)]
pub struct Blocks(Vec<f64>);

impl Blocks {
    /// Adds a block.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Block by block, this over that.
    pub fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// Block by block, a sum of two with a weight on the second.
    pub fn plus(&self, weight: f64, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, two)| one + weight * two).collect())
    }

    /// The value that half of the blocks do not exceed.
    pub fn median(&self) -> f64 {
        self.part(0.5)
    }

    /// The value below which this part of the blocks lies.
    pub fn part(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place within the list")]
        let at = ((sorted.len() - 1) as f64 * part).round() as usize;
        sorted[at]
    }
}

impl FromIterator<f64> for Blocks {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// The heading of all lines.
pub fn head() {
    println!("medians; a ratio is the median over blocks measured in turn, with its 10th and 90th percentile");
    println!("{:<46} {:>11}  {:<32} {:<22} goal", "what", "ours", "beside", "ratio");
}

/// One line: ours beside theirs, with a goal for the ratio if there is one.
pub fn beside(what: &str, ours: &Blocks, name: &str, theirs: &Blocks, at_most: Option<f64>) {
    let ratios = ours.over(theirs);
    let ratio = format!("{:.3} ({:.2}..{:.2})", ratios.median(), ratios.part(0.1), ratios.part(0.9));
    let goal = at_most.map(|most| goal(ratios.median() <= most, &format!("at most {most}")));
    line(what, &seconds(ours.median()), &format!("{name} {}", seconds(theirs.median())), &ratio, goal);
}

/// One line: a time and the longest it may be.
pub fn within(what: &str, ours: &Blocks, at_most: f64) {
    let spread = format!("({}..{})", seconds(ours.part(0.1)), seconds(ours.part(0.9)));
    let goal = goal(ours.median() <= at_most, &format!("at most {}", seconds(at_most)));
    line(what, &seconds(ours.median()), "", &spread, Some(goal));
}

/// One line of numbers that are no times.
pub fn number(what: &str, ours: &str, theirs: &str, ratio: &str, goal: Option<String>) {
    line(what, ours, theirs, ratio, goal);
}

/// A goal, and whether it was reached.
pub fn goal(met: bool, text: &str) -> String {
    format!("{text}: {}", if met { "met" } else { "NOT met" })
}

/// What could not be measured here, and why.
pub fn missing(what: &str, why: &str) {
    println!("{what:<46} not measured: {why}");
}

fn line(what: &str, ours: &str, theirs: &str, ratio: &str, goal: Option<String>) {
    let goal = goal.unwrap_or_else(|| "no goal".into());
    println!("{what:<46} {ours:>11}  {theirs:<32} {ratio:<22} {goal}");
}

/// Seconds in the unit that reads best.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s if s < 600.0 => format!("{s:.3} s"),
        s => format!("{:.1} min", s / 60.0),
    }
}
