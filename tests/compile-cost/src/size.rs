//! The size of a library's machine code and data.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::read::archive::ArchiveFile;
use object::{File, Object, ObjectSection, SectionKind};

/// The size in bytes of one crate's functions and statics, excluding its dependencies.
#[derive(Clone, Copy, Default)]
pub(crate) struct Size {
    pub(crate) text: u64,
    /// Constants and statics, including zero-initialized ones that take no space in the file.
    pub(crate) data: u64,
}

/// Adds up the section sizes of the object files in an `rlib`, before any linking.
pub(crate) fn of(library: &Path) -> Result<Size> {
    let name = library.file_name().unwrap_or_default().display();
    let bytes = fs::read(library).with_context(|| format!("could not read {name}"))?;
    let size = sum(&bytes).with_context(|| format!("could not parse {name}"))?;
    ensure!(size.text > 0, "{name} has no machine code");
    Ok(size)
}

fn sum(bytes: &[u8]) -> object::Result<Size> {
    let mut size = Size::default();
    for member in ArchiveFile::parse(bytes)?.members() {
        let member = member?;
        // The archive also contains the compiler's metadata.
        if member.name().ends_with(b".o") {
            add(&mut size, &File::parse(member.data(bytes)?)?);
        }
    }
    Ok(size)
}

fn add(size: &mut Size, object: &File<'_>) {
    for section in object.sections() {
        match section.kind() {
            SectionKind::Text => size.text += section.size(),
            SectionKind::Data
            | SectionKind::ReadOnlyData
            | SectionKind::ReadOnlyDataWithRel
            | SectionKind::ReadOnlyString
            | SectionKind::UninitializedData => size.data += section.size(),
            _ => {}
        }
    }
}
