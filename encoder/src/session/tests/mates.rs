//! A user's vectors do not depend on who else is in the batch.

use super::*;

/// Users of histories of many lengths, with items that nobody knows between; none of two numbers are alike.
fn crowd(size: usize, number: u64) -> Vec<User> {
    let items = |at: u64| (0..at % 9).map(move |n| (at * 7 + n * 3) % 23 + 1);
    let users = (0..size as u64).map(|at| items(at + 100 * number).collect::<Vec<u64>>());
    users.map(|items| user(&items)).collect()
}

fn check(reads: Reads) {
    let (_dir, _, artifact) = sample_that(reads);
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    let asked = User {
        time: Some(5_000),
        ..user(&[3, 99, 4, 20, 1])
    };
    let bits = |users: &[User], at: usize| -> Vec<u32> {
        let interests = encoder.encode(users).unwrap();
        interests.user(at).iter().map(|n| n.to_bits()).collect()
    };
    for bucket in BUCKETS {
        // The smallest batch of the bucket is padded with nobody.
        let fewest = bucket / 2 + 1;
        let mut first = crowd(fewest, 0);
        first[0] = asked.clone();
        let expected = bits(&first, 0);
        for (size, number) in [(fewest, 1), (bucket, 2), (bucket, 3)] {
            for at in 0..size {
                let mut users = crowd(size, number);
                users[at] = asked.clone();
                let found = bits(&users, at);
                assert_eq!(found, expected, "place {at} of {size}, mates {number}");
            }
        }
    }
}

#[test]
fn equal_users_of_a_bucket_get_equal_bits_whoever_their_mates_are() {
    check(Reads::Ids);
    check(Reads::Ages);
}
