//! TLS of servers and of the clients that our own servers are: certificates read again when they change.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, anyhow, ensure};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tracing::{info, warn};
use webpki::EndEntityCert;

use super::{IdentityConfig, Names, provider, secret};
use peer::ServiceVerifier;

mod ends;
mod peer;

/// How often the files are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);
/// What both sides speak: HTTP/2, and HTTP/1.1 where a server takes it.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate, its key and the authorities of others.
pub(crate) struct Tls {
    files: [PathBuf; 3],
    names: Names,
    loaded: Mutex<Loaded>,
}

/// What the files said when they were last read.
#[derive(Clone)]
struct Loaded {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    stamps: [SystemTime; 3],
    looked: Instant,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TLS of {}", self.files[0].display())
    }
}

impl Tls {
    /// Reads the files that `config` names; `names` says which certificates are our own servers'.
    ///
    /// # Errors
    /// If one cannot be read, the key may be read by others, or they do not go together.
    pub(super) fn load(config: &IdentityConfig, names: Names) -> anyhow::Result<Self> {
        let files = [
            config.certificate.clone(),
            config.key.clone(),
            config.authority.clone(),
        ];
        let loaded = Mutex::new(read(&files, &names, stamps(&files)?)?);
        Ok(Self {
            files,
            names,
            loaded,
        })
    }

    /// For the next connection that comes.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.fresh(|loaded| Arc::clone(&loaded.server))
    }

    /// For the next connection to one of our own servers.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.fresh(|loaded| Arc::clone(&loaded.client))
    }

    /// Reads the files again if they changed; what they said before stays if they cannot be used now.
    fn fresh<T>(&self, take: impl FnOnce(&Loaded) -> T) -> T {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.looked.elapsed() >= LOOK {
            loaded.looked = Instant::now();
            let changed = match stamps(&self.files) {
                Ok(stamps) if stamps == loaded.stamps => None,
                Ok(stamps) => Some(read(&self.files, &self.names, stamps)),
                Err(cause) => Some(Err(cause)),
            };
            match changed {
                None => {}
                Some(Ok(new)) => {
                    info!(certificate = %self.files[0].display(), "the certificate was read again");
                    *loaded = new;
                }
                Some(Err(cause)) => {
                    warn!(%cause, "the new certificate cannot be used, the one of before stays");
                }
            }
        }
        take(&loaded)
    }
}

/// When each of the files was changed.
fn stamps(files: &[PathBuf; 3]) -> anyhow::Result<[SystemTime; 3]> {
    let mut stamps = [SystemTime::UNIX_EPOCH; 3];
    for (stamp, file) in stamps.iter_mut().zip(files) {
        let changed = fs::metadata(file).and_then(|file| file.modified());
        *stamp = changed.with_context(|| file.display().to_string())?;
    }
    Ok(stamps)
}

fn read(files: &[PathBuf; 3], names: &Names, stamps: [SystemTime; 3]) -> anyhow::Result<Loaded> {
    let [certificate, key, authority] = files;
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_slice(&secret::read(key)?)
        .map_err(|cause| anyhow!("{} is no key: {cause:?}", key.display()))?;
    let authorities = certificates(authority)?;
    let ends = [("certificate", &chain), ("authority", &authorities)]
        .map(|(file, certificates)| (file, ends::first(certificates)));
    let roots = Arc::new(roots(authority, authorities)?);
    let context = || format!("{} and {}", certificate.display(), key.display());

    let provider = provider::tls();
    let callers = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(callers)
        .with_single_cert(chain.clone(), private.clone_key())
        .with_context(context)?;
    server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();

    let servers = ServiceVerifier::new(roots, names.clone(), &provider);
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(servers))
        .with_client_auth_cert(chain, private)
        .with_context(context)?;
    client.alpn_protocols = vec![PROTOCOLS[0].to_vec()];
    ends.into_iter()
        .for_each(|(file, end)| ends::tell(file, end));
    Ok(Loaded {
        server: Arc::new(server),
        client: Arc::new(client),
        stamps,
        looked: Instant::now(),
    })
}

/// The side of a caller that has no certificate, and trusts hosts that the authorities of a file vouch for.
pub(crate) fn trusting(authority: &Path) -> anyhow::Result<ClientConfig> {
    let mut client = ClientConfig::builder_with_provider(provider::tls())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(authority, certificates(authority)?)?)
        .with_no_client_auth();
    client.alpn_protocols = vec![PROTOCOLS[0].to_vec()];
    Ok(client)
}

/// The authorities of `file`, to compare with.
fn roots(file: &Path, authorities: Vec<CertificateDer<'_>>) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for root in authorities {
        let added = roots.add(root);
        added.with_context(|| file.display().to_string())?;
    }
    Ok(roots)
}

/// The certificates of a file, at least one.
fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let context = |cause| anyhow!("{}: {cause:?}", file.display());
    let all = CertificateDer::pem_file_iter(file).map_err(context)?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(context)?;
    ensure!(!all.is_empty(), "{} has no certificate", file.display());
    Ok(all)
}

/// The DNS names of a certificate; none of one that cannot be read.
pub(crate) fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    parsed.valid_dns_names().map(str::to_owned).collect()
}
