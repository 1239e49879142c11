//! Why a step of a job cannot be done.

use std::path::PathBuf;

/// Why a step of a job cannot be done; what other steps made stays.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Nobody planned anything in the directory.
    #[error("{} holds no plan.json: `index-builder plan` comes first", .0.display())]
    Unplanned(PathBuf),
    /// Another process is at work there.
    #[error("another process is at work: it holds {}", .0.display())]
    Busy(PathBuf),
    /// A file of the job is not what a step writes.
    #[error("{}: {reason}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What the job is made of is not what it was when it was planned.
    #[error("the plan has {what} {planned}, now it is {found}; `index-builder plan` begins anew")]
    Changed {
        /// What changed.
        what: String,
        /// As planned.
        planned: String,
        /// As it is.
        found: String,
    },
    /// A step has to come first.
    #[error("{missing} is not done yet: {command} comes before {step}")]
    Early {
        /// The step that was to be done.
        step: &'static str,
        /// What it needs.
        missing: String,
        /// What makes that.
        command: String,
    },
    /// The plan has no such part or shard.
    #[error("the plan has no {what} {asked}: {range}")]
    Absent {
        /// Part or shard.
        what: &'static str,
        /// What was asked for.
        asked: String,
        /// What there is.
        range: String,
    },
    /// A file is not what the step that made it wrote; that step has to be done again.
    #[error("{}: blake3 is {found}, expected {expected}; {command} makes it anew", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The hash of what was written.
        expected: String,
        /// What makes it.
        command: String,
    },
    /// Something else serves than when the job was planned.
    #[error(
        "CURRENT was changed by another writer: it names {found}, expected {planned}; `index-builder plan` begins anew"
    )]
    Overtaken {
        /// What served when the job was planned.
        planned: String,
        /// What serves.
        found: String,
    },
}
