//! `twotower record`: records something that a user did.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::v1::{
    Event, ItemRef, RecordEventsRequest, RecordEventsResponse,
    event_service_client::EventServiceClient,
};
use serde_json::{Value, json};

use super::{connection::Connection, failure, item, table};

/// The type of event whose value is a rating.
const RATING: &str = "rating";

/// What the user did.
#[derive(Debug, clap::Args)]
pub struct Record {
    /// The user.
    #[arg(long, value_name = "ID")]
    user: String,
    /// The item, by id or key.
    #[arg(long, value_parser = item::parse)]
    item: ItemRef,
    /// What was done.
    #[arg(long = "type", value_name = "TYPE", default_value = RATING)]
    kind: String,
    /// How much; without it 5 for a rating, 0 for anything else.
    #[arg(long, allow_negative_numbers = true)]
    value: Option<f32>,
    /// When, in seconds since the Unix epoch; without it, now.
    #[arg(long, value_name = "SECONDS")]
    time: Option<i64>,
    /// Distinguishes events of one user and time; without it, a new one.
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Record {
    /// Records one event.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut gateway = EventServiceClient::new(self.connection.channel().await?);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let event = self.event(now);
        let event_id = event.event_id.clone();
        let request = RecordEventsRequest {
            events: vec![event],
            ..Default::default()
        };
        let recorded = gateway.record_events(request).await;
        let recorded = recorded.map_err(failure::of)?.into_inner();
        self.connection.print(
            || document(&recorded, &event_id),
            || lines(&recorded, &event_id),
        );
        Ok(())
    }

    fn event(&self, now: Duration) -> Event {
        let value = match self.kind.as_str() {
            RATING => 5.0,
            _ => 0.0,
        };
        let event_id = self.event_id.clone();
        Event {
            user_id: self.user.clone(),
            item: Some(self.item.clone()),
            r#type: self.kind.clone(),
            value: self.value.unwrap_or(value),
            time: self.time.unwrap_or(now.as_secs() as i64),
            event_id: event_id.unwrap_or_else(|| new_id(now, std::process::id())),
        }
    }
}

fn document(recorded: &RecordEventsResponse, event_id: &str) -> Value {
    json!({
        "recorded": recorded.recorded,
        "duplicates": recorded.duplicates,
        "consistency_token": recorded.consistency_token,
        "event_id": event_id,
    })
}

fn lines(recorded: &RecordEventsResponse, event_id: &str) -> Vec<String> {
    let event = match recorded.recorded {
        0 => "duplicate: it was known already",
        _ => "recorded",
    };
    table::facts(&[
        ("event", event.to_owned()),
        ("event id", event_id.to_owned()),
        ("consistency token", recorded.consistency_token.clone()),
    ])
}

/// Makes an id laid out as a UUID of version 7 (RFC 9562, section 5.7): milliseconds, their fraction (section 6.2, method 3), and where
/// randomness would be the process and the nanoseconds, so that no two calls of one machine make the same.
fn new_id(now: Duration, process: u32) -> String {
    let nanos = u64::from(now.subsec_nanos()) % 1_000_000;
    let milliseconds = now.as_millis() & 0xffff_ffff_ffff;
    let fraction = u128::from(nanos * 4_096 / 1_000_000);
    let unique = (u128::from(process) << 20) | u128::from(nanos);
    let (version, variant) = (7_u128 << 76, 2_u128 << 62);
    let id = (milliseconds << 80) | version | (fraction << 64) | variant | unique;
    let hex = format!("{id:032x}");
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use clap::Parser;

    use super::*;

    const NOW: Duration = Duration::new(1_700_000_000, 123_456_789);

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        record: Record,
    }

    fn event(line: &str) -> Event {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        cli.record.event(NOW)
    }

    #[test]
    fn an_event_is_a_rating_of_five_now_unless_told_otherwise() {
        let rating = event("record --user 7 --item 1");
        assert_eq!((rating.r#type.as_str(), rating.value), ("rating", 5.0));
        assert_eq!(rating.time, 1_700_000_000);
        assert_eq!(rating.item, item::parse("1").ok());

        let click = event("record --user 7 --item a --type click --time 5 --event-id e");
        assert_eq!((click.r#type.as_str(), click.value), ("click", 0.0));
        assert_eq!((click.time, click.event_id.as_str()), (5, "e"));
        assert_eq!(event("record --user 7 --item 1 --value -1").value, -1.0);
    }

    #[test]
    fn ids_are_laid_out_as_uuids_of_version_7() {
        let id = new_id(NOW, 42);
        let parts: Vec<&str> = id.split('-').collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        let milliseconds = u64::from_str_radix(&parts[..2].concat(), 16).unwrap();
        assert_eq!(milliseconds, 1_700_000_000_123);
        assert!(parts[2].starts_with('7') && parts[3].starts_with('8'));
    }

    #[test]
    fn ids_of_other_processes_and_later_times_are_others() {
        let id = new_id(NOW, 42);
        assert_ne!(id, new_id(NOW, 43));
        assert!(id < new_id(NOW + Duration::from_nanos(1), 42));
        assert!(id < new_id(NOW + Duration::from_millis(1), 42));
    }

    #[test]
    fn a_known_event_is_called_a_duplicate() {
        let known = RecordEventsResponse {
            duplicates: 1,
            consistency_token: "t".to_owned(),
            ..Default::default()
        };
        assert_eq!(
            lines(&known, "e"),
            [
                "event              duplicate: it was known already",
                "event id           e",
                "consistency token  t",
            ]
        );
    }
}
