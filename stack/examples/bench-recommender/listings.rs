//! Page after page against the whole ranking, and answers made again after the users went on.

use std::collections::BTreeSet;

use proto::v1::{
    Event, ItemRef, RecordEventsRequest, ReplayRecallRequest,
    event_service_client::EventServiceClient, item_ref::Name,
};

use crate::{
    Figure,
    site::{Site, exactly, stored},
};

/// Users whose pages are read to the end, and the size of a page.
const USERS: usize = 50;
const PAGE: u32 = 40;
/// How many candidates all pages have.
const DEEPEST: usize = 1_000;

pub(crate) async fn measure(site: &Site, tokens: usize) -> anyhow::Result<Vec<Figure>> {
    let (mut repeated, mut missing, mut disordered) = (0, 0, 0);
    for (user, _) in site.tests.iter().step_by(site.tests.len() / USERS) {
        let known = site.known(stored(user)).await?;
        let truth = known.ranking(&site.vectors, |id| !known.seen.contains(&id));
        let mut request = exactly(user, PAGE);
        request.options.get_or_insert_default().with_tokens = true;
        let mut listed: Vec<u64> = Vec::new();
        loop {
            let answer = site.recall(request.clone()).await?;
            listed.extend(answer.candidates.iter().map(|one| one.id));
            // What is recorded meanwhile changes no page.
            record(site, user, answer.candidates[0].id, listed.len()).await?;
            if answer.next_page_token.is_empty() {
                break;
            }
            request.page_token = answer.next_page_token;
        }
        let different: BTreeSet<&u64> = listed.iter().collect();
        repeated += listed.len() - different.len();
        let truth = &truth[..DEEPEST.min(truth.len())];
        missing += truth
            .iter()
            .filter(|(id, _)| !different.contains(id))
            .count();
        let scores = known.ranking(&site.vectors, |_| true);
        let score = |id: &u64| {
            scores
                .iter()
                .find(|(other, _)| other == id)
                .map_or(f32::NAN, |found| found.1)
        };
        disordered += listed
            .windows(2)
            .filter(|pair| score(&pair[1]) > score(&pair[0]) + 1e-5)
            .count();
    }

    let mut answers = Vec::new();
    for (user, _) in site.tests.iter().cycle().skip(7).step_by(6).take(tokens) {
        let mut request = exactly(user, PAGE);
        let options = request.options.get_or_insert_default();
        (options.with_tokens, options.exact) = (true, false);
        let answer = site.recall(request.clone()).await?;
        answers.push((user, request, answer));
    }
    for (at, (user, _, answer)) in answers.iter().enumerate() {
        record(site, user, answer.candidates[0].id, 10_000 + at).await?;
    }
    let (mut identical, mut went_on) = (0, 0);
    for (_, request, answer) in answers {
        let replay = ReplayRecallRequest {
            recall: Some(request.clone()),
            recall_token: answer.recall_token,
            generation: String::new(),
        };
        let again = site.recalls().replay_recall(replay).await?.into_inner();
        let same = again
            .answer
            .is_some_and(|again| again.candidates == answer.candidates);
        identical += usize::from(again.identical && same);
        went_on += usize::from(site.recall(request).await?.candidates != answer.candidates);
    }
    Ok(vec![
        ("pages_repeated".to_owned(), repeated as f64, "items", "0"),
        ("pages_missing".to_owned(), missing as f64, "items", "0"),
        (
            "pages_disordered".to_owned(),
            f64::from(disordered as u32),
            "pairs",
            "0",
        ),
        (
            "replay_tokens".to_owned(),
            tokens as f64,
            "tokens",
            ">= 1000",
        ),
        (
            "replay_identical".to_owned(),
            identical as f64,
            "tokens",
            "= replay_tokens",
        ),
        (
            "replay_changed_meanwhile".to_owned(),
            went_on as f64,
            "tokens",
            "",
        ),
    ])
}

async fn record(site: &Site, user: &str, item: u64, number: usize) -> anyhow::Result<()> {
    let event = Event {
        user_id: user.to_owned(),
        item: Some(ItemRef {
            name: Some(Name::Id(item)),
        }),
        r#type: "rating".to_owned(),
        value: 5.0,
        time: 1_100_000_000 + number as i64,
        event_id: format!("bench-{number}"),
    };
    let request = RecordEventsRequest {
        events: vec![event],
        ..RecordEventsRequest::default()
    };
    let mut events = EventServiceClient::new(site.gateway());
    events.record_events(request).await?;
    Ok(())
}
