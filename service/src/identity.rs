//! Who a server is and who calls it: certificates between our own servers, tokens of everybody else, roles of both.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::{
    config::{self, check},
    identity::{keys::Keys, tls::Tls},
};

pub mod access;
mod keys;
mod provider;
pub mod secret;
pub(crate) mod tls;
pub mod token;

pub use access::Roles;

/// The role of our own servers, by their certificates.
pub const SERVICE: &str = "service";

/// Certificates, tokens and what their owners may do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// The certificate chain of this process, PEM; empty for no TLS.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authorities that sign the certificates of our own servers, PEM.
    pub authority: PathBuf,
    /// Whether to listen beyond loopback although nobody is asked who calls.
    pub insecure: bool,
    /// `NAME=ROLE`: what callers may do whose certificate has the DNS name.
    pub roles: Vec<String>,
    /// The directory of public keys of tokens, each `KEYID.pem`; empty for no tokens.
    pub token_keys: PathBuf,
    /// Whom tokens must be meant for.
    pub audience: String,
}

/// What [`IdentityConfig`] names, read.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) keys: Option<Keys>,
    pub(crate) names: Names,
}

/// The roles of names in certificates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Vec<(String, String)>);

impl IdentityConfig {
    /// Whether this process has a certificate.
    pub fn has_tls(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    /// Whether callers are asked who they are.
    pub fn is_checked(&self) -> bool {
        self.has_tls() || !self.token_keys.as_os_str().is_empty()
    }

    /// Checks that a certificate comes with all that it needs.
    fn check_files(&self) -> Result<(), config::Error> {
        let files = [&self.certificate, &self.key, &self.authority];
        let named = files.iter().filter(|file| !file.as_os_str().is_empty());
        check(
            "identity.certificate",
            matches!(named.count(), 0 | 3),
            "needs `identity.key` and `identity.authority`, and they need it",
        )
    }

    /// Checks what the types cannot, for a server at `listen`.
    pub(crate) fn validate(&self, listen: &[&str]) -> Result<(), config::Error> {
        self.check_files()?;
        check(
            "identity.roles",
            self.roles.iter().all(|entry| parse(entry).is_some()),
            "must be entries like gateway=service",
        )?;
        check(
            "identity.audience",
            !self.audience.is_empty(),
            "must not be empty",
        )?;
        let open = listen.iter().find(|listen| !is_loopback(listen));
        let Some(open) = open.filter(|_| !self.insecure && !self.has_tls()) else {
            return Ok(());
        };
        check(
            "identity.certificate",
            false,
            &format!("is needed to listen on {open}; or `identity.insecure` must be true"),
        )
    }
}

impl Identity {
    /// Reads what `config` names.
    pub(crate) fn load(config: &IdentityConfig) -> anyhow::Result<Self> {
        config.check_files()?;
        let names = Names(config.roles.iter().filter_map(|it| parse(it)).collect());
        let tls = match config.has_tls() {
            true => Some(Arc::new(Tls::load(config, names.clone())?)),
            false => None,
        };
        let keys = match config.token_keys.as_os_str().is_empty() {
            true => None,
            false => {
                let keys = Keys::load(&config.token_keys, &config.audience);
                Some(keys.context("the keys of tokens")?)
            }
        };
        if config.insecure && tls.is_none() {
            warn!(
                tokens = keys.is_some(),
                "INSECURE: identity.insecure is set, calls travel without TLS"
            );
        }
        Ok(Self { tls, keys, names })
    }

    /// Whether callers are asked who they are.
    pub(crate) fn is_checked(&self) -> bool {
        self.tls.is_some() || self.keys.is_some()
    }
}

impl Names {
    /// The role of a caller whose certificate has `name`.
    pub(crate) fn role(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, role)| role.as_str())
    }
}

/// Reads `NAME=ROLE`.
fn parse(entry: &str) -> Option<(String, String)> {
    let (name, role) = entry.split_once('=')?;
    let whole = !name.is_empty() && !role.is_empty();
    whole.then(|| (name.trim().to_owned(), role.trim().to_owned()))
}

/// Whether only this machine can reach `listen`, `host:port`.
fn is_loopback(listen: &str) -> bool {
    if let Ok(address) = listen.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    listen.rsplit_once(':').map(|(host, _)| host) == Some("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> IdentityConfig {
        IdentityConfig {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            authority: PathBuf::new(),
            insecure: false,
            roles: vec!["gateway=service".to_owned()],
            token_keys: PathBuf::new(),
            audience: "twotower".to_owned(),
        }
    }

    fn refused(config: &IdentityConfig, listen: &str) -> Option<String> {
        let refused = config.validate(&[listen]).err();
        refused.map(|cause| cause.to_string())
    }

    #[test]
    fn without_tls_only_loopback_is_listened_on_unless_told_so() {
        let mut config = config();
        for listen in ["127.0.0.1:1", "[::1]:1", "localhost:1"] {
            assert_eq!(refused(&config, listen), None);
        }
        for listen in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "gateway:1"] {
            assert_eq!(
                refused(&config, listen),
                Some(format!(
                    "setting `identity.certificate` is needed to listen on {listen}; or `identity.insecure` must be true"
                ))
            );
        }
        config.insecure = true;
        assert_eq!(refused(&config, "0.0.0.0:1"), None);
    }

    #[test]
    fn half_a_certificate_is_refused() {
        let mut config = config();
        config.certificate = "gateway.pem".into();
        let cause = refused(&config, "127.0.0.1:1");
        assert!(cause.is_some_and(|cause| cause.contains("needs `identity.key`")));
    }
}
