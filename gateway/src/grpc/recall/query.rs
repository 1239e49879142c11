//! From a request to what is to be done, or the field that is wrong with it.

use std::ops::RangeInclusive;

use generation::partition;
use prost::Message as _;
use proto::v1::{self as pb, item_ref::Name};

use crate::{
    config::RecallConfig,
    diversity::{Cap, Diversity},
    error::Error,
    filter::Filter,
    query::{Digests, Query},
    recall::DEEPEST,
    token::{self, Keys, Then},
    user_tower::Who,
};

/// The most items that a caller may list to be left out.
pub(super) const MAX_EXCLUDED: usize = 10_000;
/// The most weights of interests, and the most caps.
const MAX_WEIGHTS: usize = 64;
const MAX_CAPS: usize = 8;
/// Weights that leave vectors comparable.
const WEIGHTS: RangeInclusive<f32> = 1e-3..=1e3;

/// Checks a request; page tokens are opened with `keys`.
pub(super) fn query(
    request: pb::RecallRequest,
    limits: &RecallConfig,
    keys: &Keys,
) -> Result<Query, Error> {
    let (page_size, most) = (request.page_size, limits.max_page_size);
    if page_size > most {
        let description = format!("is {page_size}, at most {most} is allowed");
        return Err(Error::field("page_size", description));
    }
    if request.user_id.is_empty() && request.context.is_none() {
        let description = "is empty, and there is no context that describes the user";
        return Err(Error::field("user_id", description));
    }
    let options = request.options.unwrap_or_default();
    let min_coverage = options.min_coverage;
    if !(0.0..=1.0).contains(&min_coverage) {
        let description = format!("is {min_coverage}, must be between 0 and 1");
        return Err(Error::field("options.min_coverage", description));
    }
    let with_tokens = options.with_tokens || !request.page_token.is_empty();
    let tokens = with_tokens.then(|| digests(&request));
    let then = page(&request.page_token, tokens, keys)?;
    let returned = then.as_ref().map_or(0, |then| then.returned.len());
    let page_size = match page_size {
        0 => limits.page_size,
        page_size => page_size,
    } as usize;
    let k = page_size.min(DEEPEST.saturating_sub(returned)).max(1);
    let blend = request.blend.unwrap_or_default();
    let places = u64::from(blend.popular) + u64::from(blend.fresh);
    if places > page_size as u64 {
        let description = format!("has {places} places, the page has {page_size}");
        return Err(Error::field("blend", description));
    }
    let diversity = request.diversity.map(diversity).transpose()?;
    let diversity = diversity.filter(|diversity| *diversity != Diversity::default());
    if places > 0 && diversity.is_some() {
        let description =
            "is there, and so is diversity: one of them can decide who has which place";
        return Err(Error::field("blend", description));
    }
    let exclude = request.exclude.unwrap_or_default();
    let who = Who::new(request.user_id, request.context, request.consistency_token);
    Ok(Query {
        experiment_unit: match request.experiment_unit {
            unit if unit.is_empty() => who.id().to_owned(),
            unit => unit,
        },
        who,
        k,
        allow_seen: exclude.allow_seen,
        exclude: items("exclude.items", exclude.items, MAX_EXCLUDED)?,
        filter: request.filter.and_then(Filter::new),
        exact: options.exact,
        reproducible: options.reproducible || with_tokens,
        with_item: options.with_item,
        min_coverage,
        generation: match &then {
            Some(then) => then.generation.clone(),
            None => request.generation,
        },
        diversity,
        popular: blend.popular as usize,
        fresh: blend.fresh as usize,
        tokens,
        then,
    })
}

/// The ids of items that a field names.
pub(super) fn items(field: &str, items: Vec<pb::ItemRef>, most: usize) -> Result<Vec<u64>, Error> {
    if items.len() > most {
        let description = format!("has {} items, at most {most} are allowed", items.len());
        return Err(Error::field(field, description));
    }
    let id = |(at, item): (usize, pb::ItemRef)| match item.name {
        Some(Name::Id(id)) => Ok(id),
        Some(Name::Key(key)) => Ok(partition::item_id(&key)),
        None => {
            let description = "names neither an id nor a key";
            Err(Error::field(format!("{field}[{at}]"), description))
        }
    };
    items.into_iter().enumerate().map(id).collect()
}

/// Opens a page token of the same listing.
fn page(text: &str, tokens: Option<Digests>, keys: &Keys) -> Result<Option<Then>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let none = || Error::field("page_token", "is no page token of this gateway");
    let token = keys.open(text).filter(|token| token.answer == 0);
    let token = token.ok_or_else(none)?;
    if tokens.is_none_or(|digests| digests.listing != token.request) {
        let description = "is of a request that differs in more than the page";
        return Err(Error::field("page_token", description));
    }
    Ok(Some(token.then))
}

/// Hashes of a request. Maps, which have no order on the wire, are hashed in the order of their keys.
fn digests(request: &pb::RecallRequest) -> Digests {
    let mut plain = request.clone();
    let features = plain
        .context
        .as_mut()
        .and_then(|context| context.features.take());
    let values = features.unwrap_or_default().values;
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    let mut features = Vec::new();
    for (name, value) in values {
        features.extend(name.encode_to_vec());
        features.extend(value.encode_length_delimited_to_vec());
    }
    let digest = |request: &pb::RecallRequest| {
        let mut bytes = request.encode_length_delimited_to_vec();
        bytes.extend(&features);
        token::digest(&bytes)
    };
    let request = digest(&plain);
    (plain.page_size, plain.page_token) = (0, String::new());
    Digests {
        listing: digest(&plain),
        request,
    }
}

fn diversity(diversity: pb::Diversity) -> Result<Diversity, Error> {
    let pb::Diversity {
        interest_weights: weights,
        interest_quota,
        mmr_lambda,
        caps,
    } = diversity;
    let lambda = mmr_lambda.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&lambda) {
        let description = format!("is {lambda}, must be between 0 and 1");
        return Err(Error::field("diversity.mmr_lambda", description));
    }
    for (field, found, most) in [
        ("diversity.interest_weights", weights.len(), MAX_WEIGHTS),
        ("diversity.caps", caps.len(), MAX_CAPS),
    ] {
        if found > most {
            let description = format!("has {found}, at most {most} are allowed");
            return Err(Error::field(field, description));
        }
    }
    let usable = |weight: &f32| *weight == 0.0 || WEIGHTS.contains(weight);
    if let Some(at) = weights.iter().position(|weight| !usable(weight)) {
        let description = format!("is {}, must be 0 or from 0.001 to 1000", weights[at]);
        return Err(Error::field(
            format!("diversity.interest_weights[{at}]"),
            description,
        ));
    }
    if !weights.is_empty() && weights.iter().all(|weight| *weight == 0.0) {
        let description = "are all 0, so that nothing is left to search with";
        return Err(Error::field("diversity.interest_weights", description));
    }
    let cap = |(at, cap): (usize, pb::AttributeCap)| match (cap.attribute.as_str(), cap.most) {
        ("", _) => {
            let field = format!("diversity.caps[{at}].attribute");
            Err(Error::field(field, "is empty"))
        }
        (_, 0) => {
            let field = format!("diversity.caps[{at}].most");
            Err(Error::field(field, "is 0, must be at least 1"))
        }
        _ => Ok(Cap {
            attribute: cap.attribute,
            most: cap.most as usize,
        }),
    };
    Ok(Diversity {
        weights,
        quota: interest_quota as usize,
        lambda,
        caps: caps
            .into_iter()
            .enumerate()
            .map(cap)
            .collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Duration;

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
}
