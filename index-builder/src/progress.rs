//! Progress bars for people, on standard error; none are drawn where that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts items, with their rate and the time left, for a step whose end is `total`, or not known yet (0).
pub(crate) fn bar(step: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template = "{msg:>8} [{bar:30}] {human_pos}/{human_len} {per_sec}, {eta} left";
    // A template that is wrong leaves the default one.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(step);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
