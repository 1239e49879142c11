//! Keeps a read of a user from caching what a commit for that user has overtaken.

use dashmap::{DashMap, mapref::entry::Entry};

/// The reads under way, by user. The map is private to this file: closures go in, no guard comes out.
#[derive(Default)]
pub(super) struct Reads {
    under_way: DashMap<String, UnderWay>,
}

/// What is known of a user while somebody reads them.
#[derive(Default)]
struct UnderWay {
    readers: usize,
    commits: u64,
}

/// One read; it is under way until it is dropped.
pub(super) struct Read<'a> {
    reads: &'a Reads,
    user: &'a str,
    /// The user's commits when the read began.
    commits: u64,
}

impl Reads {
    /// Begins a read; call it before the file is looked at.
    pub(super) fn begin<'a>(&'a self, user: &'a str) -> Read<'a> {
        let mut state = self.under_way.entry(user.to_owned()).or_default();
        state.readers += 1;
        let commits = state.commits;
        Read {
            reads: self,
            user,
            commits,
        }
    }

    /// Notes a commit for a user; call it once readers can see the commit, before the cache forgets the user.
    pub(super) fn committed(&self, user: &str) {
        if let Some(mut state) = self.under_way.get_mut(user) {
            state.commits += 1;
        }
    }
}

impl Reads {
    /// Notes that every read under way may be of before what is to be seen now.
    pub(super) fn all_overtaken(&self) {
        self.under_way
            .iter_mut()
            .for_each(|mut state| state.commits += 1);
    }
}

impl Read<'_> {
    /// Calls `keep` unless a commit for the user came since the read began. A commit that comes meanwhile waits.
    pub(super) fn unless_overtaken(&self, keep: impl FnOnce()) {
        if let Some(state) = self.reads.under_way.get(self.user)
            && state.commits == self.commits
        {
            keep();
        }
    }
}

impl Drop for Read<'_> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut state) = self.reads.under_way.entry(self.user.to_owned()) {
            state.get_mut().readers -= 1;
            if state.get().readers == 0 {
                state.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps(read: &Read<'_>) -> bool {
        let mut kept = false;
        read.unless_overtaken(|| kept = true);
        kept
    }

    #[test]
    fn a_commit_for_the_user_overtakes_the_reads_that_began_before_it() {
        let reads = Reads::default();
        let (before, other) = (reads.begin("ann"), reads.begin("bob"));
        reads.committed("ann");
        let after = reads.begin("ann");
        assert!(!keeps(&before));
        assert!(keeps(&after));
        assert!(keeps(&other), "a commit for somebody else overtakes nobody");
    }

    #[test]
    fn nothing_is_remembered_of_a_user_whom_nobody_reads() {
        let reads = Reads::default();
        reads.committed("ann");
        drop((reads.begin("ann"), reads.begin("ann")));
        assert!(reads.under_way.is_empty());
    }
}
