//! Every kind of work, against real processes and real sockets on loopback.

mod authz;
mod command;
mod database;
mod fence_command;
mod http;
mod people;
mod server;
mod sql;
mod statuspage;
mod support;
mod verify;
