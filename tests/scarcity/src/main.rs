//! Services that run out of threads, file descriptors, disk space, `/proc` or names, and recover without a restart.

#![cfg(target_os = "linux")]

mod descriptors;
mod missing;
mod service;
mod streams;
mod threads;
