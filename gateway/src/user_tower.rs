//! Asks the user tower that owns a user for the user's interests and for what the user has seen.

use generation::partition;
use proto::v1::{
    AsOf, Attention, EmbedUsersRequest, EmbedUsersResponse, UserContext, UserEmbedding, UserQuery,
    Vectors, item_ref, user_tower_service_client::UserTowerServiceClient,
};
use tokio::time::Instant;

use crate::{
    error::Error,
    failure::Failure,
    replica::{ANSWER_BYTES, Replica},
    topology::{Held, View},
};

/// The user of a recall, as the caller names or describes them.
#[derive(Clone, Debug)]
pub(crate) struct Who(UserQuery);

/// An embedded user.
#[derive(Debug)]
pub(crate) struct User {
    /// One vector an interest, in the generation's space; none if nothing about the user says what to search for.
    pub(crate) interests: Interests,
    /// Every item that the user has seen, ascending.
    pub(crate) seen: Vec<u64>,
    /// Whether nothing was known of the user.
    pub(crate) cold_start: bool,
    /// Whether events may be missing from the history.
    pub(crate) stale_history: bool,
    /// The moment that was embedded, if it was asked for.
    pub(crate) as_of: Option<AsOf>,
    /// The items of the history, oldest first, if they were asked for.
    pub(crate) history: Vec<u64>,
    /// How much each event counts, if that was asked for and the model tells.
    pub(crate) attention: Option<Attention>,
}

/// How users are embedded, and what is told of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How {
    /// Each in a batch of its own; tells the moment.
    pub(crate) reproducible: bool,
    /// Tells the history and how much each event counts.
    pub(crate) with_history: bool,
}

/// Query vectors `[count, dim]`, none of them zero, passed on as they came.
#[derive(Clone, Debug)]
pub(crate) struct Interests {
    /// The vectors.
    pub(crate) vectors: Vectors,
    /// The user's number of each, ascending.
    numbers: Vec<u32>,
}

impl User {
    /// Bytes of the vectors and of what was seen.
    pub(crate) fn bytes(&self) -> usize {
        self.interests.vectors.f32.len() + self.seen.len() * size_of::<u64>()
    }
}

impl Interests {
    /// Leaves out the zero vectors, which are close to nothing and which no shard can be searched with.
    fn new(mut vectors: Vectors) -> Self {
        let mut numbers = Vec::new();
        let mut kept = Vec::with_capacity(vectors.f32.len());
        let rows = vectors.f32.chunks(vectors.dim as usize * size_of::<f32>());
        for (number, row) in (0..).zip(rows) {
            if !is_zero(row) {
                numbers.push(number);
                kept.extend_from_slice(row);
            }
        }
        vectors.f32 = kept.into();
        Self { vectors, numbers }
    }

    /// Vectors that stand for interests in their order, `[dim]` each, in the generation's space.
    pub(crate) fn of<'a>(generation: &Held, vectors: impl IntoIterator<Item = &'a [f32]>) -> Self {
        let numbers = vectors.into_iter().flatten();
        Self::new(Vectors {
            f32: numbers.flat_map(|number| number.to_le_bytes()).collect(),
            dim: generation.manifest.dim as u32,
            space: generation.manifest.space.clone(),
        })
    }

    /// Each interest's vector, and the user's number of it.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u32, Vec<f32>)> {
        let rows = self
            .vectors
            .f32
            .chunks(self.vectors.dim as usize * size_of::<f32>());
        let numbers = |row: &[u8]| {
            row.as_chunks()
                .0
                .iter()
                .copied()
                .map(f32::from_le_bytes)
                .collect()
        };
        self.numbers.iter().copied().zip(rows.map(numbers))
    }

    /// The interest of the user's number alone.
    pub(crate) fn only(&self, number: u32) -> Self {
        let bytes = self.vectors.dim as usize * size_of::<f32>();
        let row = self.numbers.iter().position(|other| *other == number);
        let kept = row.map_or(0..0, |row| row * bytes..(row + 1) * bytes);
        Self {
            vectors: Vectors {
                f32: self.vectors.f32.slice(kept),
                ..self.vectors.clone()
            },
            numbers: row.map(|_| number).into_iter().collect(),
        }
    }

    /// The interests multiplied with their weights, by the user's number; those that are left with nothing are left out.
    pub(crate) fn weighted(&self, weights: &[f32]) -> Self {
        let weighted = self.rows().flat_map(|(number, row)| {
            let weight = weights.get(number as usize).copied().unwrap_or(1.0);
            row.into_iter().map(move |x| x * weight)
        });
        let mut weighted = Self::new(Vectors {
            f32: weighted.flat_map(f32::to_le_bytes).collect(),
            ..self.vectors.clone()
        });
        for number in &mut weighted.numbers {
            *number = self.numbers[*number as usize];
        }
        weighted
    }

    /// Whether there is nothing to search with.
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The user's number of the interest that stands in `row`.
    pub(crate) fn number(&self, row: u32) -> Option<u32> {
        self.numbers.get(row as usize).copied()
    }
}

