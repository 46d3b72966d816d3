//! The attributes to compare.

/// An attribute as its users write it.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    /// The only dependency in the manifest.
    pub(crate) dependency: &'static str,
    /// The attribute on each function. `{function}` is replaced with the function's name.
    pub(crate) attribute: &'static str,
}

/// The functions without an attribute, the baseline for all figures.
pub(crate) const PLAIN: &str = "plain";
/// This workspace's attribute.
pub(crate) const OURS: &str = "metrics-core";
/// The attribute that the budget uses as its reference.
pub(crate) const FASTRACE: &str = "fastrace";

pub(crate) const VARIANTS: [Variant; 6] = [
    Variant { name: PLAIN, dependency: "", attribute: "" },
    Variant {
        name: OURS,
        dependency: r#"metrics-core = { path = "../../../metrics-core" }"#,
        attribute: r#"#[metrics_core::instrument("/{function}")]"#,
    },
    Variant {
        name: FASTRACE,
        dependency: r#"fastrace = { version = "0.7", features = ["enable"] }"#,
        attribute: "#[fastrace::trace]",
    },
    Variant { name: "tracing", dependency: r#"tracing = "0.1""#, attribute: "#[tracing::instrument]" },
    Variant { name: "tracing-err", dependency: r#"tracing = "0.1""#, attribute: "#[tracing::instrument(err)]" },
    Variant {
        name: "autometrics",
        dependency: r#"autometrics = { version = "3", features = ["prometheus-exporter"] }"#,
        attribute: "#[autometrics::autometrics]",
    },
];
