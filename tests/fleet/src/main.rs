//! Many replicas of a service under real receivers, with rolling restarts, kills, and receivers that fail.

mod fleet;
mod stores;
mod totals;
mod work;
