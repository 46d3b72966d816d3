//! Annotated functions in a dynamic library, which a program links as a dylib or loads as a cdylib.

use std::num::ParseIntError;

use metrics_core::{Registry, instrument};

/// Returns the number in a text.
#[instrument(path in ["/a", "/b"], prefix = "plugin")]
pub fn handle(path: &str, text: &str) -> Result<usize, ParseIntError> {
    Ok(path.len() + text.parse::<usize>()?)
}

/// Panics unless this library's series are exported at 0 first, and with the correct counts afterward.
pub fn check() {
    metrics_core::init();
    let before = Registry::global().to_text();
    for path in ["/a", "/b", "other"] {
        assert!(before.contains(&format!("\nplugin_request_latency_seconds_count{{path=\"{path}\"}} 0\n")), "{before}");
    }
    handle("/a", "1").expect("a number");
    handle("/b", "no number").expect_err("not a number");
    let after = Registry::global().to_text();
    for series in ["latency_seconds_count{path=\"/a\"} 1", "exceptions_total{path=\"/b\"} 1"] {
        assert!(after.contains(&format!("\nplugin_request_{series}\n")), "{after}");
    }
}

/// The entry point for programs that load the library at run time. A panic aborts the program.
#[expect(unsafe_code, reason = "no other symbol of a program has this name")]
#[unsafe(no_mangle)]
pub extern "C" fn platform_plugin_check() {
    check();
}
