//! Callers: so many at a time, each as soon as the one before is answered, or so often, however long others take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};

/// Makes the calls 0 to `calls`, `callers` at a time, each as soon as the one before is answered.
pub(crate) async fn closed<F>(
    callers: usize,
    calls: usize,
    call: impl Fn(usize) -> F + Clone + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (next, call) = (Arc::clone(&next), call.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        return anyhow::Ok(());
                    }
                    call(number).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// How many milliseconds each of the calls took that are begun `every` so often for as long as `time`, however long the others take,
/// and how many failed.
pub(crate) async fn open<F>(
    every: Duration,
    time: Duration,
    call: impl Fn(usize) -> F,
) -> anyhow::Result<(Vec<f64>, usize)>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    let mut tasks = Vec::new();
    while begun.elapsed() < time {
        // A tick that comes late is charged to its call.
        let due = ticks.tick().await;
        let answer = call(tasks.len());
        tasks.push(tokio::spawn(async move {
            let answered = answer.await.is_ok();
            (due.elapsed(), answered)
        }));
    }
    let (mut millis, mut failed) = (Vec::new(), 0);
    for task in tasks {
        let (took, answered) = task.await?;
        millis.push(took.as_secs_f64() * 1e3);
        failed += usize::from(!answered);
    }
    Ok((millis, failed))
}
