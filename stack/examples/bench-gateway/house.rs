//! The servers of a recall, each a process of its own.

use std::{fs, process::Command, time::Duration};

use anyhow::Context as _;
use indicatif::ProgressBar;
use proto::v1::recall_service_client::RecallServiceClient;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::{
    Options,
    asked::Lengths,
    process::Process,
    recalls,
    site::{Site, text},
    usage,
};

/// Lets a user tower keep no vector from call to call.
pub(crate) const WITHOUT_CACHE: [(&str, &str); 1] = [("MODELS__VECTOR_CACHE_BYTES", "0")];
/// Four servers share the cores: each answers with one thread, as do those that only pass messages on.
const WORKERS: (&str, &str) = ("SERVER__WORKERS", "1");
/// How long the servers may take to open a generation.
const PATIENCE: Duration = Duration::from_secs(900);

/// Running servers, of a site or with nothing to do but pass bytes on.
pub(crate) struct House {
    pub(crate) gateway: Process,
    pub(crate) user_tower: Process,
    pub(crate) item_towers: Vec<Process>,
}

/// CPU seconds of the servers, or of what they do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) gateway: f64,
    pub(crate) user_tower: f64,
    pub(crate) item_towers: f64,
}

impl Cpu {
    pub(crate) fn total(self) -> f64 {
        self.gateway + self.user_tower + self.item_towers
    }

    pub(crate) fn times(self, factor: f64) -> Self {
        Self {
            gateway: self.gateway * factor,
            user_tower: self.user_tower * factor,
            item_towers: self.item_towers * factor,
        }
    }
}

impl House {
    /// Starts the servers of a site, an item tower a shard, and waits until they answer for these users. `settings` are the user
    /// tower's.
    pub(crate) async fn start(
        site: &Site,
        users: &[String],
        settings: &[(&str, &str)],
        options: &Options,
    ) -> anyhow::Result<Self> {
        let item_towers = item_towers(site, options)?;
        let addresses: Vec<_> = item_towers.iter().map(|tower| tower.uri.clone()).collect();
        Self::before(item_towers, &addresses, site, users, settings, options).await
    }

    /// Starts a user tower and a gateway before item towers that run already, at these addresses.
    pub(crate) async fn before(
        item_towers: Vec<Process>,
        addresses: &[String],
        site: &Site,
        users: &[String],
        settings: &[(&str, &str)],
        options: &Options,
    ) -> anyhow::Result<Self> {
        let user_tower = user_tower(site, settings, options).await?;
        let house = Self {
            gateway: gateway(site, &user_tower, addresses, options)?,
            user_tower,
            item_towers,
        };
        house.answers(users).await?;
        Ok(house)
    }

    /// Starts servers in the places of a house's that only pass messages of the same lengths on.
    pub(crate) fn bare(lengths: &Lengths, item_towers: usize) -> anyhow::Result<Self> {
        let echo = |answer: f64, next: &[(&str, String)]| {
            let mut command = Command::new(std::env::current_exe()?);
            command
                .env("TOKIO_WORKER_THREADS", WORKERS.1)
                .arg("echo")
                .arg("--answer")
                .arg(format!("{answer:.0}"));
            for (option, next) in next {
                command.arg(option).arg(next);
            }
            Process::start(command, |line| {
                line.strip_prefix("listening ").map(str::to_owned)
            })
        };
        let user_tower = echo(lengths.embed.answer, &[])?;
        let item_towers = (0..item_towers).map(|_| echo(lengths.search.answer, &[]));
        let item_towers = item_towers.collect::<Result<Vec<_>, _>>()?;
        let to = |server: &Process, bytes: f64| format!("{}={bytes:.0}", server.uri);
        let mut next = vec![("--first", to(&user_tower, lengths.embed.request))];
        next.extend(
            item_towers
                .iter()
                .map(|tower| ("--then", to(tower, lengths.search.request))),
        );
        Ok(Self {
            gateway: echo(lengths.recall.answer, &next)?,
            user_tower,
            item_towers,
        })
    }

