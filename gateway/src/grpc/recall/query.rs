//! From a request to what is to be done, or the field that is wrong with it.

use prost::Message as _;
use proto::v1 as pb;

use super::diversity::diversity;
use crate::{
    config::RecallConfig,
    diversity::Diversity,
    error::Error,
    filter::Filter,
    grpc::names,
    query::{Digests, Query},
    recall::DEEPEST,
    token::{self, Keys, Then},
    user_tower::Who,
};

/// The most items that a caller may list to be left out.
pub(super) const MAX_EXCLUDED: usize = 10_000;

/// Checks a request; page tokens are opened with `keys`.
pub(super) fn query(
    request: pb::RecallRequest,
    limits: &RecallConfig,
    keys: &Keys,
) -> Result<Query, Error> {
    let page_size = page_size(request.page_size, limits)?;
    if request.user_id.is_empty() && request.context.is_none() {
        let description = "is empty, and there is no context that describes the user";
        return Err(Error::field("user_id", description));
    }
    let options = request.options.unwrap_or_default();
    check_coverage(&options)?;
    let with_tokens = options.with_tokens || !request.page_token.is_empty();
    let tokens = with_tokens.then(|| digests(&request));
    let then = page(&request.page_token, tokens, keys)?;
    let returned = then.as_ref().map_or(0, |then| then.returned.len());
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
        exclude: names::ids("exclude.items", &exclude.items, MAX_EXCLUDED)?,
        filter: request.filter.and_then(Filter::new),
        exact: options.exact,
        reproducible: options.reproducible || with_tokens,
        with_item: options.with_item,
        min_coverage: options.min_coverage,
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

/// How many items a page has: as many as are asked for, or as the limits say if none are.
///
/// # Errors
/// [`Error::Field`] if it is more than the limits allow.
pub(super) fn page_size(asked: u32, limits: &RecallConfig) -> Result<usize, Error> {
    let most = limits.max_page_size;
    if asked > most {
        let description = format!("is {asked}, at most {most} is allowed");
        return Err(Error::field("page_size", description));
    }
    Ok(match asked {
        0 => limits.page_size,
        asked => asked,
    } as usize)
}

/// Refuses options whose coverage is no share.
pub(super) fn check_coverage(options: &pb::RecallOptions) -> Result<(), Error> {
    let min_coverage = options.min_coverage;
    if (0.0..=1.0).contains(&min_coverage) {
        return Ok(());
    }
    let description = format!("is {min_coverage}, must be between 0 and 1");
    Err(Error::field("options.min_coverage", description))
}

#[cfg(test)]
mod tests;
