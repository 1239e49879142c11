//! Bearer tokens: JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037).

use std::{path::Path, time::SystemTime};

use anyhow::{Context as _, anyhow};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};

use super::{provider, secret};

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Claims {
    /// Whose it is.
    pub sub: String,
    /// Whom it is meant for.
    pub aud: String,
    /// When it ends, in seconds since the epoch.
    pub exp: u64,
    /// What its owner may do.
    pub roles: Vec<String>,
}

/// What tokens are signed with.
pub struct SigningKey {
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl SigningKey {
    /// Reads a private key, PKCS #8 in PEM.
    ///
    /// # Errors
    /// If the file cannot be read, may be read by others, or is no Ed25519 key.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(&secret::read(file)?)
            .map_err(|cause| anyhow!("{} is no key: {cause:?}", file.display()))?;
        let pkcs8 = key.secret_pkcs8_der().to_vec();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8)
            .map_err(|cause| anyhow!("{} is no Ed25519 key: {cause}", file.display()))?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self { pkcs8, public })
    }

    /// The id of its public half.
    pub fn id(&self) -> String {
        key_id(&self.public)
    }

    /// Signs a token.
    ///
    /// # Errors
    /// Never for a key that was read.
    pub fn sign(&self, claims: &Claims) -> anyhow::Result<String> {
        provider::install_for_tokens();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.id());
        let key = EncodingKey::from_ed_der(&self.pkcs8);
        encode(&header, claims, &key).context("the token cannot be signed")
    }
}

/// The id of a public key, the name of its file without `.pem`: the first eight of its bytes, in hexadecimal digits.
pub fn key_id(public: &[u8]) -> String {
    let start = public.iter().take(8);
    start.map(|byte| format!("{byte:02x}")).collect()
}

/// Now, in seconds since the epoch.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
