//! Migrations: files inside of the program, what the database says it has applied, and what that means.

use sha2::{Digest, Sha256};

use crate::error::SqlError;

/// One file of `migrations/`. A released one is never changed: its checksum stands in databases.
pub(crate) struct Migration {
    pub version: i64,
    pub name: &'static str,
    pub sql: &'static str,
}

impl Migration {
    pub fn checksum(&self) -> Vec<u8> {
        Sha256::digest(self.sql).to_vec()
    }
}

/// How a database's schema stands to this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaStatus {
    /// As this program wants it.
    UpToDate,
    /// Versions are missing: `migrate` applies them.
    Behind {
        /// Which, ascending; all of them for an empty database.
        missing: Vec<i64>,
    },
    /// A later antiphon has migrated it.
    Newer {
        /// The versions that this program does not know.
        unknown: Vec<i64>,
    },
}

/// Compares what a database has applied, as (version, checksum), to what this program has.
pub(crate) fn compare(
    database: &str,
    known: &[Migration],
    applied: &[(i64, Vec<u8>)],
) -> Result<SchemaStatus, SqlError> {
    let of = |version: i64| known.iter().find(|migration| migration.version == version);
    let unknown: Vec<i64> =
        applied.iter().map(|(version, _)| *version).filter(|version| of(*version).is_none()).collect();
    for (version, checksum) in applied {
        if of(*version).is_some_and(|migration| migration.checksum() != *checksum) {
            return Err(SqlError::Changed { database: database.to_owned(), version: *version });
        }
    }
    if !unknown.is_empty() {
        return Ok(SchemaStatus::Newer { unknown });
    }
    let is_missing = |version: &i64| !applied.iter().any(|(applied, _)| applied == version);
    let missing: Vec<i64> = known.iter().map(|migration| migration.version).filter(is_missing).collect();
    Ok(if missing.is_empty() { SchemaStatus::UpToDate } else { SchemaStatus::Behind { missing } })
}

/// Refuses a schema that is newer; else the versions to apply.
pub(crate) fn to_apply(
    database: &str,
    known: &[Migration],
    applied: &[(i64, Vec<u8>)],
) -> Result<Vec<i64>, SqlError> {
    match compare(database, known, applied)? {
        SchemaStatus::UpToDate => Ok(Vec::new()),
        SchemaStatus::Behind { missing } => Ok(missing),
        SchemaStatus::Newer { unknown } => {
            let known = known.last().map_or(0, |migration| migration.version);
            Err(SqlError::Newer { database: database.to_owned(), unknown, known })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Migration] = &[
        Migration { version: 1, name: "one", sql: "create table one (id)" },
        Migration { version: 2, name: "two", sql: "create table two (id)" },
    ];

    fn applied(versions: &[i64]) -> Vec<(i64, Vec<u8>)> {
        let checksum = |version: i64| KNOWN.iter().find(|m| m.version == version).map(Migration::checksum);
        versions.iter().map(|&version| (version, checksum(version).unwrap_or_default())).collect()
    }

    #[test]
    fn what_is_missing_is_applied_and_what_is_unknown_or_changed_is_refused() {
        let status = |versions: &[i64]| compare("db", KNOWN, &applied(versions)).unwrap();
        assert_eq!(status(&[1, 2]), SchemaStatus::UpToDate);
        assert_eq!(status(&[]), SchemaStatus::Behind { missing: vec![1, 2] });
        assert_eq!(status(&[1, 2, 9]), SchemaStatus::Newer { unknown: vec![9] });
        let refused = to_apply("db", KNOWN, &applied(&[1, 2, 9])).unwrap_err().to_string();
        assert!(refused.contains("version 9") && refused.contains("up to version 2"), "{refused}");
        let changed = compare("db", KNOWN, &[(1, vec![0; 32])]);
        assert!(matches!(changed, Err(SqlError::Changed { version: 1, .. })));
    }
}
