//! CPU seconds of recalls and of what they are compared with, in alternation.

use crate::{
    Options, calls, echo,
    floor::Floor,
    house::Cpu,
    peer,
    quantiles::median,
    raw,
    recalls::{self, Whom},
    site::Site,
    stage::Stage,
};

/// One round of measurements, in CPU microseconds a recall.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Our servers.
    pub(crate) ours: Cpu,
    /// Servers in their places that only pass messages on.
    pub(crate) bare: Cpu,
    /// The model alone.
    pub(crate) session: f64,
    /// The search of all shards alone.
    pub(crate) search: f64,
    /// The peer's servers.
    pub(crate) peer: Option<peer::Cpu>,
}

/// Measures everything once a round; before the first, every user asks everybody once.
pub(crate) async fn rounds(
    stage: &Stage,
    site: &Site,
    options: &Options,
) -> anyhow::Result<Vec<Round>> {
    let mut model = Floor::open(&site.artifact)?;
    let shards = raw::Shards::open(site).await?;
    let searches = shards.searches(&stage.wanted);
    let gateway = stage.house.gateway.channel().await?;
    let recalls = recalls::turns(Whom::Gateway, &gateway, &stage.users);
    let bare = stage.bare.gateway.channel().await?;
    let message = echo::filled(stage.lengths.recall.request as usize);
    let pass_on = move |_| {
        let (bare, message) = (bare.clone(), message.clone());
        async move {
            echo::call(bare, message).await?;
            Ok(())
        }
    };
    let peer = match &stage.peer {
        Some(peer) => {
            let front = peer.front.channel().await?;
            Some((peer, recalls::turns(Whom::Front, &front, &stage.users)))
        }
        None => None,
    };
    let mut rounds = Vec::new();
    for round in 0..=options.pairs {
        let calls = if round == 0 {
            stage.users.len()
        } else {
            options.calls
        };
        let micros = 1e6 / calls as f64;
        let ours = calls::closed(options.callers, calls, recalls.clone());
        let ours = stage.house.spent(ours).await?.times(micros);
        let bare = calls::closed(options.callers, calls, pass_on.clone());
        let bare = stage.bare.spent(bare).await?.times(micros);
        let session = raw::run(&mut model, &stage.tensors, calls)? * micros;
        let search = shards.search(&searches, calls)? * micros;
        let mut spent = None;
        if let Some((peer, recalls)) = &peer {
            let recalls = calls::closed(options.callers, calls, recalls.clone());
            spent = Some(peer.spent(recalls).await?.times(micros));
        }
        if round > 0 {
            rounds.push(Round {
                ours,
                bare,
                session,
                search,
                peer: spent,
            });
        }
    }
    Ok(rounds)
}

impl Round {
    /// What the same work costs with nothing around it.
    pub(crate) fn floor(&self) -> f64 {
        self.bare.total() + self.session + self.search
    }

    /// What the peer costs, if there is one.
    pub(crate) fn python(&self) -> f64 {
        self.peer.map_or(f64::NAN, peer::Cpu::total)
    }
}

/// The median of something over all rounds.
pub(crate) fn of(rounds: &[Round], what: impl Fn(&Round) -> f64) -> f64 {
    median(rounds.iter().map(what).collect())
}
