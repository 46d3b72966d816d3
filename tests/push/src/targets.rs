//! The targets that use HTTP, behind one interface.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use metrics_core::{Counter, Otlp, PushError, Pusher, Pushgateway, Registry, RemoteWrite};

use crate::decode;
use crate::receiver::Request;

/// Returns a registry with one counter. Some targets do not send anything for an empty registry.
pub(crate) fn small_registry() -> Registry {
    let registry = Registry::new();
    Counter::builder("pushed_total", "Pushed.").register_in(&registry).expect("valid").inc();
    registry
}

/// A target that pushes over HTTP, with its options.
pub(crate) trait HttpTarget: Clone + Debug {
    /// The default name.
    const NAME: &'static str;

    /// Returns the value of `pushed_total` in a request, if the request has a value.
    fn total(request: &Request) -> Option<f64>;
    fn new(url: &str, registry: &Registry) -> Self;
    fn name(self, name: &str) -> Self;
    fn timeout(self, timeout: Duration) -> Self;
    fn header(self, name: &str, value: &str) -> Self;
    fn bearer_token(self, token: impl Fn() -> io::Result<String> + Send + Sync + 'static) -> Self;
    fn basic_auth(self, user: &str, password: impl Fn() -> io::Result<String> + Send + Sync + 'static) -> Self;
    fn allow_credentials_over_http(self) -> Self;
    fn root_certificates(self, pem: &str) -> Self;
    fn client_certificate(self, certificate: &str, key: &str) -> Self;
    fn push(&self) -> Result<(), PushError>;
    fn start(&self, interval: Duration) -> io::Result<Pusher>;
}

macro_rules! http_target {
    ($target:ident, $name:literal, $total:path, |$url:ident| $new:expr) => {
        impl HttpTarget for $target {
            const NAME: &'static str = $name;

            fn total(request: &Request) -> Option<f64> {
                $total(request)
            }
            fn new($url: &str, registry: &Registry) -> Self {
                $new.registry(registry)
            }
            fn name(self, name: &str) -> Self {
                $target::name(self, name)
            }
            fn timeout(self, timeout: Duration) -> Self {
                $target::timeout(self, timeout)
            }
            fn header(self, name: &str, value: &str) -> Self {
                $target::header(self, name, value)
            }
            fn bearer_token(self, token: impl Fn() -> io::Result<String> + Send + Sync + 'static) -> Self {
                $target::bearer_token(self, token)
            }
            fn basic_auth(self, user: &str, password: impl Fn() -> io::Result<String> + Send + Sync + 'static) -> Self {
                $target::basic_auth(self, user, password)
            }
            fn allow_credentials_over_http(self) -> Self {
                $target::allow_credentials_over_http(self)
            }
            fn root_certificates(self, pem: &str) -> Self {
                $target::root_certificates(self, pem)
            }
            fn client_certificate(self, certificate: &str, key: &str) -> Self {
                $target::client_certificate(self, certificate, key)
            }
            fn push(&self) -> Result<(), PushError> {
                $target::push(self)
            }
            fn start(&self, interval: Duration) -> io::Result<Pusher> {
                $target::start(self, interval)
            }
        }
    };
}

http_target!(Pushgateway, "pushgateway", decode::exposed_total, |url| Pushgateway::new(url, "batch"));
http_target!(RemoteWrite, "remote_write", decode::written_total, |url| RemoteWrite::new(url));
http_target!(Otlp, "otlp", decode::otlp_total, |url| Otlp::with_url(url));

/// Runs a test for each target.
macro_rules! for_each_target {
    ($($(#[$attribute:meta])* fn $test:ident<$target:ident>() $body:block)*) => {
        $(
            #[test]
            $(#[$attribute])*
            fn $test() {
                fn test<$target: HttpTarget>() $body
                test::<metrics_core::Pushgateway>();
                test::<metrics_core::RemoteWrite>();
                test::<metrics_core::Otlp>();
            }
        )*
    };
}
pub(crate) use for_each_target;