/// Whether the vector's norm is zero.
fn is_zero(row: &[u8]) -> bool {
    let values = row.as_chunks().0.iter().copied().map(f32::from_le_bytes);
    values.map(|value| value * value).sum::<f32>() == 0.0
}

impl Who {
    /// A stored user (`user_id` not empty), a described one (`context`), or a stored one with additions; the stored
    /// history must include what `consistency_token` stands for.
    pub(crate) fn new(
        user_id: String,
        context: Option<UserContext>,
        consistency_token: String,
    ) -> Self {
        Self(UserQuery {
            user_id,
            context,
            consistency_token,
            ..UserQuery::default()
        })
    }

    /// The user as the tower is asked for them: as of a moment if it is given, without the events of some items.
    pub(crate) fn asked(&self, as_of: Option<AsOf>, without: Vec<u64>) -> UserQuery {
        UserQuery {
            as_of,
            without,
            ..self.0.clone()
        }
    }

    /// The stored user, if that is all there is to know: nothing came with the call.
    pub(crate) fn stored(&self) -> Option<&str> {
        let plain = !self.0.user_id.is_empty() && self.0.context.is_none();
        plain.then_some(self.0.user_id.as_str())
    }

    /// Whom a traffic policy treats alike, if the caller does not say.
    pub(crate) fn id(&self) -> &str {
        &self.0.user_id
    }

    /// Whether the caller asks for certain events to be included.
    pub(crate) fn has_token(&self) -> bool {
        !self.0.consistency_token.is_empty()
    }

    /// The items of the history that came with the call.
    pub(crate) fn items(&self) -> impl Iterator<Item = u64> {
        let history = self.0.context.iter().flat_map(|context| &context.history);
        history.filter_map(|event| match event.item.as_ref()?.name.as_ref()? {
            item_ref::Name::Id(id) => Some(*id),
            item_ref::Name::Key(key) => Some(partition::item_id(key)),
        })
    }
}

/// Embeds one user, asked for in several ways, with the user model of `generation`: at the owner, or, for a user who is only
/// described, anywhere.
///
/// # Errors
/// [`Error::Unreachable`] or [`Error::Late`] if there is no answer by `until`, [`Error::Stale`] if the tower goes by
/// another generation or other MEMBERS.
pub(crate) async fn embed(
    view: &View,
    generation: &Held,
    users: Vec<UserQuery>,
    how: How,
    until: Instant,
) -> Result<Vec<User>, Error> {
    let id = &generation.manifest.id;
    let user = users.first().map(|user| user.user_id.clone());
    let user = user.unwrap_or_default();
    let request = EmbedUsersRequest {
        generation: id.clone(),
        users,
        reproducible: how.reproducible,
        with_attention: how.with_history,
        with_history: how.with_history,
        ..EmbedUsersRequest::default()
    };
    if user.is_empty() {
        return embed_anywhere(view, generation, request, until).await;
    }
    let owner = view.owner(&user)?;
    if owner.is_gone() || !owner.held.contains(id) {
        return Err(Error::Unreachable {
            member: owner.name.clone(),
            cause: format!("by its last answer it cannot embed for generation {id}"),
        });
    }
    let request = EmbedUsersRequest {
        members_epoch: view.epoch(),
        ..request
    };
    let count = request.users.len();
    let answer = ask(&owner.replica, request, until).await;
    decode(&owner.name, generation, count, answer)
}

