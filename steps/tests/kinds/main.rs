//! Every kind of work, against real processes and real sockets on loopback.

mod command;
mod fence_command;
mod http;
mod people;
mod server;
mod statuspage;
mod support;
mod verify;
