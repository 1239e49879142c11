//! The public keys that tokens are verified with: a directory of them, read again when it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, anyhow, ensure};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use moka::sync::Cache;
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use tracing::{info, warn};

use super::{
    provider,
    token::{Claims, now},
};

/// How often the directory is looked at, at most.
const LOOK: Duration = Duration::from_secs(1);
/// How many tokens are remembered as verified.
const REMEMBERED: u64 = 10_000;
/// The longest token that is looked at, in bytes.
const LONGEST: usize = 4096;
/// How far clocks may be apart, in seconds.
const LEEWAY: u64 = 5;
/// What stands before the 32 bytes of a public key in its SubjectPublicKeyInfo (RFC 8410).
const PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

type Stamps = BTreeMap<PathBuf, SystemTime>;

/// The keys, and the tokens that were verified with them.
pub(crate) struct Keys {
    directory: PathBuf,
    validation: Validation,
    loaded: Mutex<Loaded>,
    /// By token, with the age of the keys that verified it.
    verified: Cache<String, (u64, Claims)>,
}

struct Loaded {
    keys: BTreeMap<String, DecodingKey>,
    stamps: Stamps,
    looked: Instant,
    /// Grows whenever keys change.
    age: u64,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "keys of {}", self.directory.display())
    }
}

impl Keys {
    /// Reads every `KEYID.pem` of `directory`, for tokens meant for `audience`.
    ///
    /// # Errors
    /// If it cannot be read, or a file is no Ed25519 key.
    pub(crate) fn load(directory: &Path, audience: &str) -> anyhow::Result<Self> {
        provider::install_for_tokens();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        let stamps = stamps(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            validation,
            loaded: Mutex::new(Loaded {
                keys: read(&stamps)?,
                stamps,
                looked: Instant::now(),
                age: 0,
            }),
            verified: Cache::new(REMEMBERED),
        })
    }

    /// Verifies a token: its key, signature, audience and time.
    ///
    /// # Errors
    /// What is wrong with it, in words for its owner.
    pub(crate) fn verify(&self, token: &str) -> Result<Claims, String> {
        if token.len() > LONGEST {
            return Err(format!("the token has more than {LONGEST} bytes"));
        }
        let loaded = self.fresh();
        let age = loaded.age;
        if let Some((_, claims)) = self.verified.get(token).filter(|(of, _)| *of == age) {
            return match now() <= claims.exp.saturating_add(LEEWAY) {
                true => Ok(claims),
                false => Err("the token is expired".to_owned()),
            };
        }
        let header = decode_header(token).map_err(|_| "the token is malformed".to_owned())?;
        let id = header.kid.ok_or("the token names no key")?;
        let key = loaded.keys.get(&id).cloned();
        drop(loaded);
        let key = key.ok_or("the token names an unknown key")?;
        let decoded = decode::<Claims>(token, &key, &self.validation);
        let claims = decoded
            .map_err(|cause| format!("the token is refused: {cause}"))?
            .claims;
        self.verified
            .insert(token.to_owned(), (age, claims.clone()));
        Ok(claims)
    }

    /// The keys, read again if the directory changed; those of before, if it cannot be read now.
    fn fresh(&self) -> MutexGuard<'_, Loaded> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.looked.elapsed() < LOOK {
            return loaded;
        }
        loaded.looked = Instant::now();
        let stamps = match stamps(&self.directory) {
            Ok(stamps) if stamps == loaded.stamps => return loaded,
            Ok(stamps) => stamps,
            Err(cause) => {
                warn!(%cause, "the keys of tokens cannot be read, those of before stay");
                return loaded;
            }
        };
        loaded.age += 1;
        match read(&stamps) {
            Ok(keys) => {
                info!(keys = keys.len(), "the keys of tokens were read again");
                (loaded.keys, loaded.stamps) = (keys, stamps);
            }
            Err(cause) => {
                warn!(%cause, "not all keys of tokens can be read, those of before stay unless their file is gone");
                let there: BTreeSet<String> = stamps.keys().map(|file| id(file)).collect();
                loaded.keys.retain(|id, _| there.contains(id));
            }
        }
        loaded
    }
}

/// The id of the key in a file.
fn id(file: &Path) -> String {
    file.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The key files of a directory, and when each changed.
fn stamps(directory: &Path) -> anyhow::Result<Stamps> {
    let context = || format!("directory {}", directory.display());
    let mut stamps = Stamps::new();
    for entry in fs::read_dir(directory).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.extension().is_some_and(|ending| ending == "pem") {
            stamps.insert(path.clone(), fs::metadata(&path)?.modified()?);
        }
    }
    Ok(stamps)
}

fn read(files: &Stamps) -> anyhow::Result<BTreeMap<String, DecodingKey>> {
    let key = |file: &PathBuf| {
        let info = SubjectPublicKeyInfoDer::from_pem_file(file)
            .map_err(|cause| anyhow!("{} is no public key: {cause:?}", file.display()))?;
        let key = info.strip_prefix(PREFIX.as_slice()).unwrap_or_default();
        ensure!(
            key.len() == 32,
            "{} is no Ed25519 public key",
            file.display()
        );
        Ok((id(file), DecodingKey::from_ed_der(key)))
    };
    files.keys().map(key).collect()
}
