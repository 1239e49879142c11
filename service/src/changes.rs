//! A value and its changes as a stream, for calls that watch.

use futures::{Stream, StreamExt as _, stream};
use tokio::sync::watch;

use crate::drain::Shutdown;

/// Yields the value at once and then after each change, the newest only, until it can change no more or shutdown is requested.
pub fn changes<T>(watched: watch::Receiver<T>, shutdown: Shutdown) -> impl Stream<Item = T>
where
    T: Clone + Send + Sync + 'static,
{
    let values = stream::unfold((watched, true), |(mut watched, first)| async move {
        if !first {
            watched.changed().await.ok()?;
        }
        let value = watched.borrow_and_update().clone();
        Some((value, (watched, false)))
    });
    values.take_until(async move { shutdown.requested().await })
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn the_value_comes_at_once_then_its_changes_until_shutdown() {
        let (trigger, shutdown) = Shutdown::manual();
        let value = watch::Sender::new(1);
        let mut seen = Box::pin(changes(value.subscribe(), shutdown));
        assert_eq!(seen.next().await, Some(1));
        value.send_replace(2);
        value.send_replace(3);
        assert_eq!(seen.next().await, Some(3));
        trigger.request();
        assert_eq!(seen.next().await, None);
    }
}
