//! The families of annotated functions and layers, grouped by prefix.
//!
//! The groups are found by name, so they include families that other code declares under the same names.

use std::collections::BTreeSet;

/// The families of the annotated functions and layers with one prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group<'a> {
    pub(crate) prefix: &'a str,
    /// The unit of work: `request`, or `function` if the functions have no labels.
    pub(crate) work: &'static str,
    pub(crate) latency: &'a str,
    pub(crate) exceptions: Option<&'a str>,
    pub(crate) cancelled: Option<&'a str>,
    pub(crate) in_flight: Option<&'a str>,
    /// The requests by status, which only layers count.
    pub(crate) responses: Option<&'a str>,
}

impl Group<'_> {
    /// Returns true if a family of this name belongs to the group.
    pub(crate) fn contains(&self, name: &str) -> bool {
        let others = [self.exceptions, self.cancelled, self.in_flight, self.responses];
        self.latency == name || others.into_iter().flatten().any(|other| other == name)
    }
}

/// Returns the groups among these names of families, sorted by prefix.
pub(crate) fn groups<'a>(names: &BTreeSet<&'a str>) -> Vec<Group<'a>> {
    let of_latency = |latency: &'a str| {
        let (work, prefix) = ["request", "function"].into_iter().find_map(|work| {
            let prefix = latency.strip_suffix("_latency_seconds")?.strip_suffix(work)?.strip_suffix('_')?;
            Some((work, prefix))
        })?;
        let named = |rest: &str| names.get(format!("{prefix}_{rest}").as_str()).copied();
        Some(Group {
            prefix,
            work,
            latency,
            exceptions: named(&format!("{work}_exceptions_total")),
            cancelled: named(&format!("{work}_cancelled_total")),
            in_flight: named(&format!("{work}s_in_flight")),
            responses: named("responses_total").filter(|_| work == "request"),
        })
    };
    let mut groups: Vec<Group<'a>> = names.iter().copied().filter_map(of_latency).collect();
    groups.sort_unstable();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_grouped_by_prefix_and_work() {
        let names = [
            "shop_function_latency_seconds",
            "shop_request_exceptions_total",
            "shop_request_latency_seconds",
            "shop_requests_in_flight",
            "shop_responses_total",
            "other_request_exceptions_total",
            "_request_latency_seconds",
            "request_latency_seconds",
        ];
        let names = names.into();
        let [unnamed, function, request] = groups(&names)[..] else { panic!("{:?}", groups(&names)) };
        assert_eq!((unnamed.prefix, unnamed.work, unnamed.exceptions), ("", "request", None));
        assert_eq!((function.prefix, function.work, function.responses), ("shop", "function", None));
        let expected = Group {
            prefix: "shop",
            work: "request",
            latency: "shop_request_latency_seconds",
            exceptions: Some("shop_request_exceptions_total"),
            cancelled: None,
            in_flight: Some("shop_requests_in_flight"),
            responses: Some("shop_responses_total"),
        };
        assert_eq!(request, expected);
    }
}
