//! The states of a state set must be a closed set.

use metrics_core::StateSet;

fn main() {
    StateSet::<String>::builder("state", "The state.").register();
}
