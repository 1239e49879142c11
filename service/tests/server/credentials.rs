//! An authority in a directory of its own: certificates by name, and the key of tokens.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ED25519,
    date_time_ymd,
};
use service::identity::{
    IdentityConfig,
    token::{SigningKey, key_id},
};
use tempfile::TempDir;

/// Signs certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("authority.pem"), issuer.pem()).unwrap();
        let authority = Self { issuer, directory };
        for name in ["gateway", "user-tower", "operator", "stranger"] {
            authority.replace(name, name);
        }
        fs::create_dir(authority.token_keys()).unwrap();
        authority.rotate_token_key();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The certificate of the authority.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("authority.pem")
    }

    pub(crate) fn token_keys(&self) -> PathBuf {
        self.path("tokens")
    }

    /// The identity of `name`.
    pub(crate) fn identity(&self, name: &str) -> IdentityConfig {
        IdentityConfig {
            certificate: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
            authority: self.file(),
            insecure: false,
            roles: ["gateway=service", "user-tower=service", "operator=admin"]
                .map(str::to_owned)
                .to_vec(),
            token_keys: PathBuf::new(),
            audience: "twotower".to_owned(),
        }
    }

    /// Makes `identity` that of `name`.
    pub(crate) fn identify(&self, identity: &mut IdentityConfig, name: &str) {
        *identity = IdentityConfig {
            token_keys: identity.token_keys.clone(),
            ..self.identity(name)
        };
    }

    /// Writes a certificate with the DNS name `dns` into the files of `name`.
    pub(crate) fn replace(&self, name: &str, dns: &str) {
        let names = [dns, "localhost", "127.0.0.1"].map(str::to_owned);
        let params = CertificateParams::new(names.to_vec()).unwrap();
        self.issue(name, params);
    }

    /// The files of a certificate whose time is over.
    pub(crate) fn expired(&self, name: &str) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.issue("expired", params);
        (self.path("expired.pem"), self.path("expired.key"))
    }

    fn issue(&self, name: &str, params: CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write_secret(&self.path(&format!("{name}.key")), &key.serialize_pem());
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
    }

    /// Lets others read the key of `name`.
    pub(crate) fn open_key(&self, name: &str) {
        let key = self.path(&format!("{name}.key"));
        fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// Makes a new key of tokens; those of the last are worth nothing any more.
    pub(crate) fn rotate_token_key(&self) {
        for old in fs::read_dir(self.token_keys()).unwrap() {
            fs::remove_file(old.unwrap().path()).unwrap();
        }
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        write_secret(&self.path("token.key"), &key.serialize_pem());
        let file = self
            .token_keys()
            .join(format!("{}.pem", key_id(key.public_key_raw())));
        fs::write(file, key.public_key_pem()).unwrap();
    }

    pub(crate) fn signing_key(&self) -> SigningKey {
        SigningKey::read(&self.path("token.key")).unwrap()
    }
}

fn write_secret(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Tokens as a forger makes them.
pub(crate) mod sign {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use service::identity::token::Claims;

    /// Claims as a token has them.
    pub(crate) fn encode(claims: &Claims) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).unwrap())
    }

    /// A token that says that it needs no signature.
    pub(crate) fn none(claims: &Claims, key_id: &str) -> String {
        let header = format!(r#"{{"alg":"none","typ":"JWT","kid":"{key_id}"}}"#);
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), encode(claims))
    }
}
