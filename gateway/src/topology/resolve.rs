//! Where members are: addresses as the config names them, what a name stands for, and what a file lists.

use std::{
    collections::BTreeSet, convert::Infallible, net::SocketAddr, path::PathBuf, time::Duration,
};

use tokio::{fs, net::lookup_host, sync::watch, time::sleep};
use tonic::transport::Endpoint;
use tracing::{info, warn};

use super::srv;

/// Where some members are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One member, `http://HOST:PORT`.
    Address(String),
    /// A member at each address of a name, `dns://HOST:PORT`.
    Name(String),
    /// A member at each server of a service, `srv://NAME`.
    Service(String),
    /// A member in each line of a file, `file:PATH`; lines that begin with `#` are comments. A file is best replaced by renaming another.
    File(PathBuf),
}

/// Why members cannot be found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A name cannot be looked up.
    #[error("{name} cannot be looked up: {source}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A service cannot be looked up.
    #[error("service {name} cannot be looked up: {source}")]
    Service {
        /// The service.
        name: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not written to its end: it has no address, or its last line does not end.
    #[error("{} is not whole: it has no address, or its last line does not end", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
    },
    /// A line of a file is no address.
    #[error("{} line {line} is {found:?}, must be an address like http://127.0.0.1:50052", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What it has.
        found: String,
    },
}

/// Finds the addresses of all `places` every now and then. A place that cannot be found is where it was.
pub(super) async fn follow(
    places: &[Place],
    every: Duration,
    addresses: watch::Sender<BTreeSet<String>>,
) -> Infallible {
    let mut known = vec![BTreeSet::new(); places.len()];
    loop {
        for (place, known) in places.iter().zip(&mut known) {
            match place.addresses().await {
                Ok(found) => *known = found,
                Err(cause) => warn!(%cause, "members cannot be found, those known are kept"),
            }
        }
        let all = known.iter().flatten().cloned().collect();
        addresses.send_if_modified(|addresses| {
            let changed = *addresses != all;
            if changed {
                info!(?all, "members found");
                *addresses = all;
            }
            changed
        });
        sleep(every).await;
    }
}

impl Place {
    /// Reads an entry of the config; none if it is no place.
    pub(crate) fn parse(entry: &str) -> Option<Self> {
        if let Some(path) = entry.strip_prefix("file:") {
            return (!path.is_empty()).then(|| Self::File(PathBuf::from(path)));
        }
        if let Some(name) = entry.strip_prefix("srv://") {
            let named = !name.is_empty() && !name.contains([':', '/']);
            return named.then(|| Self::Service(name.to_owned()));
        }
        if let Some(name) = entry.strip_prefix("dns://") {
            let (host, port) = name.rsplit_once(':')?;
            let whole = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
            return whole.then(|| Self::Name(name.to_owned()));
        }
        is_address(entry).then(|| Self::Address(entry.to_owned()))
    }

    /// Finds the addresses of the members.
    pub(crate) async fn addresses(&self) -> Result<BTreeSet<String>, Error> {
        match self {
            Self::Address(address) => Ok([address.clone()].into()),
            Self::Name(name) => {
                let found = lookup_host(name.as_str()).await;
                let found = found.map_err(|source| Error::Name {
                    name: name.clone(),
                    source,
                })?;
                let (v4, v6): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv4);
                // A host with addresses of both kinds is one member.
                let found = if v4.is_empty() { v6 } else { v4 };
                Ok(found.iter().map(|at| format!("http://{at}")).collect())
            }
            Self::Service(name) => {
                let found = srv::servers(name).await;
                found.map_err(|source| Error::Service {
                    name: name.clone(),
                    source: source.into(),
                })
            }
            Self::File(path) => {
                let text = fs::read_to_string(path).await;
                let text = text.map_err(|source| Error::File {
                    path: path.clone(),
                    source,
                })?;
                if !text.ends_with('\n') {
                    return Err(Error::Cut { path: path.clone() });
                }
                let lines = text.lines().map(str::trim).zip(1..);
                let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
                lines
                    .map(|(found, line)| match is_address(found) {
                        true => Ok(found.to_owned()),
                        false => Err(Error::Line {
                            path: path.clone(),
                            line,
                            found: found.to_owned(),
                        }),
                    })
                    .collect()
            }
        }
    }
}

fn is_address(address: &str) -> bool {
    Endpoint::from_shared(address.to_owned()).is_ok_and(|endpoint| {
        let uri = endpoint.uri();
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn entries_that_are_no_place_are_refused() {
        for entry in [
            "",
            "127.0.0.1:50052",
            "ftp://127.0.0.1:50052",
            "dns://item-tower",
            "dns://:50052",
            "dns://item-tower:0",
            "srv://",
            "srv://item-tower:50052",
            "file:",
        ] {
            assert_eq!(Place::parse(entry), None, "{entry}");
        }
    }

    #[tokio::test]
    async fn a_name_stands_for_all_its_addresses() {
        let found = Place::parse("dns://localhost:50052").unwrap();
        let found = found.addresses().await.unwrap();
        assert_eq!(found, ["http://127.0.0.1:50052".to_owned()].into());
        let unknown = Place::parse("dns://no-such-host.invalid:50052").unwrap();
        let cause = unknown.addresses().await.unwrap_err().to_string();
        assert!(
            cause.starts_with("no-such-host.invalid:50052 cannot be looked up"),
            "{cause}"
        );
    }

    #[tokio::test]
    async fn a_file_lists_a_member_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members");
        let place = Place::parse(&format!("file:{}", path.display())).unwrap();
        let missing = place.addresses().await.unwrap_err().to_string();
        assert!(missing.contains("cannot be read"), "{missing}");
        std::fs::write(&path, "# two\nhttp://a:1\n\n  http://b:2  \n").unwrap();
        let found = place.addresses().await.unwrap();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["http://a:1", "http://b:2"]
        );
        for cut in ["", "http://a:1\nhttp://b:20"] {
            std::fs::write(&path, cut).unwrap();
            let wrong = place.addresses().await.unwrap_err().to_string();
            assert!(wrong.contains("is not whole"), "{wrong}");
        }
        std::fs::write(&path, "http://a:1\nb:2\n").unwrap();
        let wrong = place.addresses().await.unwrap_err().to_string();
        assert!(wrong.contains("line 2 is \"b:2\""), "{wrong}");
    }
}
