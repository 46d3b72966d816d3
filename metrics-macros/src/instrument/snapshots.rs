//! Snapshot tests of expansions, formatted like `cargo expand` output.
//!
//! `UPDATE_EXPECT=1 cargo test` updates the snapshots.

use std::fmt::Write as _;

use expect_test::{ExpectFile, expect_file};
use proc_macro2::TokenStream;
use quote::quote;

fn check(args: TokenStream, item: TokenStream, expected: &ExpectFile) {
    let expanded = super::expand(args, item);
    expected.assert_eq(&with_formatted_sites(&prettyplease::unparse(&syn_full(&expanded))));
}

/// Formats the arguments of `site!`, which `prettyplease` wraps like text.
fn with_formatted_sites(text: &str) -> String {
    let mut lines = text.lines();
    let mut formatted = String::new();
    while let Some(line) = lines.next() {
        if !line.ends_with("::site!(") {
            writeln!(formatted, "{line}").expect("memory");
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_inside = |line: &&str| *line != format!("{indent});");
        let arguments: Vec<_> = lines.by_ref().take_while(is_inside).collect();
        let call = format!("const S: S = site({});", arguments.join("\n"));
        let call = prettyplease::unparse(&syn::parse_file(&call).expect("a call"));
        for (at, inside) in call.lines().enumerate() {
            if at == 0 { writeln!(formatted, "{line}") } else { writeln!(formatted, "{indent}{inside}") }
                .expect("memory");
        }
    }
    formatted
}

fn syn_full(tokens: &TokenStream) -> syn::File {
    syn::parse2(tokens.clone()).unwrap_or_else(|error| panic!("{error}: {tokens}"))
}

#[test]
fn route_request() {
    check(
        quote! { path in HANDLERS.keys() },
        quote! {
            fn route_request(path: &str, request: Request) -> Result<Response, RouteError> {
                let handler = HANDLERS.get(path).ok_or(RouteError)?;
                handler(request)
            }
        },
        &expect_file!["snapshots/route_request.rs"],
    );
}

#[test]
fn async_handler_with_a_fixed_path() {
    check(
        quote! { "/foo", prefix = "my_service" },
        quote! {
            async fn foo(request: Request) -> Result<Response, FooError> {
                Ok(Response::new(load(request).await?))
            }
        },
        &expect_file!["snapshots/async_handler.rs"],
    );
}

#[test]
fn method_without_labels() {
    check(
        quote! {},
        quote! {
            pub fn load(&mut self, key: u64) -> Option<&mut Entry> {
                self.entries.get_mut(&key)
            }
        },
        &expect_file!["snapshots/method.rs"],
    );
}

#[test]
fn families_of_statics() {
    check(
        quote! {
            path = request.path(), method = request.method(), latency = METRICS.request_latency_seconds,
            exceptions = METRICS.request_exceptions_total, in_flight,
            exception_if = |out: &Response| out.status() >= 500
        },
        quote! {
            fn route(request: &Request) -> Response {
                answer(request)
            }
        },
        &expect_file!["snapshots/families_of_statics.rs"],
    );
}

#[test]
fn families_of_self() {
    check(
        quote! { kind, latency = self.metrics.latency, exceptions = self.metrics.exceptions },
        quote! {
            fn run(&self, kind: Kind) -> Result<(), JobError> {
                self.queue(kind).pop()?.run()
            }
        },
        &expect_file!["snapshots/families_of_self.rs"],
    );
}

#[test]
fn all_other_options() {
    check(
        quote! {
            path = request.path() in ["/foo", "/bar"], open, method in METHODS, zone = "eu",
            histogram, buckets(0.01, 0.1, 1), max_series = 100, crate = my::metrics
        },
        quote! {
            fn route(request: &Request, method: &str) -> impl Iterator<Item = u8> {
                bytes(request, method)
            }
        },
        &expect_file!["snapshots/all_other_options.rs"],
    );
}

#[test]
fn kinds_and_labels_from_the_result() {
    check(
        quote! { path, kind, status = |out| status_of(out) in STATUSES, crate = metrics },
        quote! {
            fn route(path: &str, request: Request) -> Result<Response, RouteError> {
                answer(path, request)
            }
        },
        &expect_file!["snapshots/kinds.rs"],
    );
}

#[test]
fn boxed_future() {
    check(
        quote! { path = self.path },
        quote! {
            fn load<'a>(&'a self, key: u64) -> Pin<Box<dyn Future<Output = Result<Entry, LoadError>> + Send + 'a>> {
                Box::pin(async move { self.store.get(key).await })
            }
        },
        &expect_file!["snapshots/boxed_future.rs"],
    );
}

