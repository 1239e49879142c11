//! Tokens that callers bring back: what an answer was made of, sealed so that only gateways with the same key make or change one.

use std::path::PathBuf;

use anyhow::ensure;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use prost::Message;
use proto::v1::AsOf;
use service::identity::secret;

/// What a token may have at most: a page of the deepest listing has less.
const LIMIT: usize = 32 * 1024;
/// A key file has at least so many bytes.
const KEY_BYTES: usize = 32;
/// Says what keys are for, so that a file that is also used for something else gives another key there.
const PURPOSE: &str = "twotower 2026-11-29 page tokens and recall tokens";

/// The moment of an answer.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Then {
    /// The generation that answered.
    #[prost(string, tag = "1")]
    pub(crate) generation: String,
    /// The user.
    #[prost(message, required, tag = "2")]
    pub(crate) user: AsOf,
    /// The catalog's delta.
    #[prost(uint64, tag = "3")]
    pub(crate) delta: u64,
    /// Items of the pages before, in their order.
    #[prost(uint64, repeated, tag = "4")]
    pub(crate) returned: Vec<u64>,
}

/// What a token says.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Token {
    /// The moment that it goes on from, or makes again.
    #[prost(message, required, tag = "1")]
    pub(crate) then: Then,
    /// A hash of the request that it stands for.
    #[prost(fixed64, tag = "2")]
    pub(crate) request: u64,
    /// A hash of the answer, if it makes one again; 0 if it goes on.
    #[prost(fixed64, tag = "3")]
    pub(crate) answer: u64,
}

/// The keys that tokens are sealed with.
pub(crate) struct Keys {
    /// The first seals, all open.
    keys: Vec<[u8; 32]>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.keys.len())
    }
}

impl Keys {
    /// Reads keys; without files, makes one that no other gateway has, and that ends with this process.
    ///
    /// # Errors
    /// If a file cannot be read, can be read by others, or is too short to be a secret.
    pub(crate) fn load(files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut keys = Vec::with_capacity(files.len().max(1));
        for file in files {
            let secret = secret::read(file)?;
            ensure!(
                secret.len() >= KEY_BYTES,
                "key file {} has {} bytes, at least {KEY_BYTES} are needed",
                file.display(),
                secret.len()
            );
            keys.push(blake3::derive_key(PURPOSE, &secret));
        }
        if keys.is_empty() {
            keys.push(rand::random());
        }
        Ok(Self { keys })
    }

    /// A name for a text that says nothing of it to whoever lacks the key: 16 hexadecimal digits.
    pub(crate) fn pseudonym(&self, text: &str) -> String {
        let hash = self
            .keys
            .first()
            .map(|key| blake3::keyed_hash(key, text.as_bytes()));
        hash.map_or(String::new(), |hash| hash.to_hex()[..16].to_owned())
    }

    /// Seals a token.
    pub(crate) fn seal(&self, token: &Token) -> String {
        let said = token.encode_to_vec();
        let seal = self.keys.first().map(|key| blake3::keyed_hash(key, &said));
        let sealed = seal.iter().flat_map(blake3::Hash::as_bytes).copied();
        URL_SAFE_NO_PAD.encode(sealed.chain(said).collect::<Vec<_>>())
    }

    /// Opens a token; none if it was not sealed with one of the keys.
    pub(crate) fn open(&self, text: &str) -> Option<Token> {
        if text.len() > LIMIT {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (seal, said) = bytes.split_at_checked(blake3::OUT_LEN)?;
        let seal = blake3::Hash::from_slice(seal).ok()?;
        // Hashes compare in constant time.
        let sealed = |key| blake3::keyed_hash(key, said) == seal;
        self.keys
            .iter()
            .any(sealed)
            .then(|| Token::decode(said).ok())?
    }
}

/// The first 8 bytes of a hash.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::LazyLock};

    use proptest::prelude::*;

    use super::*;

    fn token(delta: u64, returned: Vec<u64>) -> Token {
        Token {
            then: Then {
                generation: "g".to_owned(),
                user: AsOf::default(),
                delta,
                returned,
            },
            request: 5,
            answer: 0,
        }
    }

    fn keys(secrets: &[&str]) -> Keys {
        let folder = tempfile::tempdir().unwrap();
        let files = secrets.iter().zip(0..).map(|(secret, number)| {
            let file = folder.path().join(format!("{number}"));
            write(&file, &secret.repeat(KEY_BYTES), 0o600);
            file
        });
        Keys::load(&files.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn gateways_with_the_same_key_open_each_others_tokens() {
        let sealed = keys(&["a"]).seal(&token(7, vec![1, 2]));
        assert_eq!(keys(&["a"]).open(&sealed), Some(token(7, vec![1, 2])));
        // A new key seals while the old one still opens.
        assert_eq!(keys(&["b", "a"]).open(&sealed), Some(token(7, vec![1, 2])));
        assert_eq!(keys(&["b"]).open(&sealed), None);
        assert_eq!(keys(&[]).open(&sealed), None);
    }

    fn write(file: &Path, secret: &str, mode: u32) {
        fs::write(file, secret).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("open");
        write(&file, &"secret".repeat(KEY_BYTES), 0o644);
        let refused = Keys::load(std::slice::from_ref(&file)).unwrap_err();
        assert!(
            refused
                .to_string()
                .ends_with("(mode 644), must be its owner's alone")
        );
    }

    #[test]
    fn a_key_file_that_is_no_secret_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("short");
        write(&file, "secret", 0o600);
        let refused = Keys::load(std::slice::from_ref(&file)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "key file {} has 6 bytes, at least 32 are needed",
                file.display()
            )
        );
    }

    #[test]
    fn the_deepest_page_fits() {
        let sealed = keys(&["a"]).seal(&token(u64::MAX, vec![u64::MAX; 1_000]));
        assert!(sealed.len() <= LIMIT, "{}", sealed.len());
    }

    static KEYS: LazyLock<Keys> = LazyLock::new(|| keys(&["a"]));

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_token_that_somebody_changed_is_refused(
            delta: u64,
            returned in prop::collection::vec(any::<u64>(), 0..9),
            at: prop::sample::Index,
            change in 1_u8..64,
        ) {
            let sealed = KEYS.seal(&token(delta, returned.clone()));
            prop_assert_eq!(KEYS.open(&sealed), Some(token(delta, returned)));
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let mut bytes = sealed.into_bytes();
            let at = at.index(bytes.len());
            let old = alphabet.iter().position(|letter| *letter == bytes[at]).unwrap();
            bytes[at] = alphabet[(old + usize::from(change)) % 64];
            prop_assert_eq!(KEYS.open(std::str::from_utf8(&bytes).unwrap()), None);
        }

        #[test]
        fn what_is_no_token_is_refused(text in ".{0,200}") {
            prop_assert_eq!(KEYS.open(&text), None);
        }

        #[test]
        fn what_a_key_of_ours_sealed_is_a_token_or_refused(said in prop::collection::vec(any::<u8>(), 0..80)) {
            let seal = blake3::keyed_hash(&KEYS.keys[0], &said);
            let text = URL_SAFE_NO_PAD.encode([&seal.as_bytes()[..], &said].concat());
            if let Some(token) = KEYS.open(&text) {
                prop_assert_eq!(KEYS.open(&KEYS.seal(&token)), Some(token));
            }
        }
    }
}
