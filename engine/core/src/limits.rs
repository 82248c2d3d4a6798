//! Every limit has a name, and they stand here.

use crate::duration::Dur;

/// How many steps run at the same time, unless `--parallel` says otherwise.
pub const PARALLEL_MAX: usize = 100;
/// How long an attempt may take, unless the runbook says otherwise.
pub const TIMEOUT: Dur = Dur(2 * 60 * 60 * 1000);
/// How long a `check` that fails (not one that cannot tell) is repeated.
pub const CHECK_TIMEOUT: Dur = Dur(2 * 60 * 1000);
/// A stretch in which `verify` looked this much later than it meant to was not watched.
pub const UNWATCHED_MAX: Dur = Dur(10_000);
/// `dr done` waits this long for the step's `check` to prove it; the loop waits with it.
pub const PROOF_TIMEOUT: Dur = Dur(5_000);
/// How long a fence that was proven is looked at again, before another writer is made.
pub const FENCE_LOOK: Dur = Dur(15_000);
/// How long the look of a fence that fails is repeated: its region may be gone, and then
/// people decide, while the clock runs.
pub const FENCE_PATIENCE: Dur = Dur(20_000);
/// The pause between two looks of a `check` that fails.
pub const CHECK_PAUSE: Dur = Dur(2_000);
/// The pause before a step whose `check` cannot tell is looked at again.
pub const UNKNOWN_PAUSE: Dur = Dur(30_000);
/// How often a fence that could not be set is tried again.
pub const FENCE_PAUSE: Dur = Dur(60_000);
/// A controller that has not read its own epoch for this long sends no mutating call.
pub const LEASE: Dur = Dur(15_000);
/// How often the inbox is looked at.
pub const INBOX_PAUSE: Dur = Dur(100);
/// The longest gap between two looks at a provider.
pub const POLL_GAP_MAX: Dur = Dur(10_000);
/// The shortest gap between two looks at a provider, unless the settings say otherwise.
pub const POLL_GAP_MIN: Dur = Dur(1_000);
/// The longest output of a step, as JSON.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// How deep runbooks include each other.
pub const INCLUDE_DEPTH_MAX: usize = 16;
/// How many runbooks one plan reads.
pub const INCLUDES_MAX: usize = 1_000;
/// The most steps of a plan.
pub const STEPS_MAX: usize = 200_000;
/// The longest condition: the library behind it panics on absurd nesting.
pub const WHEN_BYTES_MAX: usize = 1024;
/// Brackets that a condition may open: each costs the library's parser up to
/// 200 KiB of stack, and an overflow of the stack is the end of a process.
pub const WHEN_BRACKETS_MAX: usize = 32;
/// The stack on which a condition is read.
pub const WHEN_STACK_BYTES: usize = 16 << 20;
/// The longest text of an error that is kept.
pub const ERROR_BYTES_MAX: usize = 4 * 1024;
