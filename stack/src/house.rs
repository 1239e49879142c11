//! The whole house in one process: item towers, a user tower and a gateway that talk real gRPC on loopback.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use service::drain::{Shutdown, Trigger};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::transport::{Channel, Endpoint};

use crate::ready;

/// How many item towers a house has, if nothing else is said; each holds one shard of every generation.
pub const SHARDS: u32 = 2;

/// How long the parts may take to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the parts keep what they have, and where they listen.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The store: artifacts and generations.
    pub store: PathBuf,
    /// The user tower's events and profiles.
    pub history: PathBuf,
    /// The ONNX Runtime library; none means where it usually is.
    pub onnxruntime: Option<PathBuf>,
    /// The gateway's port; 0 takes a free one for every part, else the towers take the ports above it.
    pub port: u16,
    /// How many item towers there are.
    pub shards: u32,
}

/// A running house; dropping it stops its parts without waiting for them.
pub struct House {
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// Where the user tower listens.
    pub user_tower: SocketAddr,
    /// Where the item towers listen, in the order of their shards.
    pub item_towers: Vec<SocketAddr>,
    trigger: Trigger,
    /// Stop one item tower each; none for those that were stopped.
    item_triggers: Vec<Option<Trigger>>,
    parts: JoinSet<anyhow::Result<()>>,
}

impl House {
    /// Starts every part. The gateway answers as soon as the store names a generation; see [`House::serves`].
    ///
    /// # Errors
    /// If a port is taken or a part's config is refused.
    pub async fn start(plan: &Plan) -> anyhow::Result<Self> {
        let (trigger, shutdown) = Shutdown::manual();
        let mut parts = JoinSet::new();

        let (mut item_towers, mut item_triggers) = (Vec::new(), Vec::new());
        let members: Vec<String> = (0..plan.shards)
            .map(|shard| format!("item-tower-{shard}"))
            .collect();
        for (member, offset) in members.iter().zip(2..) {
            let (listener, address) = listen(plan.port(offset)).await?;
            let mut config: item_tower::config::Config =
                service::config::parse(item_tower::config::DEFAULTS)?;
            config.store = text(&plan.store)?;
            config.member = member.clone();
            config.members = members.clone();
            config.onnxruntime.library = plan.onnxruntime.clone().unwrap_or_default();
            let (trigger, shutdown) = Shutdown::manual();
            parts.spawn(item_tower::serve(config, listener, shutdown));
            item_triggers.push(Some(trigger));
            item_towers.push(address);
        }

        let (listener, user_tower) = listen(plan.port(1)).await?;
        let mut config: user_tower::config::Config =
            service::config::parse(user_tower::config::DEFAULTS)?;
        config.store = text(&plan.store)?;
        config.history.path = plan.history.clone();
        config.onnxruntime.library = plan.onnxruntime.clone().unwrap_or_default();
        parts.spawn(user_tower::serve(config, listener, shutdown.clone()));

        let (listener, gateway) = listen(plan.port).await?;
        let mut config: gateway::config::Config =
            service::config::parse(gateway::config::DEFAULTS)?;
        config.store = text(&plan.store)?;
        config.user_towers = vec![format!("http://{user_tower}")];
        config.item_towers = item_towers
            .iter()
            .map(|address| format!("http://{address}"))
            .collect();
        // It listens on loopback only: whoever can call it is at home here.
        config.traffic.serve = true;
        parts.spawn(gateway::serve(config, listener, shutdown));

        Ok(Self {
            gateway,
            user_tower,
            item_towers,
            trigger,
            item_triggers,
            parts,
        })
    }

    /// Waits until the gateway answers from `generation`.
    ///
    /// # Errors
    /// If a part ends, or it takes too long.
    pub async fn serves(&mut self, generation: &str) -> anyhow::Result<()> {
        let gateway = self.channel()?;
        tokio::select! {
            served = ready::serves(gateway, generation) => served,
            Some(ended) = self.parts.join_next() => {
                ended??;
                bail!("a part of the house stopped by itself")
            }
        }
    }

    /// Stops an item tower, and waits until it is gone; the shard that it held is missing from then on.
    ///
    /// # Errors
    /// The first error of a part.
    pub async fn stop_item_tower(&mut self, number: usize) -> anyhow::Result<()> {
        let trigger = self.item_triggers.get_mut(number).and_then(Option::take);
        if trigger.is_some() {
            drop(trigger);
            if let Some(ended) = self.parts.join_next().await {
                ended??;
            }
        }
        Ok(())
    }

    /// Returns a connection to the gateway, opened when it is first used.
    ///
    /// # Errors
    /// Never for an address that was bound.
    pub fn channel(&self) -> anyhow::Result<Channel> {
        Ok(Endpoint::from_shared(format!("http://{}", self.gateway))?.connect_lazy())
    }

    /// Runs until a part ends or `until` does, then stops every part.
    ///
    /// # Errors
    /// The first error of a part.
    pub async fn run(mut self, until: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            () = until => self.stop().await,
            Some(ended) = self.parts.join_next() => {
                ended??;
                bail!("a part of the house stopped by itself")
            }
        }
    }

    /// Stops every part and waits for it.
    ///
    /// # Errors
    /// The first error of a part, or a part that does not stop.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.trigger.request();
        self.item_triggers.clear();
        let all = async {
            while let Some(ended) = self.parts.join_next().await {
                ended??;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, all)
            .await
            .context("a part of the house does not stop")?
    }
}

impl Plan {
    /// Everything below the folder `work`; the gateway at `port`.
    pub fn at(work: &Path, port: u16) -> Self {
        Self {
            store: work.join("store"),
            history: work.join("history.redb"),
            onnxruntime: None,
            port,
            shards: SHARDS,
        }
    }

    /// The port `offset` above the gateway's; 0 if that is.
    fn port(&self, offset: u16) -> u16 {
        match self.port {
            0 => 0,
            port => port + offset,
        }
    }
}

async fn listen(port: u16) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn text(path: &Path) -> anyhow::Result<String> {
    Ok(path
        .to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))?
        .to_owned())
}