#[test]
fn future_of_some_type() {
    check(
        quote! { "/load" },
        quote! {
            fn load(&self, key: u64, then: Callback) -> impl Future<Output = Entry> + use<> {
                self.store.load(key, then)
            }
        },
        &expect_file!["snapshots/future_of_some_type.rs"],
    );
}

#[test]
fn arguments_that_are_dropped() {
    check(
        quote! { "/keep" },
        quote! {
            fn keep(first: Guard, name: &str, second: Guard) -> usize {
                second.len() + first.len() + name.len()
            }
        },
        &expect_file!["snapshots/arguments_that_are_dropped.rs"],
    );
}

#[test]
fn impl_block() {
    check(
        quote! { prefix = "shop" },
        quote! {
            impl Shop {
                const LIMIT: usize = 3;

                pub fn put(&mut self, item: Item) -> Result<(), Full> {
                    self.room()?.push(item);
                    Ok(())
                }

                #[instrument(skip)]
                fn room(&mut self) -> Result<&mut Vec<Item>, Full> {
                    Ok(&mut self.items)
                }
            }
        },
        &expect_file!["snapshots/impl_block.rs"],
    );
}

/// Measures the code that the attribute adds to a typical function.
#[test]
fn a_typical_function_grows_by_less_than_800_bytes() {
    let cases = [
        (
            include_str!("snapshots/route_request.rs"),
            "fn route_request(path: &str, request: Request) -> Result<Response, RouteError> {\n    let handler = HANDLERS.get(path).ok_or(RouteError)?;\n    handler(request)\n}\n",
        ),
        (
            include_str!("snapshots/async_handler.rs"),
            "async fn foo(request: Request) -> Result<Response, FooError> {\n    Ok(Response::new(load(request).await?))\n}\n",
        ),
        (
            include_str!("snapshots/method.rs"),
            "pub fn load(&mut self, key: u64) -> Option<&mut Entry> {\n    self.entries.get_mut(&key)\n}\n",
        ),
    ];
    for (expanded, plain) in cases {
        assert!(expanded.len() - plain.len() < 800, "{} bytes more than\n{plain}", expanded.len() - plain.len());
    }
}

#[test]
fn an_expansion_is_the_same_each_time() {
    let item = quote! {
        async fn route(first: Guard, path: &str, _second: Guard) -> Result<Response, RouteError> {
            answer(first, path).await
        }
    };
    let args = quote! { path, kind, status = |out| status_of(out) in STATUSES };
    let first = super::expand(args.clone(), item.clone()).to_string();
    assert!((0..100).all(|_| super::expand(args.clone(), item.clone()).to_string() == first));
}

#[test]
fn never_returns() {
    check(
        quote! { "/loop" },
        quote! {
            fn serve() -> ! {
                loop { step(); }
            }
        },
        &expect_file!["snapshots/never_returns.rs"],
    );
}

#[test]
fn an_item_that_does_not_parse_is_emitted_unchanged() {
    let half_typed = quote! { fn half(request: Request) -> Result< { request. } };
    assert_eq!(super::expand(quote! { path }, half_typed.clone()).to_string(), half_typed.to_string());
}

#[test]
fn a_block_that_does_not_parse_is_emitted_without_the_attributes_in_it() {
    let half_typed = quote! { impl Api { #[instrument(skip)] fn half(request: Request) -> Result< { request. } #[inline] fn whole() {} } };
    let expected = quote! { impl Api { fn half(request: Request) -> Result< { request. } #[inline] fn whole() {} } };
    assert_eq!(super::expand(quote! { path }, half_typed).to_string(), expected.to_string());
}

#[test]
fn the_guide_shows_the_snapshot() {
    let guide = include_str!("../../../metrics-core/src/guide/expansion.md");
    let block = guide.split("```rust,ignore\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let code: String = block.split_inclusive('\n').filter(|line| !line.trim_start().starts_with("// ")).collect();
    assert_eq!(code, include_str!("snapshots/route_request.rs"));
}
