//! The same graph as a runbook, a Makefile and a build.ninja.

use std::fmt::Write;

/// Steps by number; each needs earlier ones. A layer's steps need all of the layer before.
pub enum Graph {
    /// One after the other.
    Chain(usize),
    /// So many layers of so many steps.
    Layers(usize, usize),
}

impl Graph {
    /// As a runbook whose steps run `true`.
    pub fn runbook(&self) -> String {
        let mut text = String::from("dr: v1\nname: bench\n");
        if let Self::Layers(layers, _) = self {
            let names: Vec<_> = (0..*layers).map(|layer| format!("l{layer}")).collect();
            writeln!(text, "phases: [{}]", names.join(", ")).expect(TEXT);
        }
        text.push_str("steps:\n");
        self.each(|step, layer| {
            writeln!(text, "  s{step}:").expect(TEXT);
            match self {
                Self::Chain(_) if step > 0 => writeln!(text, "    needs: [s{}]", step - 1).expect(TEXT),
                Self::Layers(..) => {
                    writeln!(text, "    phase: l{layer}").expect(TEXT);
                    if layer > 0 {
                        writeln!(text, "    needs: [phase.l{}]", layer - 1).expect(TEXT);
                    }
                }
                Self::Chain(_) => {}
            }
            writeln!(text, "    do: {{ command: {{ argv: [\"true\"] }} }}").expect(TEXT);
        });
        text
    }

    /// As a Makefile.
    pub fn makefile(&self) -> String {
        let mut text = String::from("all:\n");
        let mut phony = String::from(".PHONY: all");
        self.each(|step, layer| {
            let need = self.need(step, layer);
            writeln!(text, "s{step}:{need}\n\t@true").expect(TEXT);
            write!(phony, " s{step}").expect(TEXT);
        });
        for (layer, members) in self.members() {
            writeln!(text, "l{layer}: {members}").expect(TEXT);
            write!(phony, " l{layer}").expect(TEXT);
        }
        writeln!(text, "{phony}\nall: {}", self.last()).expect(TEXT);
        text
    }

    /// As a build.ninja.
    pub fn ninja(&self) -> String {
        let mut text = String::from("rule run\n  command = true\n");
        self.each(|step, layer| writeln!(text, "build s{step}: run{}", self.need(step, layer)).expect(TEXT));
        for (layer, members) in self.members() {
            writeln!(text, "build l{layer}: phony {members}").expect(TEXT);
        }
        writeln!(text, "build all: phony {}\ndefault all", self.last()).expect(TEXT);
        text
    }

    fn each(&self, mut tell: impl FnMut(usize, usize)) {
        match *self {
            Self::Chain(steps) => (0..steps).for_each(|step| tell(step, 0)),
            Self::Layers(layers, wide) => (0..layers * wide).for_each(|step| tell(step, step / wide)),
        }
    }

    fn need(&self, step: usize, layer: usize) -> String {
        match self {
            Self::Chain(_) if step > 0 => format!(" s{}", step - 1),
            Self::Layers(..) if layer > 0 => format!(" l{}", layer - 1),
            _ => String::new(),
        }
    }

    fn members(&self) -> Vec<(usize, String)> {
        let Self::Layers(layers, wide) = *self else { return Vec::new() };
        let members = |layer| (layer * wide..(layer + 1) * wide).map(|step| format!("s{step}")).collect::<Vec<_>>();
        (0..layers).map(|layer| (layer, members(layer).join(" "))).collect()
    }

    fn last(&self) -> String {
        match *self {
            Self::Chain(steps) => format!("s{}", steps - 1),
            Self::Layers(layers, _) => format!("l{}", layers - 1),
        }
    }
}

/// Why writing cannot fail.
pub const TEXT: &str = "a text can be written to";
