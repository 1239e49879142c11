//! The order of a re-index: plan, embed part by part, build shard by shard, verify, publish.

use std::{fmt, sync::Arc, time::Instant};

use encoder::artifact::Artifact;
use generation::{collect::collect, store::Store};
use serde::Serialize;
use tokio::task;
use tracing::{info, warn};

use crate::{
    artifact,
    build::{self, Shard},
    config::Config,
    embed::{self, Part},
    error::{Error, JobError},
    plan::{self, Plan},
    publish,
    summary::Summary,
    updates::Range,
    verify,
    work::{Made, Work},
};

/// A job that is planned, and what its steps need.
pub(crate) struct Job {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) artifact: Arc<Artifact>,
    pub(crate) work: Work,
    pub(crate) plan: Plan,
}

/// What a step came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Done<T> {
    /// The step.
    pub(crate) step: String,
    /// Whether it was done before, so that there was nothing to do.
    pub(crate) before: bool,
    /// What it made.
    #[serde(flatten)]
    pub(crate) made: T,
}

/// Makes one generation and publishes it, or leaves the store as it is.
///
/// Goes on where a run of the same plan stopped. The plan remembers what serves: of two builders at once, the one that comes to
/// publish second is refused.
pub(crate) async fn run(config: Config) -> Result<Summary, Error> {
    config.validate()?;
    let begun = Instant::now();
    let work = Work::open(&config.work)?;
    let _lock = work.lock_alone()?;
    let job = Arc::new(Job::begin(config, work).await?.made);
    let settings = &job.plan.settings;
    for part in 1..=settings.parts {
        say(&embed::part(&job, part, settings.parts).await?);
    }
    for shard in 0..settings.shards {
        say(&build::shard(&job, shard).await?);
    }
    verify::job(&job).await?;
    let mut summary = publish::job(&job).await?.made;
    summary.seconds = begun.elapsed().as_secs_f64();
    info!(generation = %summary.generation, items = summary.items, seconds = summary.seconds, "generation published");
    job.work.clear()?;
    tidy(&job.store, job.config.keep_generations).await;
    Ok(summary)
}

/// Plans a job, unless it is planned: then what is made of another plan is removed.
pub(crate) async fn plan(config: Config) -> Result<Done<Plan>, Error> {
    let work = Work::open(&config.work)?;
    let _lock = work.lock_alone()?;
    let Done { step, before, made } = Job::begin(config, work).await?;
    Ok(Done {
        step,
        before,
        made: made.plan,
    })
}

/// Does one step of a job that is planned, while others may do others.
pub(crate) async fn step<T>(
    config: Config,
    name: &str,
    step: impl AsyncFnOnce(&Arc<Job>) -> Result<Done<T>, Error>,
) -> Result<Done<T>, Error> {
    let work = Work::open(&config.work)?;
    let _locks = work.lock_step(name)?;
    step(&Arc::new(Job::resume(config, work).await?)).await
}

impl Job {
    /// Plans a job, or takes up the one that is planned if it is the same.
    async fn begin(config: Config, work: Work) -> Result<Done<Self>, Error> {
        let store = Store::open(&config.store)?;
        let artifact = artifact::open(&store, &config.artifact).await?;
        verify::report(&artifact, config.verify.hr_floor)?;
        let current = store.current().await?;
        let current = current.map(|current| current.value.without_share());
        let serving = current.as_ref().map(|current| current.serving.as_str());
        let (settings, space) = (config.clone(), artifact.space().to_owned());
        let named = current.clone();
        let make = move || Plan::make(&settings, &space, named);
        let mut plan = task::spawn_blocking(make).await??;
        let (file, held) = (&plan.catalog.blake3, config.catalog_delta);
        plan.updates = Range::now(&store, serving, file, held).await?;
        let before = match work.read::<Plan>(plan::FILE) {
            Ok(before) => before,
            Err(cause) => {
                warn!(%cause, "the plan that is there is dropped");
                None
            }
        };
        let same = before.as_ref().is_some_and(|before| plan.goes_on(before));
        match before {
            Some(before) if same => plan = before,
            before => {
                if before.is_some() {
                    warn!("the job that is there is of another plan; its files are removed");
                }
                work.clear()?;
                work.write(plan::FILE, &plan)?;
            }
        }
        let job = Self {
            config,
            store,
            artifact,
            work,
            plan,
        };
        let step = "the plan".to_owned();
        Ok(match same {
            true => Done::before(step, job),
            false => Done::now(step, job),
        })
    }

    /// Takes up the job that is planned.
    async fn resume(config: Config, work: Work) -> Result<Self, Error> {
        let plan: Option<Plan> = work.read(plan::FILE)?;
        let plan = plan.ok_or_else(|| JobError::Unplanned(work.dir().to_owned()))?;
        plan.check(&config)?;
        let store = Store::open(&config.store)?;
        let artifact = artifact::open(&store, &plan.space).await?;
        Ok(Self {
            config,
            store,
            artifact,
            work,
            plan,
        })
    }

    /// Holds the files of a shard against their hashes; blocks the thread.
    ///
    /// # Errors
    /// [`JobError::Damaged`] with the first that is not what was built.
    pub(crate) fn check_shard(&self, shard: u32, made: &Made<Shard>) -> Result<(), Error> {
        let command = format!("`build --shard {shard}`");
        self.work.check(&plan::shard_step(shard), made, &command)
    }

    /// Refuses parts that come to no catalog to index.
    ///
    /// # Errors
    /// [`Error::BadRows`], [`Error::Empty`], or [`Error::Items`].
    pub(crate) async fn check_total(&self, total: &Part) -> Result<(), Error> {
        let limit = self.config.catalog_checks.bad_lines;
        if total.bad as f64 > limit * total.rows as f64 {
            return Err(Error::BadRows {
                path: self.plan.catalog.path.clone(),
                bad: total.bad,
                rows: total.rows,
                limit,
            });
        }
        // No more items can come of it than there are vectors.
        let (left_out, most) = match &self.plan.vectors {
            None => (total.left_out, total.items),
            Some(_) => (total.items, total.items.min(total.vectors)),
        };
        if most == 0 {
            return Err(Error::Empty { left_out });
        }
        verify::items(&self.store, most, self.config.verify.items_floor).await
    }
}

impl<T> Done<T> {
    /// A step that was done just now.
    pub(crate) fn now(step: String, made: T) -> Self {
        Self {
            step,
            before: false,
            made,
        }
    }

    /// A step that was done before.
    pub(crate) fn before(step: String, made: T) -> Self {
        Self {
            step,
            before: true,
            made,
        }
    }
}

impl<T: fmt::Display> fmt::Display for Done<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, before, made } = self;
        match before {
            true => write!(f, "{step} was done before, nothing to do: {made}"),
            false => write!(f, "{step}: {made}"),
        }
    }
}

/// Logs a step of a run.
fn say<T: fmt::Display>(done: &Done<T>) {
    info!(step = done.step, before = done.before, made = %done.made, "step done");
}

/// Removes all but `keep` generations; if that fails, what was published serves all the same.
async fn tidy(store: &Store, keep: usize) {
    match collect(store, keep).await {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => info!(?removed, "old generations removed"),
        Err(cause) => warn!(%cause, "old generations cannot be removed"),
    }
}
