//! The order of `onnx bench models`: look what is kept, make what is missing, compare, write.

use std::path::Path;

use crate::{
    bench::{
        curves,
        error::Error,
        finished::Finished,
        found::Found,
        goals,
        make::{self, Work},
        page,
        pairs::Paired,
        plan::{Job, Plan},
        report,
        serving::Effort,
        standing::{Kept, Standing},
    },
    config::Models,
    dataset::{Dataset, files::Summary},
};

/// Makes what is missing of the rows, and writes tables, figures and report; tells what it does line by line.
///
/// Rows are kept one by one, so a run that is stopped goes on where it was.
///
/// # Errors
/// The list, a recipe or the dataset cannot be read, or a row cannot be made; what was finished before is kept.
pub fn run(options: &Models, effort: Effort, tell: &mut dyn FnMut(String)) -> Result<(), Error> {
    let plan = Plan::read(&options.rows)?;
    let jobs = plan.jobs(&options.recipes, &[])?;
    let wanted = plan.jobs(&options.recipes, &options.only)?;
    let hash = match (&options.data, options.tables_only) {
        (Some(data), false) => Some(Summary::read(data)?.hash),
        _ => None,
    };
    let runs = options.docs.join("runs");
    let mut bench = Bench {
        options,
        effort,
        work: Work::new(&options.work),
        dataset: None,
    };
    let mut kept = Kept::default();
    for job in &jobs {
        let finished = match Standing::of(job, &runs, hash.as_deref())? {
            Standing::Kept(finished) => {
                tell(kept_line(job, &finished));
                *finished
            }
            Standing::Missing(why) => {
                let is_wanted = wanted.contains(job) && !options.tables_only;
                let word = if is_wanted { "train" } else { "leave out" };
                tell(format!("{word} {}: {why}", job.id()));
                if !is_wanted || options.dry_run {
                    continue;
                }
                let finished = bench.make(job)?;
                finished.write(&runs, job)?;
                tell(made_line(&finished));
                finished
            }
        };
        kept.push(job.clone(), finished);
    }
    if options.dry_run {
        return Ok(());
    }
    let pairs = bench.compare(&plan, &kept, &runs, tell)?;
    let found = Found {
        plan,
        jobs,
        kept,
        pairs,
    };
    publish(&found, options, tell)
}

/// What the making of rows shares.
struct Bench<'a> {
    options: &'a Models,
    effort: Effort,
    work: Work,
    dataset: Option<Dataset>,
}

impl Bench<'_> {
    fn make(&mut self, job: &Job) -> Result<Finished, Error> {
        self.load()?;
        match &self.dataset {
            Some(dataset) => make::make(job, dataset, &self.work, self.effort),
            None => Err(Error::Plan(format!("{} needs --data", job.id()))),
        }
    }

    /// Looks the pairs up, and measures those that are not known.
    fn compare(
        &mut self,
        plan: &Plan,
        kept: &Kept,
        runs: &Path,
        tell: &mut dyn FnMut(String),
    ) -> Result<Vec<Paired>, Error> {
        let mut pairs = Vec::new();
        for pair in &plan.pairs {
            let mut found = Paired::read(runs, pair, kept)?;
            if found.is_none() && !self.options.tables_only {
                self.load()?;
                if let Some(dataset) = &self.dataset {
                    found = Paired::measure(runs, pair, kept, dataset, &self.work, self.effort)?;
                }
            }
            if found.is_none() {
                tell(format!(
                    "leave out {} over {}: an artifact is not at hand",
                    pair.of, pair.over
                ));
            }
            pairs.extend(found);
        }
        Ok(pairs)
    }

    /// Reads the dataset, once.
    fn load(&mut self) -> Result<(), Error> {
        if let (None, Some(data)) = (&self.dataset, &self.options.data) {
            self.dataset = Some(Dataset::read(data)?);
        }
        Ok(())
    }
}

/// Writes report, figures and page.
fn publish(found: &Found, options: &Models, tell: &mut dyn FnMut(String)) -> Result<(), Error> {
    let rows = goals::rows(found);
    report::merge(&options.report, &rows).map_err(Error::io(&options.report))?;
    curves::draw(found, &options.docs.join("figures"))?;
    let page = options.docs.join("models.md");
    page::write(found, &rows, &page)?;
    tell(format!(
        "{} and {} are written",
        page.display(),
        options.report.display()
    ));
    Ok(())
}

fn kept_line(job: &Job, finished: &Finished) -> String {
    let how = finished.reused().unwrap_or_else(|| "kept".to_owned());
    format!("{}: {how}, of {}", job.id(), finished.date)
}

fn made_line(finished: &Finished) -> String {
    let figures = finished.figures("artifact", true);
    let (hr, ndcg) = figures.map_or((0.0, 0.0), |figures| (figures.hr_10, figures.ndcg_10));
    let minutes = finished.training.cpu_minutes.unwrap_or_default();
    format!(
        "  test HR@10 {hr:.4}, NDCG@10 {ndcg:.4}; validation NDCG@10 {:.4}; {minutes:.1} CPU-min",
        finished.validation.ndcg_10
    )
}
