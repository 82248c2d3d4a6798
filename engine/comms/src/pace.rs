//! When something is told.
