//! Snapshot tests of expansions. `UPDATE_EXPECT=1 cargo test` updates the snapshots.

use expect_test::expect_file;
use quote::quote;

#[test]
fn shop() {
    let expanded = super::expand(quote! {
        #[metrics(prefix = "shop", const_labels(zone = "eu"), global)]
        pub struct ShopMetrics {
            /// Time to answer
            /// a request to the shop.
            ///
            /// More about it.
            #[metric(labels(path: &str, method: Method), buckets(0.1, 1), native, max_series = 100)]
            pub request_latency_seconds: Family<Histogram, 2>,
            /// Items in all baskets.
            #[metric(rename = "basket_items", unit = "items")]
            basket: Gauge,
            /// Sizes of uploads.
            #[metric(quantiles(0.5, 0.99))]
            upload_size_bytes: Summary,
            #[metric(flatten)]
            db: DbMetrics,
            #[metric(flatten, prefix = "replica", const_labels(role = "replica"))]
            replica: DbMetrics,
        }
    });
    let file = syn::parse2(expanded).unwrap_or_else(|error| panic!("{error}"));
    expect_file!["snapshots/shop.rs"].assert_eq(&prettyplease::unparse(&file));
}
