//! What the simulated tests share: a fake world, steps that follow a script,
//! and a loop that can lose its power.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of it")]

pub mod random;
pub mod script;
pub mod sim;
pub mod tell;
