//! Times an artifact's user tower: `cargo run --release -p encoder --example encode -- ARTIFACT_DIR`.
//!
//! Prints the CPU time of one user, from raw features to the vector, by batch size and length of the history; and of
//! the tensors alone.
#![expect(clippy::print_stdout, reason = "it is a program that prints figures")]

use std::{env, error::Error, fs, path::Path, time::Duration};

use encoder::{
    artifact::Artifact,
    features::{Event, User},
    session::UserEncoder,
};

const ROUNDS: usize = 15;
const USERS_A_ROUND: usize = 512;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args().nth(1).ok_or("usage: encode ARTIFACT_DIR")?;
    let artifact = Artifact::open(Path::new(&dir))?;
    let encoder = UserEncoder::open(&artifact, 1)?;
    let tensors = artifact.user_tensors();
    let length = artifact.signature().history.length;
    println!(
        "{:>8} {:>6} {:>12} {:>12}",
        "history", "batch", "us per user", "tensors"
    );
    for events in [length, length / 5, 0] {
        let users = users(&artifact, events);
        for batch in [1, 8, 32, 64] {
            let whole = measure(|| {
                users
                    .chunks(batch)
                    .try_for_each(|users| encoder.encode(users).map(|_| ()))
            })?;
            let part = measure(|| {
                users
                    .chunks(batch)
                    .for_each(|users| drop(tensors.batch(users, users.len())));
                Ok(())
            })?;
            println!(
                "{events:>8} {batch:>6} {:>12.1} {:>12.1}",
                micros(whole),
                micros(part)
            );
        }
    }
    Ok(())
}

fn users(artifact: &Artifact, events: usize) -> Vec<User> {
    let mut items: Vec<u64> = artifact.vocabularies().items().collect();
    items.sort_unstable();
    let event = |user: usize, at: usize| Event {
        item: items[(user * 31 + at * 7) % items.len()],
        kind: "rating".to_owned(),
        value: (at % 5 + 1) as f32,
        time: (at * at * 60) as i64,
    };
    let user = |user: usize| User {
        history: (0..events).map(|at| event(user, at)).collect(),
        ..User::default()
    };
    (0..USERS_A_ROUND).map(user).collect()
}

/// Returns the CPU time of all rounds; the clock ticks every few milliseconds only.
fn measure(
    mut round: impl FnMut() -> Result<(), encoder::error::Error>,
) -> Result<Duration, Box<dyn Error>> {
    let before = cpu()?;
    for _ in 0..ROUNDS {
        round()?;
    }
    Ok(cpu()? - before)
}

/// Returns the CPU time of this thread so far; Linux only.
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().ok_or("an empty schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

fn micros(rounds: Duration) -> f64 {
    rounds.as_secs_f64() * 1e6 / (ROUNDS * USERS_A_ROUND) as f64
}
