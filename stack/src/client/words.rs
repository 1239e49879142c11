//! Shares, durations, times, features and the names of enumerations in words for people.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use proto::v1::{Features, feature_value::Kind};

/// The first second of the year 10000, which has no date of the usual form.
const YEAR_10000: u64 = 253_402_300_800;

/// Returns a share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Returns a duration of the wire in a fitting unit.
pub(crate) fn took(duration: Option<impl TryInto<Duration>>) -> String {
    let duration: Option<Duration> = duration.and_then(|duration| duration.try_into().ok());
    match duration {
        Some(duration) => format!("{duration:.1?}"),
        None => "-".to_owned(),
    }
}

/// Returns a time in seconds since the Unix epoch as a date, or as it is if it is far off.
pub(crate) fn date(seconds: i64) -> String {
    match u64::try_from(seconds) {
        Ok(since) if since < YEAR_10000 => {
            humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(since)).to_string()
        }
        _ => seconds.to_string(),
    }
}

/// Returns the name of an enumeration's value without the prefix of all its values.
pub(crate) fn value(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

/// Returns features by name.
pub(crate) fn features(features: &Features) -> BTreeMap<&str, String> {
    let text = |kind: &Kind| match kind {
        Kind::Text(text) => text.clone(),
        Kind::Number(number) => number.to_string(),
        Kind::List(list) => list.values.join(", "),
    };
    let values = features.values.iter();
    values
        .filter_map(|(name, value)| Some((name.as_str(), text(value.kind.as_ref()?))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_unless_they_are_far_off() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(-1), "-1");
        assert_eq!(date(253_402_300_799), "9999-12-31T23:59:59Z");
        assert_eq!(date(253_402_300_800), "253402300800");
    }

    #[test]
    fn durations_have_a_fitting_unit() {
        assert_eq!(took(Some(Duration::from_micros(4_120))), "4.1ms");
        assert_eq!(took(None::<Duration>), "-");
    }

    #[test]
    fn values_lose_the_prefix_of_their_enumeration() {
        assert_eq!(value("SOURCE_ANN", "SOURCE_"), "ann");
    }
}
