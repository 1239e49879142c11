#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use generation::partition;
use proto::v1::item_ref::Name;

use super::*;
use crate::token::Token;

const LIMITS: RecallConfig = RecallConfig {
    page_size: 100,
    max_page_size: 1_000,
    soft_deadline: 0.8,
    batch_concurrency: 1,
    concurrency: 1,
    patience: Duration::ZERO,
    last_vectors_bytes: 0,
};

fn keys() -> Keys {
    Keys::load(&[]).unwrap()
}

fn request() -> pb::RecallRequest {
    pb::RecallRequest {
        user_id: "1".to_owned(),
        ..Default::default()
    }
}

fn item(name: Option<Name>) -> pb::ItemRef {
    pb::ItemRef { name }
}

/// Changes a good request and expects it to be refused, naming `field` and `what`.
fn refused(change: impl FnOnce(&mut pb::RecallRequest), field: &str, what: &str) {
    let mut changed = request();
    change(&mut changed);
    let error = query(changed, &LIMITS, &keys()).unwrap_err().to_string();
    assert_eq!(error, format!("{field}: {what}"));
}

#[test]
fn fields_out_of_their_bounds_are_named_with_value_and_limit() {
    refused(
        |r| r.page_size = 1_001,
        "page_size",
        "is 1001, at most 1000 is allowed",
    );
    refused(
        |r| r.user_id.clear(),
        "user_id",
        "is empty, and there is no context that describes the user",
    );
    for (coverage, shown) in [(1.5, "1.5"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
        refused(
            |r| r.options.get_or_insert_default().min_coverage = coverage,
            "options.min_coverage",
            &format!("is {shown}, must be between 0 and 1"),
        );
    }
    refused(
        |r| r.exclude.get_or_insert_default().items = vec![item(Some(Name::Id(1))), item(None)],
        "exclude.items[1]",
        "names neither an id nor a key",
    );
    refused(
        |r| {
            r.exclude.get_or_insert_default().items = vec![item(Some(Name::Id(1))); 10_001];
        },
        "exclude.items",
        "has 10001 items, at most 10000 are allowed",
    );
}

#[test]
fn limits_themselves_are_allowed() {
    let mut asked = request();
    asked.page_size = 1_000;
    asked.options.get_or_insert_default().min_coverage = 1.0;
    asked.exclude.get_or_insert_default().items = vec![item(Some(Name::Id(1))); 10_000];
    let query = query(asked, &LIMITS, &keys()).unwrap();
    assert_eq!((query.k, query.exclude.len()), (1_000, 10_000));
}

#[test]
fn a_page_size_of_zero_is_the_default() {
    assert_eq!(query(request(), &LIMITS, &keys()).unwrap().k, 100);
}

#[test]
fn a_described_user_needs_no_id() {
    let mut asked = request();
    asked.user_id.clear();
    asked.context = Some(pb::UserContext::default());
    query(asked, &LIMITS, &keys()).unwrap();
}

#[test]
fn excluded_keys_become_ids() {
    let mut asked = request();
    asked.exclude.get_or_insert_default().items = vec![
        item(Some(Name::Id(7))),
        item(Some(Name::Key("a".to_owned()))),
    ];
    let query = query(asked, &LIMITS, &keys()).unwrap();
    assert_eq!(query.exclude, [7, partition::item_id("a")]);
}

#[test]
fn wishes_that_cannot_be_met_are_named() {
    let diversity = |change: fn(&mut pb::Diversity)| {
        move |r: &mut pb::RecallRequest| change(r.diversity.get_or_insert_default())
    };
    let cap = |attribute: &str, most| pb::AttributeCap {
        attribute: attribute.to_owned(),
        most,
    };
    refused(
        diversity(|d| d.mmr_lambda = Some(1.5)),
        "diversity.mmr_lambda",
        "is 1.5, must be between 0 and 1",
    );
    refused(
        diversity(|d| d.interest_weights = vec![1.0, -0.5]),
        "diversity.interest_weights[1]",
        "is -0.5, must be 0 or from 0.001 to 1000",
    );
    refused(
        diversity(|d| d.interest_weights = vec![0.0, 0.0]),
        "diversity.interest_weights",
        "are all 0, so that nothing is left to search with",
    );
    refused(
        |r| r.diversity.get_or_insert_default().caps = vec![cap("genres", 2), cap("", 1)],
        "diversity.caps[1].attribute",
        "is empty",
    );
    refused(
        |r| r.diversity.get_or_insert_default().caps = vec![cap("genres", 0)],
        "diversity.caps[0].most",
        "is 0, must be at least 1",
    );
    refused(
        |r| {
            r.blend = Some(pb::Blend {
                popular: 1,
                fresh: 100,
            });
        },
        "blend",
        "has 101 places, the page has 100",
    );
    refused(
        |r| {
            r.blend.get_or_insert_default().fresh = 1;
            r.diversity.get_or_insert_default().interest_quota = 1;
        },
        "blend",
        "is there, and so is diversity: one of them can decide who has which place",
    );
}

#[test]
fn wishes_at_their_limits_are_taken_and_one_more_is_refused() {
    let cap = || pb::AttributeCap {
        attribute: "genres".to_owned(),
        most: 1,
    };
    let mut asked = request();
    asked.diversity = Some(pb::Diversity {
        interest_weights: vec![1.0; 64],
        caps: vec![cap(); 8],
        ..Default::default()
    });
    let taken = query(asked, &LIMITS, &keys()).unwrap().diversity.unwrap();
    assert_eq!((taken.weights.len(), taken.caps.len()), (64, 8));
    refused(
        |r| r.diversity.get_or_insert_default().interest_weights = vec![1.0; 65],
        "diversity.interest_weights",
        "has 65, at most 64 are allowed",
    );
    refused(
        |r| r.diversity.get_or_insert_default().caps = vec![cap(); 9],
        "diversity.caps",
        "has 9, at most 8 are allowed",
    );
    let mut asked = request();
    asked.blend = Some(pb::Blend {
        popular: 1,
        fresh: 99,
    });
    let taken = query(asked, &LIMITS, &keys()).unwrap();
    assert_eq!((taken.popular, taken.fresh), (1, 99));
}

#[test]
fn a_page_goes_on_with_the_same_request_only() {
    let keys = keys();
    let mut asked = request();
    asked.context = Some(pb::UserContext {
        features: Some(pb::Features {
            values: (0..20)
                .map(|i| (i.to_string(), pb::FeatureValue::default()))
                .collect(),
        }),
        history: Vec::new(),
    });
    asked.options.get_or_insert_default().with_tokens = true;
    let first = query(asked.clone(), &LIMITS, &keys).unwrap();
    let token = |answer, returned| Token {
        then: Then {
            generation: "old".to_owned(),
            returned,
            ..Then::default()
        },
        request: first.tokens.unwrap().listing,
        answer,
    };
    // Maps come in any order.
    let again: pb::RecallRequest = pb::RecallRequest::decode(&*asked.encode_to_vec()).unwrap();
    let mut next = pb::RecallRequest {
        page_token: keys.seal(&token(0, vec![3; 990])),
        page_size: 20,
        ..again
    };
    let page = query(next.clone(), &LIMITS, &keys).unwrap();
    assert_eq!((page.generation.as_str(), page.k), ("old", 10));
    assert!(page.reproducible);

    next.user_id = "2".to_owned();
    let refused = query(next.clone(), &LIMITS, &keys).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "page_token: is of a request that differs in more than the page"
    );
    for wrong in ["x".to_owned(), keys.seal(&token(5, Vec::new()))] {
        asked.page_token = wrong;
        let refused = query(asked.clone(), &LIMITS, &keys).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "page_token: is no page token of this gateway"
        );
    }
}
