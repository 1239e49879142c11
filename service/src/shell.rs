//! The command line of a binary: serve, or do one of its other commands.

use std::{future::Future, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{ArgMatches, Args, FromArgMatches as _};
use futures::future::LocalBoxFuture;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tracing::info;

use crate::{
    client::Connector,
    config::{self, Settings},
    drain::Shutdown,
    identity::Identity,
    output,
    telemetry::{self, Format},
};

/// How long a health probe may take.
const PROBE: Duration = Duration::from_secs(2);

/// The command line of the binary `name`.
pub struct Shell<C> {
    name: &'static str,
    defaults: &'static str,
    commands: Vec<Command<C>>,
}

/// A command beside serving.
struct Command<C> {
    parser: clap::Command,
    act: Act<C>,
}

type Act<C> = Box<dyn FnOnce(C, &ArgMatches) -> anyhow::Result<Work>>;
type Work = LocalBoxFuture<'static, anyhow::Result<()>>;

/// Options of every binary.
#[derive(Debug, Args)]
struct Options {
    /// A TOML file of settings that override the defaults.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print the effective settings, secrets masked, and exit.
    #[arg(long)]
    print_config: bool,
    /// How logs look; overrides `telemetry.format`.
    #[arg(long, value_name = "FORMAT", global = true)]
    log: Option<Format>,
}

/// Ask whether a service of the running server serves; the exit status is the answer.
#[derive(Debug, Args)]
struct Probe {
    /// The service's full name; all of the server's if left out.
    #[arg(value_name = "SERVICE", default_value = "")]
    service: String,
}

impl<C: Settings + 'static> Shell<C> {
    /// A binary whose settings have the defaults `defaults` (its config.toml).
    pub fn new(name: &'static str, defaults: &'static str) -> Self {
        let shell = Self {
            name,
            defaults,
            commands: Vec::new(),
        };
        shell.command("health", |settings: C, probe: Probe| async move {
            let connector = Connector::new(settings.identity())?;
            health(&connector, &settings.server().local_uri(), &probe.service).await
        })
    }

    /// Adds the command `name`; its help is the doc comment of `A`.
    pub fn command<A, F, Fut>(mut self, name: &'static str, act: F) -> Self
    where
        A: Args + 'static,
        F: FnOnce(C, A) -> Fut + 'static,
        Fut: Future<Output = anyhow::Result<()>> + 'static,
    {
        self.commands.push(Command {
            parser: A::augment_args(clap::Command::new(name)),
            act: Box::new(move |settings, matches| {
                Ok(Box::pin(act(settings, A::from_arg_matches(matches)?)))
            }),
        });
        self
    }

    /// Does what the command line says; without a command that is `serve`, on a listener that is
    /// bound once the settings are checked, until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// If the settings are wrong, the address cannot be bound, or what was asked for fails.
    pub fn run<F, Fut>(self, serve: F) -> anyhow::Result<()>
    where
        F: FnOnce(C, TcpListener, Shutdown) -> Fut,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        let matches = self.parser().get_matches();
        let options = Options::from_arg_matches(&matches)?;
        let settings: C = config::load(self.name, self.defaults, options.config.as_deref())?;
        if options.print_config {
            output::line(config::print(&settings)?.trim_end());
            return Ok(());
        }
        let mut told = settings.telemetry().clone();
        told.format = options.log.unwrap_or(told.format);

        let runtime = runtime(settings.server().workers)?;
        let done = match matches.subcommand() {
            None => {
                let within = runtime.enter();
                let telemetry = telemetry::start(&told, self.name)?;
                drop(within);
                let served = runtime.block_on(listen_and(serve, settings));
                drop(telemetry);
                served
            }
            Some((asked, matches)) => {
                telemetry::init(&told);
                let command = self
                    .commands
                    .into_iter()
                    .find(|command| command.parser.get_name() == asked)
                    .with_context(|| format!("no command {asked}"))?;
                runtime.block_on((command.act)(settings, matches)?)
            }
        };
        // A blocking task that hangs must not hold up the exit.
        runtime.shutdown_background();
        done
    }

    fn parser(&self) -> clap::Command {
        let parser = clap::Command::new(self.name)
            .version(env!("CARGO_PKG_VERSION"))
            .subcommands(self.commands.iter().map(|command| command.parser.clone()));
        Options::augment_args(parser)
    }
}

/// A runtime of so many threads, or of one a core.
fn runtime(workers: usize) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
}

async fn listen_and<C: Settings, F, Fut>(serve: F, settings: C) -> anyhow::Result<()>
where
    F: FnOnce(C, TcpListener, Shutdown) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    // What cannot be read is told before a port is open.
    Identity::load(settings.identity())?;
    let shutdown = Shutdown::on_signals().context("cannot listen for signals")?;
    let address = settings.server().listen.clone();
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    info!(address = %listener.local_addr()?, "listening");
    serve(settings, listener, shutdown).await
}

/// Succeeds if the server at `uri` says that `service` serves.
async fn health(connector: &Connector, uri: &str, service: &str) -> anyhow::Result<()> {
    let endpoint = Endpoint::from_shared(uri.to_owned())?
        .connect_timeout(PROBE)
        .timeout(PROBE);
    let channel = connector
        .connect(endpoint)
        .await
        .with_context(|| format!("no server at {uri}"))?;
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = HealthClient::new(channel).check(request).await?;
    let status = answer.into_inner().status();
    anyhow::ensure!(
        status == ServingStatus::Serving,
        "{service:?} at {uri} is {}",
        status.as_str_name()
    );
    Ok(())
}
