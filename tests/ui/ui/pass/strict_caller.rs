#![deny(warnings, missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
#![forbid(unsafe_code)]
//! A caller that denies everything.

use metrics_core::instrument;

/// What can be loaded.
pub struct Api(u8);

impl Api {
    /// Loads.
    ///
    /// # Errors
    ///
    /// When asked to.
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

    /// Loads later.
    #[instrument(kind, crate = ::metrics_core)]
    pub async fn load_later(&self, kind: String) -> usize {
        std::future::ready(()).await;
        kind.len() + usize::from(self.0)
    }

    /// Never comes back.
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
