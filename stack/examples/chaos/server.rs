//! A server in a process of its own, at an address that it keeps when it is started again.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::atomic::{AtomicU16, Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context as _;
use proto::v1::{ListGenerationsRequest, generation_service_client::GenerationServiceClient};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tonic::transport::{Channel, Endpoint};

use crate::usage;

/// How long a server may take to start, to stop and to hold a generation.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// How a server is started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// The folder of the binaries.
    pub(crate) bin: PathBuf,
    /// Where logs go.
    pub(crate) logs: PathBuf,
    /// The only core that servers run on, if they are not to run on all.
    pub(crate) core: Option<usize>,
}

/// A server; killed when dropped.
pub(crate) struct Server {
    launch: Launch,
    binary: &'static str,
    name: String,
    settings: Vec<(String, String)>,
    port: u16,
    child: Child,
}

impl Server {
    /// Starts a binary with settings as `SECTION__KEY` and value, and a `name` for its log.
    pub(crate) fn start(
        launch: &Launch,
        binary: &'static str,
        name: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let settings: Vec<_> = settings.iter().map(owned).collect();
        let port = free_port()?;
        Ok(Self {
            child: spawn(launch, binary, name, port, &settings)?,
            launch: launch.clone(),
            binary,
            name: name.to_owned(),
            settings,
            port,
        })
    }

    /// Where it listens.
    pub(crate) fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port on the loopback address.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// A connection, opened when it is first used.
    pub(crate) fn channel(&self) -> anyhow::Result<Channel> {
        Ok(Endpoint::from_shared(self.uri())?.connect_lazy())
    }

    /// Starts it again after it was stopped or killed.
    pub(crate) fn again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(
            &self.launch,
            self.binary,
            &self.name,
            self.port,
            &self.settings,
        )?;
        Ok(())
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Asks it to stop, and returns how long that took.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        self.signal("TERM")?;
        while self.child.try_wait()?.is_none() {
            anyhow::ensure!(begun.elapsed() < PATIENCE, "{} does not stop", self.name);
            sleep(LOOK).await;
        }
        Ok(begun.elapsed())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.pid()])
            .status()?;
        anyhow::ensure!(sent.success(), "{} cannot be signalled", self.name);
        Ok(())
    }

    /// Waits until it takes connections.
    pub(crate) async fn listens(&self) -> anyhow::Result<()> {
        let late = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
            .await
            .is_err()
        {
            anyhow::ensure!(Instant::now() < late, "{} does not listen", self.name);
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until it answers from the generation.
    pub(crate) async fn serves(&self, generation: &str) -> anyhow::Result<()> {
        let mut client = GenerationServiceClient::new(self.channel()?);
        let late = Instant::now() + PATIENCE;
        loop {
            let listed = client.list_generations(ListGenerationsRequest {}).await;
            let held = listed.map(|listed| listed.into_inner().generations);
            if held.is_ok_and(|held| {
                held.iter()
                    .any(|held| held.id == generation && held.serving)
            }) {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < late,
                "{} does not serve {generation}",
                self.name
            );
            sleep(LOOK).await;
        }
    }

    /// CPU time that it used, user and system.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        usage::cpu(&self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, or does now; either way nothing is left to do.
        let _ = self.kill();
    }
}

fn spawn(
    launch: &Launch,
    binary: &str,
    name: &str,
    port: u16,
    settings: &[(String, String)],
) -> anyhow::Result<Child> {
    let path = launch.bin.join(binary);
    let mut command = match launch.core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(&path);
            command
        }
        None => Command::new(&path),
    };
    let prefix = binary.to_uppercase().replace('-', "_");
    command.env(
        format!("{prefix}__SERVER__LISTEN"),
        format!("127.0.0.1:{port}"),
    );
    for (key, value) in settings {
        command.env(format!("{prefix}__{key}"), OsStr::new(value));
    }
    let log = append(&launch.logs.join(format!("{name}.log")))?;
    command.stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| path.display().to_string())
}

fn append(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// A port that nobody listens on, below those that outgoing connections get, so that it stays free while a server starts again.
pub(crate) fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 100) as u16 * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Relaxed);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
}
