//! What a step leans on, on the machine that carries it out: named by its kind
//! while planning, so that somebody can look before it is too late.

/// Something that has to be on this machine when a step is carried out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A secret, as the runbook names it: `env:NAME` or `file:PATH`. Never its value.
    Secret(String),
    /// A file of certificates (PEM), relative to the runbook.
    Certificates(String),
    /// A program that is started.
    Program {
        /// A path, relative to `folder`, or a name that is looked up in `PATH`.
        name: String,
        /// The folder it is started in, relative to the runbook.
        folder: String,
        /// The `PATH` that the step sets for it.
        path: Option<String>,
    },
    /// The provider's own command line.
    ProviderCli,
    /// One of them that only a run can name.
    Later {
        /// What is needed, in a word: `program`.
        what: &'static str,
        /// What the runbook says of it, its references still in it.
        written: String,
    },
}
