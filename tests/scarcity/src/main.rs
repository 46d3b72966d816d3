//! Services that lose threads, file descriptors, disk space, `/proc` or name resolution, and recover without a restart.

#![cfg(target_os = "linux")]

mod descriptors;
mod missing;
mod service;
mod streams;
mod threads;
