//! A local set of certificates and the key of tokens, as `twotower certs` makes them; a company's own authority does the same.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519,
};
use service::identity::SERVICE;
use service::identity::token::{Claims, SigningKey, key_id, now};
use time::{Duration, OffsetDateTime};

use crate::print;

/// Whom callers from outside reach.
const GATEWAY: &str = "gateway";
/// Who gets a certificate to serve with.
const SERVERS: [&str; 3] = [GATEWAY, "user-tower", "item-tower"];
/// Who gets one to call with alone: the job, and the person who looks after the servers.
const CALLERS: [&str; 2] = ["index-builder", "operator"];
/// How long the authority's certificate is good for.
const AUTHORITY: Duration = Duration::days(3650);
/// Clocks may be apart.
const SLACK: Duration = Duration::hours(1);

/// Make certificates for our servers, an authority that signs them, and the key of tokens. Run again, it renews the certificates and
/// keeps authority and key.
#[derive(Debug, clap::Args)]
pub struct Certs {
    /// Where they go.
    #[arg(value_name = "DIR", default_value = "var/certs")]
    directory: PathBuf,
    /// A host that callers reach the gateway at, beside localhost.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// How many days the certificates are good for.
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    days: u16,
}

/// Sign a token for a caller, and print it.
#[derive(Debug, clap::Args)]
pub struct Token {
    /// The private key, Ed25519 in PEM.
    #[arg(long, value_name = "FILE", default_value = "var/certs/token.key")]
    key: PathBuf,
    /// Whose token it is.
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// What they may do: reader, writer, editor, admin; may be given several times.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<String>,
    /// Whom it is meant for; `identity.audience` of the servers.
    #[arg(long, value_name = "NAME", default_value = "twotower")]
    audience: String,
    /// How long it is good for.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    lifetime: humantime::Duration,
}

impl Certs {
    /// Makes them.
    ///
    /// # Errors
    /// If a file cannot be written, or an authority that is there cannot be read.
    pub fn run(&self) -> anyhow::Result<()> {
        let keys = self.directory.join("tokens");
        fs::create_dir_all(&keys).with_context(|| keys.display().to_string())?;
        let issuer = self.authority()?;
        let all = || SERVERS.iter().chain(&CALLERS).copied();
        for host in &self.hosts {
            ensure!(
                all().all(|name| name != host),
                "{host} is the name of one of our own, no host"
            );
        }
        for name in all() {
            self.certificate(name, &issuer)?;
        }
        self.token_key(&keys)?;
        print::line(format!("certificates in {}", self.directory.display()));
        Ok(())
    }

    /// The authority that is there, else a new one.
    fn authority(&self) -> anyhow::Result<Issuer<'static, KeyPair>> {
        let (file, key) = (self.path("authority.pem"), self.path("authority.key"));
        let mut params = params("twotower local authority", &[], AUTHORITY)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pair = if file.exists() {
            let text = fs::read_to_string(&key).with_context(|| key.display().to_string())?;
            KeyPair::from_pem(&text).with_context(|| key.display().to_string())?
        } else {
            let pair = KeyPair::generate()?;
            write_secret(&key, &pair.serialize_pem())?;
            write(&file, &params.self_signed(&pair)?.pem())?;
            pair
        };
        Ok(Issuer::new(params, pair))
    }

    /// A certificate for `name`, for both sides of a connection.
    fn certificate(&self, name: &str, issuer: &Issuer<'_, KeyPair>) -> anyhow::Result<()> {
        let serves = SERVERS.contains(&name);
        let mut hosts = vec![name.to_owned()];
        if serves {
            hosts.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        }
        if name == GATEWAY {
            hosts.extend(self.hosts.iter().cloned());
        }
        let mut params = params(name, &hosts, Duration::days(i64::from(self.days)))?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if serves {
            let server = ExtendedKeyUsagePurpose::ServerAuth;
            params.extended_key_usages.push(server);
        }
        let pair = KeyPair::generate()?;
        let certificate = params.signed_by(&pair, issuer)?;
        write_secret(&self.path(&format!("{name}.key")), &pair.serialize_pem())?;
        write(&self.path(&format!("{name}.pem")), &certificate.pem())
    }

    /// The key of tokens, unless there is one; its public half goes into `keys`.
    fn token_key(&self, keys: &Path) -> anyhow::Result<()> {
        let file = self.path("token.key");
        if file.exists() {
            return Ok(());
        }
        let pair = KeyPair::generate_for(&PKCS_ED25519)?;
        let public = keys.join(format!("{}.pem", key_id(pair.public_key_raw())));
        write(&public, &pair.public_key_pem())?;
        write_secret(&file, &pair.serialize_pem())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Token {
    /// Signs and prints it.
    ///
    /// # Errors
    /// If the key cannot be read, or a role is none.
    pub fn run(&self) -> anyhow::Result<()> {
        for role in &self.roles {
            let mut known = proto::roles::ROLES.iter().flat_map(|(_, roles)| *roles);
            ensure!(
                role != SERVICE && known.any(|known| known == role),
                "no token can have the role {role}"
            );
        }
        let token = SigningKey::read(&self.key)?.sign(&Claims {
            sub: self.subject.clone(),
            aud: self.audience.clone(),
            exp: now() + self.lifetime.as_secs(),
            roles: self.roles.clone(),
        })?;
        print::line(token);
        Ok(())
    }
}

fn params(name: &str, hosts: &[String], lifetime: Duration) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(hosts)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - SLACK, now + lifetime);
    Ok(params)
}

/// Writes a file whole or not at all.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    replace(file, text, 0o644)
}

/// Writes a file that its owner alone may read.
fn write_secret(file: &Path, text: &str) -> anyhow::Result<()> {
    replace(file, text, 0o600)
}

fn replace(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let new = PathBuf::from(format!("{}.new", file.display()));
    // One that is left over may have another mode.
    let _ = fs::remove_file(&new);
    let context = || new.display().to_string();
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create_new(true).mode(mode);
    let mut opened = options.open(&new).with_context(context)?;
    opened.write_all(text.as_bytes()).with_context(context)?;
    opened.sync_all().with_context(context)?;
    fs::rename(&new, file).with_context(|| file.display().to_string())
}
