//! A snapshot test of an expansion. `UPDATE_EXPECT=1 cargo test` updates the snapshot.

use expect_test::expect_file;
use quote::quote;

#[test]
fn method() {
    let expanded = super::expand(quote! {
        #[label(rename_all = "UPPERCASE")]
        pub(crate) enum Method {
            Get,
            Post,
            #[label(rename = "other")]
            Unknown,
        }
    });
    let file = syn::parse2(expanded).expect("the expansion parses");
    expect_file!["snapshots/method.rs"].assert_eq(&prettyplease::unparse(&file));
}
