//! The capsules of a recipe: how many interests a user has, how the history is routed to them, how they are trained.

use serde::{Deserialize, Serialize};

use crate::model::error::Error;

/// Several interests a user, by dynamic routing over the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capsules {
    /// Interests, and so vectors, of a user.
    pub interests: usize,
    /// Iterations of the routing.
    pub iterations: usize,
    /// What the routing starts from.
    pub logits: Logits,
    /// What the loss compares with an item.
    pub objective: Choice,
    /// Whether a user with `n` events has only `max(1, min(interests, log2 n))` interests.
    #[serde(default)]
    pub adaptive: bool,
    /// Whether an embedding of the event's age is added to the routed items.
    #[serde(default)]
    pub positions: bool,
}

/// The routing logits before the first iteration: by interest and by the event's age, the same for all users.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Logits {
    /// Normal draws of this spread, made once.
    Noise(f32),
    /// The same, but training draws anew for every user and step.
    Redrawn(f32),
    /// This for the ages of the interest's own band, 0 elsewhere; bands widen with the age.
    Bands(f32),
}

/// What the loss compares with an item.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The interest that fits the item best, as in serving: positive and negatives each have their own.
    Best,
    /// One mixture for positive and negatives, by label-aware attention of this power.
    LabelAware(f32),
}

impl Capsules {
    /// How many interests a user with this many known events has.
    pub(crate) fn active(&self, events: usize) -> u32 {
        let all = self.interests as u32;
        match self.adaptive {
            true => events.max(1).ilog2().clamp(1, all),
            false => all,
        }
    }

    /// Checks the values.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::Recipe(format!("capsules.{reason}")));
        if self.interests < 2 {
            return refuse(format!(
                "interests is {}, it must be at least 2",
                self.interests
            ));
        }
        if self.iterations == 0 {
            return refuse("iterations is 0, it must be at least 1".into());
        }
        let (Logits::Noise(spread) | Logits::Redrawn(spread) | Logits::Bands(spread)) = self.logits;
        if !(spread > 0.0 && spread.is_finite()) {
            return refuse(format!(
                "logits is {spread}, it must be above 0: equal logits make all interests one"
            ));
        }
        match self.objective {
            Choice::LabelAware(power) if !(power >= 1.0 && power.is_finite()) => refuse(format!(
                "objective has the power {power}, it must be at least 1"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::model::recipe::Recipe;

    fn capsules() -> Capsules {
        Capsules {
            interests: 5,
            iterations: 3,
            logits: Logits::Noise(1.0),
            objective: Choice::Best,
            adaptive: true,
            positions: false,
        }
    }

    #[test]
    fn a_short_history_has_fewer_interests_but_always_one() {
        let active = [0, 1, 2, 3, 4, 8, 31, 32, 5_000].map(|events| capsules().active(events));
        assert_eq!(active, [1, 1, 1, 1, 2, 3, 4, 5, 5]);
        let all = Capsules {
            adaptive: false,
            ..capsules()
        };
        assert_eq!(all.active(0), 5);
    }

    #[test]
    fn the_recipes_of_the_repository_parse() {
        for text in [
            include_str!("../../../towers/document.toml"),
            include_str!("../../../towers/capsules-label-aware.toml"),
            include_str!("../../../towers/capsules-max.toml"),
            include_str!("../../../towers/capsules.toml"),
        ] {
            let recipe = Recipe::parse(text).unwrap();
            assert_eq!(recipe.interests(), 5);
            let written = toml::to_string(&recipe).unwrap();
            assert_eq!(Recipe::parse(&written).unwrap(), recipe);
        }
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let refused = |capsules: Capsules, expected: &str| {
            let error = capsules.check().err().map(|error| error.to_string());
            assert!(error.is_some_and(|error| error.contains(expected)));
        };
        let with_logits = |logits| Capsules {
            logits,
            ..capsules()
        };
        refused(with_logits(Logits::Noise(0.0)), "logits is 0");
        let with_power = |power| Capsules {
            objective: Choice::LabelAware(power),
            ..capsules()
        };
        refused(with_power(0.5), "power 0.5");
        let of_interests = |interests| Capsules {
            interests,
            ..capsules()
        };
        refused(of_interests(1), "interests is 1");
        assert!(capsules().check().is_ok());
    }
}
