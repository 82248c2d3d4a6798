//! Mail: what it looks like, and how it is brought by a real server.

mod delivery;
mod letter;
mod support;
