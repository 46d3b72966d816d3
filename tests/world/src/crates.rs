//! The crates to test, with the features that enable most of their code.

/// A crate on crates.io.
pub(crate) struct Published {
    pub(crate) name: &'static str,
    /// The version requirement, in `Cargo.toml` syntax.
    pub(crate) version: &'static str,
    /// The cargo arguments that select features.
    pub(crate) features: &'static [&'static str],
}

const fn newest(name: &'static str, features: &'static [&'static str]) -> Published {
    Published { name, version: "*", features }
}

pub(crate) const CRATES: [Published; 20] = [
    newest("serde_json", &["--features", "raw_value,preserve_order"]),
    newest("indexmap", &[]),
    newest("itertools", &[]),
    Published { name: "nom", version: "8", features: &[] },
    newest("winnow", &[]),
    newest("petgraph", &[]),
    newest("bytes", &[]),
    newest("crossbeam-epoch", &[]),
    newest("tokio-util", &["--features", "full"]),
    newest("hyper-util", &["--features", "full"]),
    newest("tower", &["--features", "full"]),
    newest("axum", &[]),
    newest("object_store", &[]),
    newest("async-channel", &[]),
    Published { name: "bit-vec", version: "0.6", features: &[] },
    newest("async-trait", &[]),
    newest("regex-automata", &[]),
    newest("futures-util", &[]),
    newest("semver", &[]),
    newest("getopts", &[]),
];
