//! Progress bars for people, on standard error; none are drawn where that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts items, for a step whose end is not known (0) or is `total`.
pub(crate) fn bar(step: &'static str, total: u64) -> ProgressBar {
    let (bar, template) = match total {
        0 => (
            ProgressBar::new_spinner(),
            "{msg:>8} {human_pos} {per_sec} {spinner}",
        ),
        total => (
            ProgressBar::new(total),
            "{msg:>8} [{bar:30}] {human_pos}/{human_len} {per_sec}",
        ),
    };
    // A template that is wrong leaves the default one.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(step);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
