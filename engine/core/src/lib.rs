//! The core of `dr`: a run is a list of events; `apply` folds events into a
//! state, `decide` turns a state into effects, and one small loop performs the
//! effects and writes down what happened.
//!
//! Nothing here opens a socket, starts a process or draws on a terminal.

pub mod attempt;
pub mod clock;
pub mod comms;
pub mod crash;
pub mod data_loss;
pub mod decide;
pub mod duration;
pub mod event;
pub mod executor;
mod fence;
pub mod forecast;
pub mod inbox;
pub mod inputs;
pub mod journal;
pub mod kind;
pub mod lease;
pub mod limits;
pub mod message;
pub mod need;
pub mod opened;
pub mod outcome;
pub mod phone;
pub mod picture;
pub mod plan;
pub mod problem;
pub mod question;
pub mod report;
pub mod run;
pub mod runbook;
pub mod state;
pub mod step;
pub mod template;
pub mod testing;
pub mod verify;
pub mod when;
pub mod yaml;
