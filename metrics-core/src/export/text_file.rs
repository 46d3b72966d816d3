//! The push target for text files, such as those that the textfile collector of `node_exporter` reads.
//!
//! A push writes a temporary file in the same directory and renames it, so that a reader sees either the previous file
//! or the new one, never a partial one. The new file reaches the disk before the rename; otherwise, a system crash
//! could leave an empty file. A push that fails removes its temporary file. A process that is killed during a push
//! cannot remove its file, so the first push of a process removes old temporary files.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::push::options::{PushOptions, push_methods};
use super::push::{PushContext, PushTarget};
use crate::encode::{Encoding, Format};
use crate::per_process;

/// The number of bytes to buffer before writing.
const CHUNK: usize = 64 * 1_024;
/// The age after which a temporary file is assumed to belong to a process that was killed.
const ABANDONED: Duration = Duration::from_secs(3_600);

/// Writes a registry's metrics to a file in the text format, for the textfile collector of `node_exporter`.
///
/// The file is replaced atomically: a reader sees either the previous metrics or the current ones. All users can read
/// the file (mode 0644). If a push fails, for example because the disk is full, the previous file remains.
///
/// `node_exporter` reads the files of a directory whose names end in `.prom`. It exports the modification time of each
/// file as `node_textfile_mtime_seconds`, so that an alert can detect a job that no longer writes. The text format does
/// not contain exemplars, native histograms or creation times. If several files contain the same family, its help text
/// must be the same in all of them.
///
/// # Example: a batch job
///
/// ```
/// use metrics_core::{Counter, TextFile};
///
/// # let directory = std::env::temp_dir().join(format!("metrics-core-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// let rows = Counter::builder("import_rows_total", "Imported rows.").register();
/// rows.inc_by(1_200_u64);
/// // For example "/var/lib/node_exporter/import.prom".
/// let path = directory.join("import.prom");
/// TextFile::new(&path).push()?;
/// assert!(std::fs::read_to_string(&path)?.contains("import_rows_total 1200\n"));
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is written until `start` or `push` is called"]
pub struct TextFile {
    target: Target,
    options: PushOptions,
}

/// The push target: the path of the file.
#[derive(Clone, Debug)]
struct Target {
    name: String,
    path: PathBuf,
    has_cleaned_up: bool,
}

impl TextFile {
    /// Creates a target that writes to this path. The directory must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let target = Target { name: "text_file".to_owned(), path: path.into(), has_cleaned_up: false };
        Self { target, options: PushOptions::default() }
    }
}

push_methods!(TextFile, default name: "text_file");

impl Target {
    fn check(&self) -> io::Result<()> {
        self.directory_and_name().map(drop)
    }

    /// Returns the directory and the name of the file.
    fn directory_and_name(&self) -> io::Result<(&Path, &OsStr)> {
        let directory =
            self.path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
        match (directory, self.path.file_name()) {
            (Some(directory), Some(name)) => Ok((directory, name)),
            _ => {
                let message = format!(
                    "{} is not the path of a file; write a path such as /var/lib/metrics/app.prom",
                    self.path.display()
                );
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
        }
    }

    /// Writes the metrics to `temporary`, and moves it to the target's path.
    fn replace(&self, mut file: File, temporary: &Path, push: &PushContext<'_>) -> io::Result<()> {
        let mut encoding = Encoding::new(push.scrape().begin(), Format::Text);
        let mut has_more = true;
        while has_more {
            has_more = encoding.fill(CHUNK, &|_, _| true);
            if encoding.out().len() >= CHUNK || !has_more {
                push.time_left()?;
                file.write_all(encoding.out())?;
                encoding.out().clear();
            }
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The mode of a new file depends on the umask of the process.
            file.set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        file.sync_all()?;
        drop(file);
        fs::rename(temporary, &self.path)
    }
}

impl PushTarget for Target {
    fn name(&self) -> &str {
        &self.name
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (directory, name) = self.directory_and_name()?;
        if !self.has_cleaned_up {
            remove_abandoned(directory, name);
        }
        // Another process, or another pusher of this one, may write the same file at the same time. In containers,
        // processes often have the same ID.
        let unique = format!("{:016x}", RandomState::new().hash_one(per_process::id()));
        let temporary = directory.join(temporary_name(name, &unique));
        let file = File::options().write(true).create_new(true).open(&temporary);
        let file = file.map_err(|error| self.failed_to_create(directory, &error))?;
        let written = self.replace(file, &temporary, push);
        if written.is_err() {
            fs::remove_file(&temporary).ok();
        }
        self.has_cleaned_up = true;
        Ok(written.map_err(|error| self.failed(&error))?)
    }
}

impl Target {
    fn failed(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("cannot write {}: {error}", self.path.display()))
    }

    fn failed_to_create(&self, directory: &Path, error: &io::Error) -> io::Error {
        if error.kind() != io::ErrorKind::NotFound {
            return self.failed(error);
        }
        let (path, directory) = (self.path.display(), directory.display());
        io::Error::new(error.kind(), format!("cannot write {path}: the directory {directory} does not exist"))
    }
}

/// Returns the name of a temporary file. `node_exporter` ignores it, because it does not end in `.prom`.
fn temporary_name(name: &OsStr, unique: &str) -> OsString {
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{unique}.tmp"));
    temporary
}

/// Removes the temporary files for `name` that processes left behind when they were killed.
fn remove_abandoned(directory: &Path, name: &OsStr) {
    let prefix = format!(".{}.", name.to_string_lossy());
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let file = file.to_string_lossy();
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if file.starts_with(&prefix) && file.ends_with(".tmp") && age().is_some_and(|age| age > ABANDONED) {
            fs::remove_file(entry.path()).ok();
        }
    }
}
