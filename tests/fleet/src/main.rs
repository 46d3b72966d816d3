//! Many replicas of a service with real receivers, during rolling restarts, kills, and failures of receivers.

mod fleet;
mod stores;
mod totals;
mod work;
