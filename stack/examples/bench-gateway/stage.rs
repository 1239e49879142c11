//! Everything that is compared in one catalog, running.

use std::{collections::HashSet, sync::Arc};

use encoder::{artifact::Artifact, features::tensors::Tensor};

use crate::{
    Options, USERS,
    asked::{self, Lengths, Wanted},
    house::{House, WITHOUT_CACHE},
    peer::Peer,
    site::Site,
    truth, users,
};

/// Users whose answers are compared with the best.
const SAMPLE: usize = 128;

/// Those who ask, and the servers that they ask.
pub(crate) struct Stage {
    pub(crate) users: Arc<Vec<String>>,
    /// Those of each user.
    pub(crate) tensors: Vec<Vec<Tensor>>,
    pub(crate) wanted: Vec<Wanted>,
    /// What the first users should find.
    pub(crate) best: Vec<HashSet<u64>>,
    pub(crate) lengths: Lengths,
    pub(crate) house: House,
    /// Servers that only pass messages on.
    pub(crate) bare: House,
    pub(crate) peer: Option<Peer>,
}

impl Stage {
    /// Starts everything for a site.
    pub(crate) async fn set(site: &Site, options: &Options) -> anyhow::Result<Self> {
        let users = users::read(&options.data, USERS)?;
        let artifact = Artifact::open(&site.artifact)?.user_tensors();
        let tensors = users.chunks(1).map(|user| artifact.batch(user, 1).tensors);
        let tensors: Vec<_> = tensors.collect();
        let users: Vec<String> = users.into_iter().map(|user| user.id).collect();
        let house = House::start(site, &users, &WITHOUT_CACHE, options).await?;
        let (wanted, lengths) = asked::of(site, &house, &users).await?;
        let sample = wanted.iter().take(SAMPLE);
        let best: Vec<_> = sample
            .map(|wanted| truth::best(&site.catalog, wanted))
            .collect();
        let peer = match &options.python {
            Some(python) => Some(Peer::start(python, site, &users, &tensors, &wanted, &best)?),
            None => None,
        };
        println!("{}, {} items: {lengths:.0?}", site.model, site.items());
        Ok(Self {
            bare: House::bare(&lengths, house.item_towers.len())?,
            users: Arc::new(users),
            tensors,
            wanted,
            best,
            lengths,
            house,
            peer,
        })
    }
}
