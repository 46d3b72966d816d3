//! Ways out of the process: the only place that does I/O.

pub(crate) mod http;
