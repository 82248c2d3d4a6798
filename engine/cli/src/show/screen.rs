//! Where a run is shown: a terminal that can redraw has a living picture;
//! pipes, files, `--json`, and terminals that cannot or should not, have lines.

use super::{
    lines::Lines,
    live::{Live, Teller},
    says,
};
use dr_engine::{
    clock::Clock,
    event::Event,
    executor::{Hearing, Observer},
    run::Run,
};
use std::{io, path::Path, sync::Arc};

/// Shows a run.
pub enum Screen {
    /// One line per event.
    Lines(Lines),
    /// A picture of the present, and what happened above it.
    Live(Live),
}

impl Screen {
    /// Begins to show this run, whose folder this is, in the way that fits where it is shown.
    pub fn begin(json: bool, run: &Run, folder: &Path, clock: &Arc<dyn Clock>) -> Self {
        if json || !super::colour(&io::stdout()) {
            return Self::Lines(Lines::begin(json));
        }
        Self::Live(Live::begin(run.clone(), folder, clock.clone()))
    }

    /// Shows events that the run has taken in already.
    pub fn before(&self, events: &[Event], run: &Run) {
        match self {
            Self::Lines(lines) => lines.events(events, run),
            Self::Live(live) => live.before(events, run),
        }
    }

    /// Says what is asked since before: a picture shows it anyway.
    pub fn remind(&self, run: &Run) {
        if let Self::Lines(lines) = self {
            lines.remind(run);
        }
    }

    /// Who hears what running steps say: this screen, and whoever watches the run's folder.
    pub fn hearing(&self, run: &Run, folder: &Path, clock: &Arc<dyn Clock>) -> Hearing {
        let keep = says::keep(folder);
        match self {
            Self::Lines(lines) => {
                let murmur = lines.murmuring(run, clock);
                Arc::new(move |step, text| {
                    keep(step, text);
                    murmur(step, text);
                })
            }
            Self::Live(live) => {
                let teller: Teller = live.teller();
                Arc::new(move |step, text| {
                    keep(step, text);
                    teller.says(step, text);
                })
            }
        }
    }

    /// Shows what a running step says.
    pub fn says(&self, step: &str, text: &str) {
        if let Self::Live(live) = self {
            live.teller().says(step, text);
        }
    }

    /// Says whether anybody drives the run.
    pub fn attended(&self, attended: bool) {
        if let Self::Live(live) = self {
            live.teller().attended(attended);
        }
    }

    /// Ends the showing; a picture leaves a summary behind, which says where
    /// the report is: whether it did.
    pub fn end(self) -> bool {
        match self {
            Self::Lines(lines) => {
                lines.end();
                false
            }
            Self::Live(live) => live.end(),
        }
    }

    /// Ends the showing of a run that goes on elsewhere, or of which nobody knows how it goes on.
    pub fn close(self) {
        match self {
            Self::Lines(lines) => lines.end(),
            Self::Live(live) => live.close(),
        }
    }
}

impl Observer for Screen {
    fn told(&mut self, events: &[Event], run: &Run) {
        match self {
            Self::Lines(lines) => lines.events(events, run),
            Self::Live(live) => live.teller().events(events.to_vec()),
        }
    }
}
