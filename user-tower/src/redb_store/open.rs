//! Opens a history file, making it, migrating an older one, or refusing one of another schema.

use std::path::Path;

use redb::{Builder, Database, DatabaseError, ReadableTable as _};
use tracing::{error, info, warn};

use crate::redb_store::{OpenError, migrate, now, schema};

/// How far a repair has come when it begins, and when it has found the last commit whole or taken the one before, as redb tells it.
const BEGUN: f64 = 0.1;
const FALLEN_BACK: f64 = 0.5;

/// Opens the database, at the start and after each failure.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, OpenError> + Send>;

/// Opens or creates the file at `path`; an older one has everything by the MEMBERS of `epoch`.
pub(super) fn file(path: &Path, cache_bytes: usize, epoch: u64) -> Result<Database, OpenError> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|source| OpenError::Directory {
            path: dir.to_owned(),
            source,
        })?;
    }
    let name = path.to_owned();
    let mut database = Builder::new()
        .set_cache_size(cache_bytes)
        .set_repair_callback(move |repair| match repair.progress() {
            begins if begins < BEGUN => {
                warn!(path = %name.display(), "the history was not closed; it is checked");
            }
            // It comes here only where the checksums of the last commit do not hold.
            fails if fails < FALLEN_BACK => {
                error!(path = %name.display(), "the last commit of the history is damaged; what it recorded is lost, the one before is taken");
            }
            _ => {}
        })
        .create(path)
        .map_err(|cause| match cause {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
            cause => database_error(path, cause),
        })?;
    // A page that is read later is not compared with its checksum: what was damaged while nobody looked is found here or never.
    match database.check_integrity() {
        Ok(true) => {}
        Ok(false) => {
            warn!(path = %path.display(), "the history's own accounting did not hold and was made anew; nothing recorded was lost");
        }
        Err(cause) => return Err(database_error(path, cause)),
    }
    prepare(&database, path, epoch)?;
    Ok(database)
}

/// Makes the tables of a new database, brings those of an older schema to today's, and refuses any other.
pub(super) fn prepare(database: &Database, path: &Path, epoch: u64) -> Result<(), OpenError> {
    let found = version(database, epoch).map_err(|cause| database_error(path, cause))?;
    match found {
        schema::VERSION => Ok(()),
        found => Err(OpenError::Schema {
            found,
            expected: schema::VERSION,
        }),
    }
}

/// Returns the version of the schema, after making an empty or an older database one of this version.
///
/// Always commits, so it also proves that the file can be written.
fn version(database: &Database, epoch: u64) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let found = transaction
        .open_table(schema::META)?
        .get(schema::SCHEMA)?
        .map(|version| version.value());
    let version = match found {
        Some(1) => {
            info!(from = 1, to = schema::VERSION, "the history is migrated");
            migrate::from_1(&transaction, now(), epoch)?;
            schema::VERSION
        }
        found => found.unwrap_or(schema::VERSION),
    };
    if version == schema::VERSION {
        transaction
            .open_table(schema::META)?
            .insert(schema::SCHEMA, version)?;
        transaction.open_table(schema::EVENTS)?;
        transaction.open_table(schema::SEEN)?;
        transaction.open_table(schema::USERS)?;
        transaction.open_table(schema::PROFILES)?;
        transaction.open_table(schema::DELETED)?;
    }
    transaction.commit()?;
    Ok(version)
}

fn database_error(path: &Path, cause: impl Into<redb::Error>) -> OpenError {
    OpenError::Database {
        path: path.to_owned(),
        source: cause.into(),
    }
}
