//! What a person says of a recall, shared by the commands that are about one.

use anyhow::Context as _;
use proto::v1::{
    AttributeCap, Blend, Diversity, Exclude, Filter, ItemRef, RecallOptions, RecallRequest,
};

use super::{
    filter::{self, Clause},
    item,
};

/// Which items may be found, and how they are searched.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// What the items must be, e.g. genres=Comedy|Drama, year=1990..1999 or genres!=Horror; all of several.
    #[arg(long, value_name = "CONDITION", value_parser = filter::parse)]
    filter: Vec<Clause>,
    /// An item to leave out, by id or key.
    #[arg(long, value_name = "ITEM", value_parser = item::parse)]
    exclude: Vec<ItemRef>,
    /// Compare every item instead of searching the index.
    #[arg(long)]
    exact: bool,
}

/// For whom items are recalled, and out of which.
#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// The user.
    #[arg(long, value_name = "ID")]
    user: String,
    #[command(flatten)]
    selection: Selection,
    /// Do not leave out what the user has seen.
    #[arg(long)]
    allow_seen: bool,
    /// What recording an event gave: the answer counts the event in, or says that it does not.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    consistency_token: Option<String>,
}

/// A whole recall, but for the generation.
#[derive(Debug, clap::Args)]
pub(crate) struct Recalled {
    #[command(flatten)]
    asked: Asked,
    /// How many items a page has.
    #[arg(long, default_value_t = 10)]
    k: u32,
    /// How much scores count against being unlike the items above, 0 to 1 (maximal marginal relevance).
    #[arg(long, value_name = "LAMBDA")]
    mmr: Option<f64>,
    /// How many places of the page each interest has at least.
    #[arg(long, value_name = "N", default_value_t = 0)]
    quota: u32,
    /// What the scores of an interest are multiplied with: of interest 0, then of 1, and so on.
    #[arg(long, value_name = "W")]
    weight: Vec<f32>,
    /// How many items may have any one value of an attribute, e.g. genres=3.
    #[arg(long, value_name = "ATTRIBUTE=N", value_parser = cap)]
    cap: Vec<AttributeCap>,
    /// How many places of the page the most popular items have.
    #[arg(long, value_name = "N", default_value_t = 0)]
    popular: u32,
    /// How many places of the page the items have that came since the generation was made.
    #[arg(long, value_name = "N", default_value_t = 0)]
    fresh: u32,
    /// Begin after the page that gave this token.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    page_token: Option<String>,
}

impl Selection {
    /// Returns the filter, if there is one.
    pub(crate) fn filter(&self) -> Option<Filter> {
        filter::of(&self.filter)
    }

    /// Returns the items to leave out.
    pub(crate) fn exclude(&self) -> Vec<ItemRef> {
        self.exclude.clone()
    }

    /// Returns options that ask for each item's title and features.
    pub(crate) fn options(&self) -> RecallOptions {
        RecallOptions {
            exact: self.exact,
            with_item: true,
            ..Default::default()
        }
    }
}

impl Asked {
    /// Makes the recall of a first page in the order of the scores; a `page_size` of 0 leaves it to the gateway.
    pub(crate) fn request(&self, page_size: u32, generation: Option<&str>) -> RecallRequest {
        RecallRequest {
            user_id: self.user.clone(),
            page_size,
            exclude: Some(Exclude {
                items: self.selection.exclude(),
                allow_seen: self.allow_seen,
            }),
            options: Some(self.selection.options()),
            generation: generation.unwrap_or_default().to_owned(),
            filter: self.selection.filter(),
            consistency_token: self.consistency_token.clone().unwrap_or_default(),
            ..Default::default()
        }
    }
}

impl Recalled {
    /// Makes the recall. It asks for tokens, so that it can go on and be replayed.
    pub(crate) fn request(&self, generation: Option<&str>) -> RecallRequest {
        RecallRequest {
            options: Some(RecallOptions {
                with_tokens: true,
                ..self.asked.selection.options()
            }),
            diversity: self.diversity(),
            blend: self.blend(),
            page_token: self.page_token.clone().unwrap_or_default(),
            ..self.asked.request(self.k, generation)
        }
    }

    fn diversity(&self) -> Option<Diversity> {
        let diversity = Diversity {
            interest_weights: self.weight.clone(),
            interest_quota: self.quota,
            mmr_lambda: self.mmr,
            caps: self.cap.clone(),
        };
        (diversity != Diversity::default()).then_some(diversity)
    }

    fn blend(&self) -> Option<Blend> {
        let blend = Blend {
            popular: self.popular,
            fresh: self.fresh,
        };
        (blend != Blend::default()).then_some(blend)
    }
}

fn cap(text: &str) -> anyhow::Result<AttributeCap> {
    let read = |(attribute, most): (&str, &str)| {
        Some(AttributeCap {
            attribute: attribute.to_owned(),
            most: most.parse().ok()?,
        })
    };
    let cap = text.rsplit_once('=').and_then(read);
    cap.filter(|cap| !cap.attribute.is_empty())
        .context("expected an attribute and how many, such as genres=3")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        recalled: Recalled,
    }

    fn request(line: &str) -> RecallRequest {
        let words = ["recall"].into_iter().chain(line.split(' '));
        let cli = Cli::try_parse_from(words).unwrap();
        cli.recalled.request(Some("g"))
    }

    #[test]
    fn a_recall_without_flags_is_ten_items_by_score() {
        let request = request("--user 7");
        assert_eq!(request.user_id, "7");
        assert_eq!(request.generation, "g");
        assert_eq!(request.page_size, 10);
        assert_eq!(request.exclude, Some(Exclude::default()));
        assert_eq!(request.filter, None);
        assert_eq!(request.diversity, None);
        assert_eq!(request.blend, None);
        assert_eq!(request.page_token, "");
    }

    #[test]
    fn answers_bring_titles_and_tokens() {
        let options = request("--user 7 --exact").options.unwrap();
        assert!(options.exact && options.with_item && options.with_tokens);
    }

    #[test]
    fn diversity_and_blend_are_sent_as_told() {
        let request = request(
            "--user 7 --weight 1 --weight 0.5 --quota 2 --mmr 0.25 --cap genres=3 --popular 1 --fresh 4",
        );
        let genres = AttributeCap {
            attribute: "genres".to_owned(),
            most: 3,
        };
        assert_eq!(
            request.diversity,
            Some(Diversity {
                interest_weights: vec![1.0, 0.5],
                interest_quota: 2,
                mmr_lambda: Some(0.25),
                caps: vec![genres],
            })
        );
        assert_eq!(
            request.blend,
            Some(Blend {
                popular: 1,
                fresh: 4
            })
        );
    }

    #[test]
    fn a_cap_has_an_attribute_and_a_number() {
        assert!(cap("genres=3").is_ok());
        for text in ["genres", "genres=", "genres=many", "=3"] {
            assert!(cap(text).is_err(), "{text}");
        }
    }
}
