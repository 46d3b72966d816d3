#![deny(warnings, missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
#![forbid(unsafe_code)]
//! A caller that denies all warnings, including clippy's pedantic lints.

use metrics_core::instrument;

/// An API with annotated methods.
pub struct Api(u8);

impl Api {
    /// Loads a value.
    ///
    /// # Errors
    ///
    /// Returns an error if `kind` is empty or not a number.
    #[instrument(kind)]
    #[must_use = "loaded for nothing"]
    #[inline]
    pub fn load(&mut self, kind: &str) -> Result<&mut u8, Box<dyn std::error::Error>> {
        if kind.is_empty() {
            return Err("no kind".into());
        }
        let _: u8 = kind.parse()?;
        Ok(&mut self.0)
    }

    /// Does nothing.
    #[instrument]
    pub fn nothing(&self) {}

    /// Loads a value asynchronously.
    #[instrument(kind, crate = ::metrics_core)]
    pub async fn load_later(&self, kind: String) -> usize {
        std::future::ready(()).await;
        kind.len() + usize::from(self.0)
    }

    /// Never returns.
    #[instrument("/never")]
    pub fn never(&self) -> ! {
        std::process::exit(0)
    }
}

fn main() {
    let mut api = Api(1);
    api.load("x").ok();
    api.nothing();
    drop(api.load_later(String::new()));
    api.never();
}
