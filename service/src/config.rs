//! Settings in layers: the shell's defaults, the binary's, a file, the environment.

use std::{net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{identity::IdentityConfig, telemetry::TelemetryConfig};

mod layers;
mod nearest;
mod secrets;

/// The settings of one binary.
pub trait Settings: DeserializeOwned + Serialize {
    /// Listening and limits.
    fn server(&self) -> &ServerConfig;

    /// Certificates, tokens and roles.
    fn identity(&self) -> &IdentityConfig;

    /// Logs, metrics and traces.
    fn telemetry(&self) -> &TelemetryConfig;

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first setting that is wrong; [`check`] makes it.
    fn validate(&self) -> Result<(), Error>;
}

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("config file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A layer names a setting that does not exist.
    #[error("{origin} sets `{key}`, which is no setting of {name}{}", hint(.nearest.as_deref()))]
    Unknown {
        /// The binary.
        name: String,
        /// The setting's path.
        key: String,
        /// The file or environment variable.
        origin: String,
        /// The setting that was meant, if one is named alike.
        nearest: Option<String>,
    },
    /// A layer is not TOML, or a value is not of its setting's type.
    #[error("settings of {name}: {source}")]
    Malformed {
        /// The binary.
        name: String,
        /// What is wrong and where.
        source: config::ConfigError,
    },
    /// A value is of the right type but cannot be used.
    #[error("setting `{key}` {requirement}")]
    Invalid {
        /// The setting's path.
        key: String,
        /// What it must be.
        requirement: String,
    },
    /// The settings cannot be written out.
    #[error("settings cannot be written as TOML: {0}")]
    Print(#[from] toml::ser::Error),
}

/// Listening and limits.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Where to listen, `host:port`; port 0 takes any free one.
    pub listen: String,
    /// Where operators' calls are answered, `host:port`; empty for where all are.
    pub admin_listen: String,
    /// Concurrent calls of one connection.
    pub max_streams: u32,
    /// The longest message that a call may send; services pass it to `max_decoding_message_size`.
    pub max_message_bytes: usize,
    /// The longest header list that a call may send.
    pub max_header_bytes: u32,
    /// Frames a second of one connection that ask for nothing: pings, settings, priorities.
    pub max_idle_frames: u32,
    /// Connections open at once; one more is closed as soon as it is accepted.
    pub max_connections: usize,
    /// Calls under way at once, over all connections.
    pub max_in_flight: usize,
    /// Calls a second of one caller; 0 for any number.
    pub calls_per_second: u32,
    /// Threads that answer calls; 0 means one a core.
    pub workers: usize,
    /// A connection that was silent for this long is pinged.
    #[serde(with = "humantime_serde")]
    pub keepalive_interval: Duration,
    /// A ping not answered for this long closes the connection.
    #[serde(with = "humantime_serde")]
    pub keepalive_timeout: Duration,
    /// The deadline of a call that names none.
    #[serde(with = "humantime_serde")]
    pub default_deadline: Duration,
    /// The longest deadline that a call gets.
    #[serde(with = "humantime_serde")]
    pub max_deadline: Duration,
    /// A call that takes so long is logged, and told of beside the metrics of calls, with its trace.
    #[serde(with = "humantime_serde")]
    pub slow_call: Duration,
    /// How long calls in flight may go on after shutdown was requested.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
    /// Whether server reflection answers.
    pub reflection: bool,
    /// Whether HTTP/1.1 is accepted too.
    pub http1: bool,
}

impl ServerConfig {
    /// Returns the address that a client on this machine reaches the server at.
    ///
    /// A server that listens on every address is asked at the loopback one.
    pub fn local_uri(&self) -> String {
        Self::uri(&self.listen)
    }

    /// Returns the address that an operator on this machine reaches the server at.
    pub fn local_admin_uri(&self) -> String {
        match self.admin_listen.is_empty() {
            true => self.local_uri(),
            false => Self::uri(&self.admin_listen),
        }
    }

    fn uri(listen: &str) -> String {
        let mut address = listen.to_owned();
        if let Ok(mut parsed) = address.parse::<SocketAddr>()
            && parsed.ip().is_unspecified()
        {
            parsed.set_ip(match parsed {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
            address = parsed.to_string();
        }
        format!("http://{address}")
    }

    fn validate(&self) -> Result<(), Error> {
        let is_address = |listen: &str| {
            let port = listen.rsplit_once(':').map(|(_, port)| port);
            port.is_some_and(|port| port.parse::<u16>().is_ok())
        };
        check(
            "server.listen",
            is_address(&self.listen),
            "must be host:port",
        )?;
        check(
            "server.admin_listen",
            self.admin_listen.is_empty() || is_address(&self.admin_listen),
            "must be host:port, or empty",
        )?;
        for (key, positive) in [
            ("server.max_streams", self.max_streams > 0),
            ("server.max_message_bytes", self.max_message_bytes > 0),
            ("server.max_header_bytes", self.max_header_bytes > 0),
            ("server.max_idle_frames", self.max_idle_frames > 0),
            ("server.max_connections", self.max_connections > 0),
            ("server.max_in_flight", self.max_in_flight > 0),
            (
                "server.keepalive_interval",
                !self.keepalive_interval.is_zero(),
            ),
            (
                "server.keepalive_timeout",
                !self.keepalive_timeout.is_zero(),
            ),
            ("server.default_deadline", !self.default_deadline.is_zero()),
        ] {
            check(key, positive, "must be more than 0")?;
        }
        check(
            "server.max_deadline",
            self.max_deadline >= self.default_deadline,
            "must be at least `server.default_deadline`",
        )
    }
}

/// Returns [`Error::Invalid`] unless `holds`: "setting `key` requirement".
///
/// # Errors
/// [`Error::Invalid`].
pub fn check(key: &str, holds: bool, requirement: &str) -> Result<(), Error> {
    if holds {
        return Ok(());
    }
    Err(Error::Invalid {
        key: key.to_owned(),
        requirement: requirement.to_owned(),
    })
}

/// Loads and checks the settings of the server `name`.
///
/// # Errors
/// As [`layered`], and if a setting cannot be used.
pub fn load<C: Settings>(name: &str, defaults: &str, file: Option<&Path>) -> Result<C, Error> {
    checked(layered(name, defaults, file)?)
}

/// Lays settings over one another without checking what they say; a job without a server does that
/// itself.
///
/// Later layers override earlier ones: the shell's defaults (of the sections that `defaults` has),
/// `defaults`, `file`, and environment variables such as `ITEM_TOWER__SHARDS__REFRESH=1s` (lists by
/// comma).
///
/// # Errors
/// If a layer is malformed, or sets what `defaults` does not have.
pub fn layered<C: DeserializeOwned>(
    name: &str,
    defaults: &str,
    file: Option<&Path>,
) -> Result<C, Error> {
    layered_from(name, defaults, file, std::env::vars())
}

/// Reads settings from `defaults` alone, as programs do that embed a server and change what they
/// need.
///
/// # Errors
/// As [`layered`].
pub fn parse<C: DeserializeOwned>(defaults: &str) -> Result<C, Error> {
    layered_from("the defaults", defaults, None, [])
}

/// Writes settings as TOML, with secrets masked.
///
/// # Errors
/// [`Error::Print`] if they do not fit TOML.
pub fn print<C: Serialize>(settings: &C) -> Result<String, Error> {
    let mut table = toml::Table::try_from(settings)?;
    secrets::mask(&mut table);
    Ok(toml::to_string(&table)?)
}

/// Asks whether another setting was meant.
fn hint(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |nearest| {
        format!("; did you mean `{nearest}`?")
    })
}

fn checked<C: Settings>(settings: C) -> Result<C, Error> {
    settings.server().validate()?;
    settings.telemetry().validate()?;
    let server = settings.server();
    let listen = [server.listen.as_str(), server.admin_listen.as_str()];
    let listen = match server.admin_listen.is_empty() {
        true => &listen[..1],
        false => &listen[..],
    };
    settings.identity().validate(listen)?;
    settings.validate()?;
    Ok(settings)
}

fn layered_from<C: DeserializeOwned>(
    name: &str,
    defaults: &str,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<C, Error> {
    layers::merge(name, defaults, file, environment)?
        .try_deserialize()
        .map_err(|source| Error::Malformed {
            name: name.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests;