    /// CPU seconds so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        let towers = self.item_towers.iter().map(Process::cpu);
        let towers: Duration = towers.sum::<anyhow::Result<_>>()?;
        Ok(Cpu {
            gateway: self.gateway.cpu()?.as_secs_f64(),
            user_tower: self.user_tower.cpu()?.as_secs_f64(),
            item_towers: towers.as_secs_f64(),
        })
    }

    /// CPU seconds that the calls take.
    pub(crate) async fn spent(
        &self,
        calls: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Cpu> {
        let before = self.cpu()?;
        calls.await?;
        let after = self.cpu()?;
        Ok(Cpu {
            gateway: after.gateway - before.gateway,
            user_tower: after.user_tower - before.user_tower,
            item_towers: after.item_towers - before.item_towers,
        })
    }

    /// Its processes' numbers.
    pub(crate) fn pids(&self) -> Vec<String> {
        let servers = [&self.gateway, &self.user_tower];
        let servers = servers.into_iter().chain(&self.item_towers);
        servers.map(Process::pid).collect()
    }

    /// Anonymous memory of all of it, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let pids = self.pids();
        pids.iter().map(|pid| usage::memory(pid)).sum()
    }

    /// Waits until each of these users gets a whole answer.
    async fn answers(&self, users: &[String]) -> anyhow::Result<()> {
        let late = Instant::now() + PATIENCE;
        let channel = Channel::from_shared(self.gateway.uri.clone())?.connect_lazy();
        let mut client = RecallServiceClient::new(channel);
        for user in users {
            loop {
                let answer = client.recall(recalls::request(user, 1)).await;
                let whole = |answer: &tonic::Response<proto::v1::RecallResponse>| {
                    answer.get_ref().degraded_reasons.is_empty()
                };
                if answer.as_ref().is_ok_and(whole) {
                    break;
                }
                anyhow::ensure!(
                    Instant::now() < late,
                    "no whole answer for {user}: {answer:?}"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }
}

/// Starts an item tower for each shard of a site.
pub(crate) fn item_towers(site: &Site, options: &Options) -> anyhow::Result<Vec<Process>> {
    let names: Vec<_> = (0..site.shards)
        .map(|shard| format!("item-tower-{shard}"))
        .collect();
    let members = names.join(",");
    let store = text(&site.store);
    let start = |name: &String| {
        let settings = [
            ("STORE", store.as_str()),
            ("MEMBER", name),
            ("MEMBERS", &members),
            WORKERS,
        ];
        Process::server(&options.bin.join("item-tower"), &settings)
    };
    names.iter().map(start).collect()
}

/// Starts a user tower that has the dataset's users.
async fn user_tower(
    site: &Site,
    settings: &[(&str, &str)],
    options: &Options,
) -> anyhow::Result<Process> {
    let history = site.folder.join("history.redb");
    if history.exists() {
        fs::remove_file(&history)?;
    }
    let (store, history) = (text(&site.store), text(&history));
    let own = [
        ("STORE", store.as_str()),
        ("HISTORY__PATH", &history),
        WORKERS,
    ];
    let settings = [&own, settings].concat();
    let tower = Process::server(&options.bin.join("user-tower"), &settings)?;
    let bar = ProgressBar::hidden();
    let imported = user_tower::import::import(&options.data, &tower.uri, &bar).await;
    imported.context("the dataset's users")?;
    Ok(tower)
}

/// Starts a gateway before these servers.
fn gateway(
    site: &Site,
    user_tower: &Process,
    item_towers: &[String],
    options: &Options,
) -> anyhow::Result<Process> {
    let settings = [
        ("STORE", &*text(&site.store)),
        ("USER_TOWERS", &*user_tower.uri),
        ("ITEM_TOWERS", &item_towers.join(",")),
        WORKERS,
    ];
    Process::server(&options.bin.join("gateway"), &settings)
}
