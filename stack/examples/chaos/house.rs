//! Item towers, user towers and gateways over one store.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    answers::{Outcome, Seen},
    load::{Clients, request},
    server::Server,
    site::{SHARDS, Site, USER_TOWERS, text},
};

/// How often towers and gateways look at the store, and gateways at the towers.
pub(crate) const REFRESH: Duration = Duration::from_millis(200);
/// How long it may take until every recall is whole.
const PATIENCE: Duration = Duration::from_secs(60);

/// The processes of a house.
pub(crate) struct House {
    /// One copy of each shard in order, then the other copy of each, if there is one.
    pub(crate) item_towers: Vec<Server>,
    pub(crate) user_towers: Vec<Server>,
    pub(crate) gateways: Vec<Server>,
}

impl House {
    /// Starts the towers.
    ///
    /// Copies of neighbouring shards are put on the same members, so that eight members with two copies would leave some of
    /// them without a shard. So there are four members with one copy, and a process of each for every copy.
    pub(crate) fn towers(site: &Site) -> anyhow::Result<Self> {
        let (store, refresh) = (text(&site.store), format!("{}ms", REFRESH.as_millis()));
        let members: Vec<String> = (0..SHARDS)
            .map(|shard| format!("item-tower-{shard}"))
            .collect();
        let item_tower = |number: usize| {
            let settings = [
                ("STORE", store.as_str()),
                ("MEMBERS", &members.join(",")),
                ("MEMBER", &members[number % SHARDS]),
                ("SHARDS__REFRESH", &refresh),
                ("SHARDS__LINGER", &refresh),
            ];
            let name = format!("item-tower-{number}");
            Server::start(&site.launch, "item-tower", &name, &settings)
        };
        let user_tower = |member: &&str| {
            let history = site.folder.path().join(format!("{member}.redb"));
            let settings = [
                ("STORE", store.as_str()),
                ("MEMBER", member),
                ("HISTORY__PATH", &text(&history)),
                ("MODELS__REFRESH", &refresh),
                ("MODELS__LINGER", &refresh),
            ];
            Server::start(&site.launch, "user-tower", member, &settings)
        };
        Ok(Self {
            item_towers: (0..SHARDS * site.copies)
                .map(item_tower)
                .collect::<Result<_, _>>()?,
            user_towers: USER_TOWERS
                .iter()
                .map(user_tower)
                .collect::<Result<_, _>>()?,
            gateways: Vec::new(),
        })
    }

    /// Starts the towers and as many gateways, and waits until all is well.
    pub(crate) async fn start(site: &Site, gateways: usize) -> anyhow::Result<Self> {
        let mut house = Self::towers(site)?;
        let item_towers: Vec<String> = house.item_towers.iter().map(Server::uri).collect();
        for _ in 0..gateways {
            house.add_gateway(site, &item_towers)?;
        }
        house.is_whole(site.newest()).await?;
        Ok(house)
    }

    /// Starts a gateway that finds the item towers at these addresses.
    pub(crate) fn add_gateway(
        &mut self,
        site: &Site,
        item_towers: &[String],
    ) -> anyhow::Result<()> {
        let user_towers: Vec<String> = self.user_towers.iter().map(Server::uri).collect();
        let settings = [
            ("STORE", text(&site.store)),
            ("USER_TOWERS", user_towers.join(",")),
            ("ITEM_TOWERS", item_towers.join(",")),
            ("TOPOLOGY__REFRESH", format!("{}ms", REFRESH.as_millis())),
        ];
        let settings = settings.each_ref().map(|(key, value)| (*key, &**value));
        let name = format!("gateway-{}", self.gateways.len());
        let server = Server::start(&site.launch, "gateway", &name, &settings)?;
        self.gateways.push(server);
        Ok(())
    }

    /// Waits until every process serves the generation and the recalls of a while are whole.
    pub(crate) async fn is_whole(&self, generation: &str) -> anyhow::Result<()> {
        for server in self.servers() {
            server.serves(generation).await?;
        }
        let seen = Seen::default();
        let late = Instant::now() + PATIENCE;
        for gateway in &self.gateways {
            let clients = Clients::new(&[gateway.uri()], 1)?;
            let mut in_a_row = 0;
            while in_a_row < 50 {
                let answer = clients.recall(request(in_a_row)).await;
                match seen.take(in_a_row, &answer) {
                    Outcome::Whole => in_a_row += 1,
                    outcome => {
                        in_a_row = 0;
                        anyhow::ensure!(
                            Instant::now() < late,
                            "the house is not whole: {outcome:?}"
                        );
                    }
                }
                sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    /// Waits until every gateway answers from the generation.
    pub(crate) async fn serves(&self, generation: &str) -> anyhow::Result<()> {
        for gateway in &self.gateways {
            gateway.serves(generation).await?;
        }
        Ok(())
    }

    /// Where the gateways listen.
    pub(crate) fn uris(&self) -> Vec<String> {
        self.gateways.iter().map(Server::uri).collect()
    }

    /// CPU time that all processes used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        self.servers().map(Server::cpu).sum()
    }

    fn servers(&self) -> impl Iterator<Item = &Server> {
        let towers = self.item_towers.iter().chain(&self.user_towers);
        towers.chain(&self.gateways)
    }

    /// Every process, to be restarted.
    pub(crate) fn servers_mut(&mut self) -> impl Iterator<Item = &mut Server> {
        let towers = self.item_towers.iter_mut().chain(&mut self.user_towers);
        towers.chain(&mut self.gateways)
    }
}
