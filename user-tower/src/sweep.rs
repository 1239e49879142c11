//! Removes something of many users.

use std::sync::Arc;

use crate::{
    error::Error,
    history::{HistoryStore, Removal, Removed, Selection, UserCopy, Write},
};

/// Removes of every user whom `wanted` names, and of whom `is_due` says so, page by page; before each page's removals
/// `goes_on` says whether they are still to be made.
///
/// # Errors
/// What `goes_on` says, or if users cannot be read or written; what was removed until then is.
pub(crate) async fn remove(
    history: &dyn HistoryStore,
    wanted: impl Fn(&str) -> bool + Send + Sync + 'static,
    is_due: impl Fn(&UserCopy) -> bool,
    removal: Removal,
    goes_on: impl Fn() -> Result<(), Error>,
) -> Result<Removed, Error> {
    let mut removed = Removed::default();
    let mut selection = Selection {
        after: String::new(),
        arrived_after: 0,
        wanted: Arc::new(wanted),
    };
    loop {
        let page = history.page(selection.clone()).await?;
        let due = page.users.into_iter().filter(&is_due);
        let removals: Vec<_> = due.map(|user| (user.user, removal)).collect();
        if !removals.is_empty() {
            goes_on()?;
            let write = Write {
                removals,
                ..Write::default()
            };
            removed.add(history.write_patiently(write).await?.removed);
        }
        match page.next {
            Some(next) => selection.after = next,
            None => return Ok(removed),
        }
    }
}
