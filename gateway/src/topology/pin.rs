//! Decides which generation answers: the one that CURRENT wants, as soon as all who should hold it do.

use generation::store::Current;

use super::{View, crew::Member, look::Shards};

/// How far a generation is loaded; greater is further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Readiness {
    /// No member holds any of it.
    Absent,
    /// Some shard has a holder.
    Part,
    /// Each shard has a healthy holder, a healthy user tower holds it, and all members were asked.
    Whole,
    /// Whole, and no healthy tower lacks it.
    Everywhere,
}

/// How far the generation is loaded in this view.
pub(super) fn readiness(view: &View, generation: &str, members: &[Member<Shards>]) -> Readiness {
    let Some(held) = view.held.get(generation).filter(|held| held.is_present()) else {
        return Readiness::Absent;
    };
    let mut users = view.owners().filter(|user| user.healthy);
    let embeds = users.any(|user| user.held.contains(generation));
    let mut asked = members.iter().map(|member| member.report.asked.is_some());
    let asked = asked.all(|asked| asked) && view.users.iter().all(|user| user.asked);
    if !embeds || !asked || !held.is_covered() {
        Readiness::Part
    } else if !laggards(view, generation, members).is_empty() {
        Readiness::Whole
    } else {
        Readiness::Everywhere
    }
}

/// The addresses of healthy towers that lack the generation.
pub(super) fn laggards(view: &View, generation: &str, members: &[Member<Shards>]) -> Vec<String> {
    let items = members.iter().filter(|member| member.is_healthy());
    let items = items.filter(|member| !member.report.held.knows(generation));
    let users = view.owners().filter(|user| user.healthy);
    let users = users.filter(|user| !user.held.contains(generation));
    let items = items.map(|member| &member.replica);
    let lacking = items.chain(users.map(|user| &user.replica));
    lacking
        .map(|replica| replica.address().to_owned())
        .collect()
}

/// Chooses the generation to answer from.
///
/// The one that CURRENT wants served, once it is held everywhere, or, when that took too long (`impatient`), once it
/// is whole. Until then the one pinned, as long as anyone holds it. Failing that, what can be had of those that CURRENT
/// names: a whole one at once, a part only when impatient or when what was pinned is gone.
pub(super) fn choose<'a>(
    current: &'a Current,
    pinned: Option<&'a str>,
    impatient: bool,
    readiness: impl Fn(&str) -> Readiness,
) -> Option<&'a str> {
    let serving = current.serving.as_str();
    let enough = if impatient {
        Readiness::Whole
    } else {
        Readiness::Everywhere
    };
    if readiness(serving) >= enough {
        return Some(serving);
    }
    let present = pinned.filter(|pinned| readiness(pinned) >= Readiness::Part);
    let named = || {
        [Some(serving), current.previous.as_deref()]
            .into_iter()
            .flatten()
    };
    present
        .or_else(|| named().find(|id| readiness(id) >= Readiness::Whole))
        .or_else(|| {
            let takes_parts = impatient || pinned.is_some();
            named().find(|id| takes_parts && readiness(id) >= Readiness::Part)
        })
        .or(pinned)
}

#[cfg(test)]
mod tests {
    use super::{Readiness::*, *};

    /// Chooses with "new" served and "old" the one before, each as ready as given.
    fn check(
        pinned: Option<&str>,
        impatient: bool,
        new: Readiness,
        old: Readiness,
        expected: Option<&str>,
    ) {
        let current = Current {
            previous: Some("old".to_owned()),
            ..Current::of("new")
        };
        let readiness = |id: &str| match id {
            "new" => new,
            "old" => old,
            _ => Absent,
        };
        assert_eq!(
            choose(&current, pinned, impatient, readiness),
            expected,
            "pinned {pinned:?}, impatient {impatient}, new {new:?}, old {old:?}"
        );
    }

    #[test]
    fn a_new_generation_is_taken_once_it_is_everywhere() {
        check(Some("old"), false, Part, Everywhere, Some("old"));
        check(Some("old"), false, Whole, Everywhere, Some("old"));
        check(Some("old"), false, Everywhere, Everywhere, Some("new"));
        check(Some("old"), false, Everywhere, Absent, Some("new"));
    }

    #[test]
    fn one_laggard_holds_up_the_rest_only_so_long() {
        check(Some("old"), true, Whole, Everywhere, Some("new"));
        check(Some("old"), true, Part, Everywhere, Some("old"));
    }

    #[test]
    fn a_lost_shard_does_not_move_the_pin() {
        check(Some("new"), false, Part, Everywhere, Some("new"));
        check(Some("new"), true, Part, Everywhere, Some("new"));
    }

    #[test]
    fn a_pinned_generation_that_nobody_holds_gives_way_to_what_there_is() {
        check(Some("gone"), false, Part, Everywhere, Some("old"));
        check(Some("gone"), false, Whole, Part, Some("new"));
        check(Some("gone"), false, Part, Part, Some("new"));
        check(Some("gone"), false, Absent, Part, Some("old"));
        check(Some("gone"), false, Absent, Absent, Some("gone"));
    }

    #[test]
    fn a_gateway_that_just_started_waits_for_a_whole_generation_first() {
        check(None, false, Absent, Absent, None);
        check(None, false, Part, Absent, None);
        check(None, false, Part, Whole, Some("old"));
        check(None, true, Part, Absent, Some("new"));
        check(None, true, Absent, Absent, None);
    }
}
