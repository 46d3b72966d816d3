//! The plain and annotated copies of a crate's published source.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use walkdir::WalkDir;

use crate::annotate::annotate;
use crate::cargo::{self, Package};
use crate::crates::Published;

/// The plain and annotated copies of a crate.
pub(crate) struct Copies {
    folder: PathBuf,
    published: &'static [&'static str],
    version: String,
    functions: usize,
}

impl Copies {
    /// Downloads the source and creates both copies, replacing existing copies.
    pub(crate) fn make(published: &Published, folder: &Path) -> Result<Self> {
        let folder = folder.join(published.name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let (source, version, edition) = download(published, &folder.join("fetch"))?;
        let mut copies = Self { folder, published: published.features, version, functions: 0 };
        for name in ["plain", "annotated"] {
            copy(&source, &copies.folder.join(name))?;
            copies.prepare_manifest(name)?;
        }
        copies.functions = copies.annotate(edition == "2015")?;
        Ok(copies)
    }

    pub(crate) fn plain(&self) -> Package {
        self.package("plain")
    }

    pub(crate) fn annotated(&self) -> Package {
        self.package("annotated")
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Returns the number of annotated functions.
    pub(crate) fn functions(&self) -> usize {
        self.functions
    }

    fn package(&self, name: &str) -> Package {
        Package::new(self.folder.join(name), self.folder.join("../target"), self.published)
    }

    /// Adds the library to the dependencies. Both copies depend on it so that they differ only in the attribute.
    fn prepare_manifest(&self, name: &str) -> Result<()> {
        let path = self.folder.join(name).join("Cargo.toml");
        let mut manifest = fs::read_to_string(&path)?;
        let library = fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../metrics-core"))?;
        manifest += &format!(
            "\n[dependencies.metrics-core]\npath = {:?}\ndefault-features = false\nfeatures = [\"macros\"]\n\n[workspace]\n",
            library
        );
        fs::write(&path, manifest)?;
        let _ = fs::remove_file(self.folder.join(name).join("Cargo.lock"));
        Ok(())
    }

    fn annotate(&self, needs_extern_crate: bool) -> Result<usize> {
        let mut functions = 0;
        let root = self.folder.join("annotated/src");
        for file in WalkDir::new(&root) {
            let file = file?;
            if file.path().extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let source = fs::read_to_string(file.path())?;
            match annotate(&source) {
                Ok((mut annotated, added)) => {
                    if needs_extern_crate && file.path() == root.join("lib.rs") {
                        annotated += "\nextern crate metrics_core;\n";
                    }
                    fs::write(file.path(), annotated)?;
                    functions += added;
                }
                Err(error) => eprintln!("{} is not annotated: {error}", file.path().display()),
            }
        }
        Ok(functions)
    }
}

/// Downloads a crate and returns its source folder, version and edition.
fn download(published: &Published, folder: &Path) -> Result<(PathBuf, String, String)> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"fetch\"\nedition = \"2024\"\n\n[dependencies]\n{} = {:?}\n\n[workspace]\n",
        published.name, published.version
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let metadata = cargo::metadata(folder)?;
    let packages = metadata["packages"].as_array().context("cargo lists no packages")?;
    let package = packages
        .iter()
        .find(|package| package["name"] == published.name)
        .context("the crate is not in the registry")?;
    let text =
        |key: &str| package[key].as_str().map(str::to_owned).with_context(|| format!("the metadata has no {key}"));
    let manifest = PathBuf::from(text("manifest_path")?);
    Ok((manifest.parent().context("the manifest has no folder")?.to_owned(), text("version")?, text("edition")?))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Parses JSON printed by cargo.
pub(crate) fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}
