//! Bytes of the file that change while nobody looks.

use std::fs;

use super::*;

/// Users enough that the file has pages of every kind.
const USERS: usize = 60;

/// All that a file keeps.
async fn content(config: &HistoryConfig) -> Result<Vec<UserCopy>, String> {
    let store = RedbStore::open(config, 1).map_err(|refused| refused.to_string())?;
    let (mut users, mut after) = (Vec::new(), String::new());
    loop {
        let selection = Selection {
            after: after.clone(),
            ..everyone()
        };
        let page = store.page(selection).await.unwrap();
        users.extend(page.users);
        match page.next {
            Some(next) => after = next,
            None => return Ok(users),
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_is_found_when_the_file_is_opened_or_was_nobodys() {
    let dir = tempfile::tempdir().unwrap();
    let config = HistoryConfig {
        path: dir.path().join("history.redb"),
        ..config(50, 64)
    };
    let store = RedbStore::open(&config, 1).unwrap();
    for user in 0..USERS {
        let events = (0..20).map(|time| record(&user.to_string(), time, "a", time as u64));
        append(&store, events.collect()).await;
    }
    drop(store);
    let whole = fs::read(&config.path).unwrap();
    let before = content(&config).await.unwrap();
    assert_eq!(before.len(), USERS);

    let (mut refused, tries) = (0, 150);
    for number in 0..tries {
        let mut damaged = whole.clone();
        let at = (number * 7_919 * 4_099) % whole.len();
        damaged[at] ^= 1 << (number % 8);
        fs::write(&config.path, &damaged).unwrap();
        match content(&config).await {
            Ok(found) => assert_eq!(found, before, "byte {at} changed what is read"),
            Err(cause) => {
                refused += 1;
                assert!(cause.contains("history.redb"), "{cause}");
            }
        }
    }
    assert!(refused > 0, "no byte of {tries} was anybody's");
}
