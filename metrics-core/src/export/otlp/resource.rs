//! The resource: attributes that describe the process, and that receivers attach to all of its series.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::environment::Environment;
use super::fields::push_attribute;
use crate::per_process::{self, PerProcess};

const INSTANCE: &str = "service.instance.id";

/// The attributes of a resource. All values are strings.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    attributes: BTreeMap<String, String>,
}

impl Resource {
    /// Returns the attributes that the environment defines, and the defaults of the others.
    pub(super) fn new(environment: &Environment<'_>) -> Self {
        let mut attributes: BTreeMap<String, String> = [
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.name", env!("CARGO_PKG_NAME")),
            ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        attributes.extend(environment.pairs("OTEL_RESOURCE_ATTRIBUTES"));
        if let Some(name) = environment.get("OTEL_SERVICE_NAME") {
            attributes.insert("service.name".to_owned(), name);
        }
        attributes.entry("service.name".to_owned()).or_insert_with(unknown_service);
        Self { attributes }
    }

    pub(super) fn set(&mut self, key: String, value: String) {
        self.attributes.insert(key, value);
    }

    /// Returns the attributes as the repeated field `Resource.attributes`.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in &self.attributes {
            push_attribute(&mut out, 1, key, value);
        }
        // Added here, because a forked child's ID differs from that of the process that created the resource.
        if !self.attributes.contains_key(INSTANCE) {
            push_attribute(&mut out, 1, INSTANCE, &instance_id());
        }
        out
    }
}

/// Returns the default name of a service, as the specification of OpenTelemetry defines it.
fn unknown_service() -> String {
    let path = env::current_exe().ok();
    match path.as_deref().and_then(Path::file_name) {
        Some(executable) => format!("unknown_service:{}", executable.to_string_lossy()),
        None => "unknown_service".to_owned(),
    }
}

/// Returns the random ID of this process.
fn instance_id() -> String {
    static ID: PerProcess<RandomUuid> = PerProcess::new();
    ID.get().0.clone()
}

/// A version 4 UUID, derived from the random keys of the standard library's hash maps.
struct RandomUuid(String);

impl Default for RandomUuid {
    fn default() -> Self {
        // The keys of a child differ from those of its parent only by a counter, so the process ID is added.
        let random = || RandomState::new().hash_one((per_process::id(), std::time::SystemTime::now()));
        let bits = u128::from(random()) << 64 | u128::from(random());
        // The version and the variant.
        let bits = bits & !(0xF << 76 | 0b11 << 62) | 0x4 << 76 | 0b10 << 62;
        let mut text = String::new();
        for (at, byte) in bits.to_be_bytes().into_iter().enumerate() {
            let dash = if [4, 6, 8, 10].contains(&at) { "-" } else { "" };
            write!(text, "{dash}{byte:02x}").unwrap_or_default();
        }
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        let variable =
            |name: &str| variables.iter().find(|(one, _)| *one == name).map(|(_, value)| (*value).to_owned());
        Resource::new(&Environment { variable: &variable }).attributes
    }

    #[test]
    fn the_environment_replaces_defaults() {
        let defaults = resource(&[]);
        assert_eq!(defaults["telemetry.sdk.name"], "metrics-core");
        assert_eq!(defaults["telemetry.sdk.language"], "rust");
        assert_eq!(defaults["telemetry.sdk.version"], env!("CARGO_PKG_VERSION"));
        let name = defaults["service.name"].strip_prefix("unknown_service:").expect("the executable");
        assert!(name.starts_with("metrics_core-"), "{name}");
        let named = resource(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,deployment.environment.name=a%2Cb")]);
        assert_eq!((&*named["service.name"], &*named["deployment.environment.name"]), ("shop", "a,b"));
        let named = resource(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop"), ("OTEL_SERVICE_NAME", "till")]);
        assert_eq!(named["service.name"], "till");
    }

    #[test]
    fn the_id_of_a_process_is_a_random_uuid() {
        assert_eq!(instance_id(), instance_id());
        let ids = [(); 100].map(|()| RandomUuid::default().0);
        for id in &ids {
            let parts: Vec<&str> = id.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
            assert!(parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit())), "{id}");
            assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
        }
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
    }
}
