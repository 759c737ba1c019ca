//! One journal on disk: appended to, forced to the disk now and then.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use super::pcapng;

/// Journals show children: nobody but the node's own user may read them.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

const APPLICATION: &str = concat!("Kelian ", env!("CARGO_PKG_VERSION"));

/// Makes a folder with those above it, and returns its true path.
pub fn make_folder(path: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    fs::canonicalize(path)
}

/// Whether a key names a file below the folder of journals: plain names only, no way up.
pub fn is_key(key: &str) -> bool {
    !key.is_empty() && Path::new(key).components().all(|part| matches!(part, Component::Normal(_)))
}

pub struct JournalFile {
    pub key: String,
    /// Blocks that are not in the file yet.
    pub pending: Vec<u8>,
    /// Sources that are written here now.
    pub users: u32,
    pub interfaces: u32,
    path: PathBuf,
    /// What was there before is not ours: begin anew.
    fresh: bool,
    file: Option<File>,
    dirty: bool,
}

impl JournalFile {
    /// Nothing is made on disk before the first `write`.
    pub fn new(key: String, path: PathBuf, fresh: bool) -> Self {
        let mut pending = Vec::new();
        let folder = Path::new(&key).parent().and_then(Path::to_str).unwrap_or_default();
        pcapng::write_section_header(&mut pending, APPLICATION, folder);
        Self { key, pending, users: 0, interfaces: 0, path, fresh, file: None, dirty: false }
    }

    /// Writes what is pending, and returns how much that was. After an error the rest is still
    /// pending, and the next call goes on where this one stopped, within a block if need be.
    pub fn write(&mut self) -> io::Result<u64> {
        if self.interfaces == 0 || self.pending.is_empty() {
            return Ok(0); // a header alone makes no journal
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        let mut written = 0;
        let result = loop {
            match file.write(&self.pending[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if written == self.pending.len() {
                break Ok(written as u64);
            }
        };
        self.pending.drain(..written);
        self.dirty |= written > 0;
        self.file = Some(file);
        result
    }

    fn open(&mut self) -> io::Result<File> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let folder = make_folder(folder)?;
        let fresh = std::mem::take(&mut self.fresh);
        let mut options = OpenOptions::new();
        options.mode(FILE_MODE).create(true);
        let file = match fresh {
            true => options.write(true).truncate(true).open(&self.path)?,
            false => options.append(true).open(&self.path)?,
        };
        // The name, too, is to survive a power cut.
        File::open(folder)?.sync_all()?;
        Ok(file)
    }

    /// Forces what was written to the disk; closes the file when nobody is written to it.
    pub fn sync(&mut self) -> io::Result<()> {
        if let (true, Some(file)) = (self.dirty, &self.file) {
            file.sync_data()?;
            self.dirty = false;
        }
        if self.users == 0 && self.pending.is_empty() {
            self.file = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::scratch::Scratch;

    #[test]
    fn keys_lead_nowhere_else() {
        for key in ["lesson-1/20261124T103000Z-ab.pcapng", "a"] {
            assert!(is_key(key), "{key}");
        }
        for key in ["", "/etc/passwd", "../x", "a/../../x", "./a"] {
            assert!(!is_key(key), "{key}");
        }
    }

    #[test]
    fn a_file_is_made_with_its_first_interface_and_goes_on_after_it_was_closed() {
        let scratch = Scratch::new();
        let path = scratch.path().join("lesson/a.pcapng");
        let mut file = JournalFile::new("lesson/a.pcapng".into(), path.clone(), false);
        assert_eq!(file.write().unwrap(), 0);
        assert!(!path.exists());
        file.interfaces = 1;
        let header = file.pending.clone();
        file.write().unwrap();
        file.sync().unwrap();
        assert!(file.file.is_none(), "nobody is written");
        file.pending.extend_from_slice(b"more");
        file.write().unwrap();
        assert_eq!(fs::read(&path).unwrap(), [&header[..], b"more"].concat());
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
