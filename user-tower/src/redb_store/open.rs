//! Opens a history file, making it or refusing one of another schema.

use std::path::Path;

use redb::{Builder, Database, DatabaseError, ReadableTable as _};
use tracing::warn;

use crate::redb_store::{OpenError, schema};

/// Opens the database, at the start and after each failure.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, OpenError> + Send>;

/// Opens or creates the file at `path`.
pub(super) fn file(path: &Path, cache_bytes: usize) -> Result<Database, OpenError> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|source| OpenError::Directory {
            path: dir.to_owned(),
            source,
        })?;
    }
    let name = path.to_owned();
    let database = Builder::new()
        .set_cache_size(cache_bytes)
        .set_repair_callback(move |_| {
            warn!(path = %name.display(), "the history was not closed; it is checked and repaired");
        })
        .create(path)
        .map_err(|cause| match cause {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
            cause => database_error(path, cause),
        })?;
    prepare(&database, path)?;
    Ok(database)
}

/// Makes the tables of a new database; refuses one of another schema.
pub(super) fn prepare(database: &Database, path: &Path) -> Result<(), OpenError> {
    let found = version(database).map_err(|cause| database_error(path, cause))?;
    if found != schema::VERSION {
        return Err(OpenError::Schema {
            found,
            expected: schema::VERSION,
        });
    }
    Ok(())
}

/// Returns the version of the schema, after making an empty database one of this version.
///
/// Always commits, so it also proves that the file can be written.
fn version(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let version = {
        let mut meta = transaction.open_table(schema::META)?;
        let found = meta.get("schema")?.map(|version| version.value());
        let version = found.unwrap_or(schema::VERSION);
        if version == schema::VERSION {
            meta.insert("schema", version)?;
            transaction.open_table(schema::EVENTS)?;
            transaction.open_table(schema::SEEN)?;
            transaction.open_table(schema::USERS)?;
            transaction.open_table(schema::PROFILES)?;
        }
        version
    };
    transaction.commit()?;
    Ok(version)
}

fn database_error(path: &Path, cause: impl Into<redb::Error>) -> OpenError {
    OpenError::Database {
        path: path.to_owned(),
        source: cause.into(),
    }
}
