//! CPU time of this process.

/// The kernel reports CPU time to programs in hundredths of a second on every architecture of Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// User and system time of the process so far, in seconds; nothing where there is no `/proc`.
pub(crate) fn seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the command in parentheses and may hold spaces; utime and stime are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_A_SECOND)
}

/// CPU time since an earlier reading.
pub(crate) fn since(start: Option<f64>) -> Option<f64> {
    Some(seconds()? - start?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn work_takes_time() {
        let start = seconds();
        let mut x = 0_u64;
        while since(start).unwrap() < 0.02 {
            x = std::hint::black_box(x.wrapping_mul(3) + 1);
        }
        assert!(seconds() > start);
    }
}
