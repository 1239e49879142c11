//! What the command says to the person who called it, on standard output.

/// Writes one line.
#[expect(clippy::print_stdout, reason = "the answer to a command, not a log")]
pub(crate) fn line(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}
