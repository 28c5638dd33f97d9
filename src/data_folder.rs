//! The data folder: made when it is missing, checked before anything is begun, and the private files in it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use domain::platform::entropy::{Entropy, SystemEntropy};

use crate::exit::{Exit, Failure, Outcome};

/// The file that keeps secrets which were made here rather than configured.
const SECRETS: &str = "secrets";
/// Its one key so far.
const SANDBOX_WEBHOOK_SECRET: &str = "sandbox_webhook_secret";
/// Readable for its owner only: it grants access.
const PRIVATE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;

/// A folder that exists and can be written.
#[derive(Debug, Clone)]
pub(crate) struct DataFolder(PathBuf);

impl DataFolder {
    /// Makes the folder if it is missing, and tries to write into it.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        // For its owner only: it holds addresses, and letters with links that grant access.
        make_private(path)?;
        // Permission bits do not tell the whole truth (read-only mounts, quotas): only writing does.
        let probe = path.join(format!(".writable-{}", std::process::id()));
        let tried = File::create(&probe)
            .and_then(|mut file| file.write_all(b"x"))
            .and_then(|()| fs::remove_file(&probe));
        tried.map_err(|cause| Failure::writing(path, &cause))?;
        Ok(Self(path.to_owned()))
    }

    /// A path inside.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A folder inside, made if it is missing.
    pub(crate) fn make(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.join(name);
        make_private(&path)?;
        Ok(path)
    }

    /// Writes a private file in one step: whoever reads it sees the old text or the new one.
    pub(crate) fn write_private(&self, name: &str, text: &str) -> Outcome<PathBuf> {
        let path = self.join(name);
        let beside = self.join(&format!(".{name}-{}", std::process::id()));
        let written = create_private(&beside).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        });
        written.map_err(|cause| Failure::writing(&path, &cause))?;
        Ok(path)
    }

    /// Reads a file; `None` when it does not exist.
    pub(crate) fn read(&self, name: &str) -> Outcome<Option<String>> {
        let path = self.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => {
                let what = format!("`{}` cannot be read: {cause}", path.display());
                Err(Failure::new(
                    Exit::Failed,
                    what,
                    "Make it readable for this user, or remove it to have it made anew",
                ))
            }
        }
    }

    /// The sandbox gateway's webhook secret: kept since the first start, or made now.
    pub(crate) fn sandbox_webhook_secret(&self) -> Outcome<String> {
        let kept = self.read(SECRETS)?.unwrap_or_default();
        let mut table: toml::Table = kept.parse().map_err(|_| {
            let what = format!("`{}` is not TOML", self.join(SECRETS).display());
            Failure::new(
                Exit::Failed,
                what,
                "Restore it from a backup, or remove it to have new secrets made",
            )
        })?;
        if let Some(secret) = table.get(SANDBOX_WEBHOOK_SECRET).and_then(toml::Value::as_str) {
            return Ok(secret.to_owned());
        }
        let secret = SystemEntropy.secret("sr_whk").expose().to_owned();
        table.insert(SANDBOX_WEBHOOK_SECRET.to_owned(), toml::Value::String(secret.clone()));
        self.write_private(
            SECRETS,
            &format!("# Made by smallrun at its first start. Keep it private.\n{table}"),
        )?;
        Ok(secret)
    }
}

fn make_private(path: &Path) -> Outcome {
    let made = DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path);
    made.map_err(|cause| Failure::writing(path, &cause))
}

fn create_private(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE).open(path)?;
    // The mode above holds for a new file only.
    file.set_permissions(fs::Permissions::from_mode(PRIVATE))?;
    Ok(file)
}

/// The first bytes of a file; fewer when it is shorter.
pub(crate) fn first_bytes(path: &Path, count: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}
