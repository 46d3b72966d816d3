//! Items used by generated code. They are not part of the public interface and may change at any time.

pub use std::boxed::Box;

pub use crate::call::{
    AsyncCall, Call, CallByResult, CallWithLabels, Ending, Entering, FeedTarget, KindsOf, NoKinds, NoResult, Part,
    Returned, Site, TrackedCall, cancelled, cancelled_with_results, create, exception_if, exceptions, in_flight, kind,
    kind_of, label, latency, measure, of_result, output, values,
};
pub use crate::declare::{FieldDeclaration, Global};
pub use crate::label_value::closed;
pub use crate::lint::{check_help, check_name, check_name_and_style};
#[cfg(feature = "process")]
pub use crate::process::{first_known, register as process_metrics};
pub use crate::registry::declared::{Declared, DeclaredRef, linked};
pub use crate::{__metrics_core_declared as declared, __metrics_core_site as site};

/// Reports that the macro requires a feature.
#[cfg(not(feature = "process"))]
#[doc(hidden)]
#[macro_export]
macro_rules! process_metrics {
    ($($any:tt)*) => {
        ::core::compile_error!(
            "`process_metrics!` needs the feature `process` of metrics-core: write `features = [\"process\"]` in Cargo.toml"
        )
    };
}
