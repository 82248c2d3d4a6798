//! What `dr` says of a recovery, to whom, when, and by which channel.
//!
//! What is said follows from the journal alone. An update is made once, from
//! the events up to a moment, and frozen: every channel shows the same facts,
//! and a repeat after a failure is the same message. Delivery keeps its own
//! account of what has arrived where; it never holds a recovery up.

pub mod blocks;
pub mod book;
pub mod channel;
pub mod dead_man;
pub mod files;
pub mod heartbeat;
mod lane;
pub mod mail;
pub mod pace;
pub mod parcel;
pub mod post;
pub mod secret;
pub mod slack;
pub mod sms;
pub mod statuspage;
pub mod template;
pub mod update;
