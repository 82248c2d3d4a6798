//! Drills, and the lab that they are rehearsed in.

pub mod lab;