/// Asks any user tower that holds the generation, and another one if the first cannot be reached.
async fn embed_anywhere(
    view: &View,
    generation: &Held,
    request: EmbedUsersRequest,
    until: Instant,
) -> Result<Vec<User>, Error> {
    let id = &generation.manifest.id;
    let count = request.users.len();
    let Some(first) = view.embedder(id, None) else {
        return Err(Error::Unreachable {
            member: "every user tower".to_owned(),
            cause: format!("none that is healthy holds generation {id}"),
        });
    };
    let retries = &generation.calls.retries;
    retries.earn();
    let mut answer = ask(first, request.clone(), until).await;
    if answer.as_ref().is_err_and(Failure::may_try_another)
        && let Some(second) = view.embedder(id, Some(first))
        && retries.spend()
    {
        answer = ask(second, request, until).await;
    }
    decode("a user tower", generation, count, answer)
}

async fn ask(
    member: &Replica,
    request: EmbedUsersRequest,
    until: Instant,
) -> Result<EmbedUsersResponse, Failure> {
    member
        .call(request, until, |channel, request| async {
            UserTowerServiceClient::new(channel)
                .max_decoding_message_size(ANSWER_BYTES)
                .embed_users(request)
                .await
        })
        .await
}

/// Takes the users out of an answer for `count`, and refuses vectors that the generation's shards could not be searched with.
fn decode(
    member: &str,
    generation: &Held,
    count: usize,
    answer: Result<EmbedUsersResponse, Failure>,
) -> Result<Vec<User>, Error> {
    let refused = |failure| {
        let own_name = |field: &str| field.strip_prefix("users[0].").unwrap_or(field).to_owned();
        Error::of(member, failure).rename_fields(own_name)
    };
    let users = answer.map_err(refused)?.users;
    if users.len() != count {
        let what = format!("{} users, asked for {count}", users.len());
        return Err(Error::of(member, Failure::Malformed(what)));
    }
    let users = users
        .into_iter()
        .map(|user| user_of(member, generation, user));
    users.collect()
}

/// Takes one user out of an answer.
fn user_of(member: &str, generation: &Held, user: UserEmbedding) -> Result<User, Error> {
    let malformed = |what| Error::of(member, Failure::Malformed(what));
    let interests = user.interests.unwrap_or_default();
    let manifest = &generation.manifest;
    if interests.space != manifest.space {
        return Err(Error::SpaceMismatch {
            generation: manifest.id.clone(),
            expected: manifest.space.clone(),
            member: member.to_owned(),
            found: interests.space,
        });
    }
    let bytes = interests.f32.len();
    let whole_rows = bytes > 0 && bytes.is_multiple_of(manifest.dim * size_of::<f32>());
    if interests.dim as usize != manifest.dim || !whole_rows {
        return Err(malformed(format!(
            "interests of dimension {} in {bytes} bytes, generation {} has dimension {}",
            interests.dim, manifest.id, manifest.dim
        )));
    }
    Ok(User {
        interests: Interests::new(interests),
        seen: user.seen,
        cold_start: user.cold_start,
        stale_history: user.stale_history,
        as_of: user.as_of,
        history: user.history,
        attention: user.attention,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interests(values: &[f32]) -> Interests {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        Interests::new(Vectors {
            f32: bytes.collect(),
            dim: 2,
            space: String::new(),
        })
    }

    #[test]
    fn zero_vectors_are_left_out_and_the_others_keep_their_numbers() {
        let some = interests(&[0.0, -0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0]);
        let rows: Vec<_> = (0..3).map(|row| some.number(row)).collect();
        assert_eq!(rows, [Some(1), Some(3), None]);
        assert_eq!(
            some.vectors.f32,
            interests(&[1.0, 0.0, 0.0, 2.0]).vectors.f32
        );
        assert!(interests(&[0.0; 4]).is_empty());
    }

    #[test]
    fn weights_multiply_the_vectors_and_one_of_zero_takes_its_interest_out() {
        let all = interests(&[0.0, 0.0, 1.0, 0.0, 0.0, 2.0]);
        let rows: Vec<_> = all.weighted(&[9.0, 0.5]).rows().collect();
        assert_eq!(rows, [(1, vec![0.5, 0.0]), (2, vec![0.0, 2.0])]);
        let rows: Vec<_> = all.weighted(&[1.0, 0.0]).rows().collect();
        assert_eq!(rows, [(2, vec![0.0, 2.0])]);
    }

    #[test]
    fn one_interest_alone_keeps_its_number() {
        let all = interests(&[1.0, 0.0, 0.0, 2.0]);
        assert_eq!(
            all.only(1).rows().collect::<Vec<_>>(),
            [(1, vec![0.0, 2.0])]
        );
        assert!(all.only(7).is_empty());
    }
}
