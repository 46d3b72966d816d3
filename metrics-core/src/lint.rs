//! Rules for names that can be checked while the user's crate is compiled.

use crate::sample::Kind;

/// Checks the name of a field of a derived struct; its panic is the compiler's message.
///
/// # Panics
///
/// Where a rule is broken, while constants are evaluated.
pub const fn check_name(kind: Kind, name: &str, has_buckets: bool) {
    let is_total = ends_with(name, "_total");
    let is_counter = matches!(kind, Kind::Counter);
    assert!(
        is_total || !is_counter,
        "the name of a counter ends in `_total`: rename the field, or write `rename = \"..\"`"
    );
    assert!(
        is_counter || !is_total,
        "only the name of a counter ends in `_total`: rename the field, or make it a `Counter`"
    );
    assert!(
        !ends_with(name, "_count") && !ends_with(name, "_sum") && !ends_with(name, "_bucket"),
        "names that end in `_count`, `_sum` or `_bucket` are those of a summary's or histogram's samples: rename the field"
    );
    assert!(
        !ends_with(name, "_created") && !ends_with(name, "_info"),
        "names that end in `_created` or `_info` have a meaning of their own in OpenMetrics: rename the field"
    );
    assert!(!has_buckets || matches!(kind, Kind::Histogram), "only a `Histogram` has buckets: remove `buckets`");
}

const fn ends_with(name: &str, suffix: &str) -> bool {
    let (name, suffix) = (name.as_bytes(), suffix.as_bytes());
    if name.len() < suffix.len() {
        return false;
    }
    let mut at = 0;
    while at < suffix.len() {
        if name[name.len() - suffix.len() + at] != suffix[at] {
            return false;
        }
        at += 1;
    }
    true
}
