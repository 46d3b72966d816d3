//! How much of a library is machine code, and how much is data.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::read::archive::ArchiveFile;
use object::{File, Object, ObjectSection, SectionKind};

/// Bytes of the functions and statics of one crate, without those of its dependencies.
#[derive(Clone, Copy, Default)]
pub(crate) struct Size {
    pub(crate) text: u64,
    /// Constants and statics, also those that take no room in the file.
    pub(crate) data: u64,
}

/// Adds up the object files in an `rlib`, which no linker has changed yet.
pub(crate) fn of(library: &Path) -> Result<Size> {
    let name = library.file_name().unwrap_or_default().display();
    let bytes = fs::read(library).with_context(|| format!("{name} cannot be read"))?;
    let size = sum(&bytes).with_context(|| format!("{name} is no library of objects"))?;
    ensure!(size.text > 0, "{name} has no machine code");
    Ok(size)
}

fn sum(bytes: &[u8]) -> object::Result<Size> {
    let mut size = Size::default();
    for member in ArchiveFile::parse(bytes)?.members() {
        let member = member?;
        // Beside the objects lies what the compiler knows of the crate.
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
