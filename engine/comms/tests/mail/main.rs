//! Mail: what it looks like, and how it is brought by a real server.

mod delivery;
mod letter;
#[path = "../support/smtpd.rs"]
mod smtpd;
mod support;
