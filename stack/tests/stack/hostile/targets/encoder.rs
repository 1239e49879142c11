//! What an artifact holds: its listing, signature, vocabularies, tensors and golden vectors.

use std::{fmt::Write as _, fs, path::Path};

use encoder::{
    artifact::{self, Artifact, LISTING, Listing, SIGNATURE},
    features::{
        CatalogItem, Event, Item, User,
        tensors::{ItemTensors, Tensor, UserTensors},
    },
    golden::{self, Raw},
    messages::{ModelProto, TensorProto},
    sample::Sample,
    signature::Signature,
    vocabulary::{Key, Vocabularies, Vocabulary},
};
use prost::{Message as _, bytes::Bytes};

/// Numbers of a row that tensors are made of: a signature may ask for more than a test should.
const WIDTH_LIMIT: usize = 1 << 16;

/// Opens an artifact by its listing, as it is and under the name that its content makes.
pub(super) fn listing(folder: &Path, bytes: &[u8]) {
    if !folder.join(SIGNATURE).exists() {
        Sample::default().write(folder).unwrap();
    }
    open(folder, bytes);
    if let Ok(mut listing) = serde_json::from_slice::<Listing>(bytes) {
        let mut lines = String::new();
        for (name, entry) in &mut listing.files {
            // Seeds leave out hashes, which change with the sample.
            if entry.blake3.is_empty() && is_below(name) {
                let content = fs::read(folder.join(name)).unwrap_or_default();
                entry.bytes = content.len() as u64;
                entry.blake3 = blake3::hash(&content).to_hex().to_string();
            }
            writeln!(lines, "{}  {}  {name}", entry.blake3, entry.bytes).unwrap();
        }
        listing.space = blake3::hash(lines.as_bytes()).to_hex()[..32].to_owned();
        open(folder, &serde_json::to_vec(&listing).unwrap());
    }
}

fn is_below(name: &str) -> bool {
    name.split('/')
        .all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains('\0'))
}

fn open(folder: &Path, listing: &[u8]) {
    fs::write(folder.join(LISTING), listing).unwrap();
    let damage = artifact::damage(folder);
    if let Ok(artifact) = Artifact::open(folder) {
        assert!(damage.is_empty(), "{damage:?}");
        assert_eq!(artifact.space().len(), 32);
        let mut files = artifact.listing().files.keys();
        assert!(files.all(|name| !name.contains("..")));
    }
}

/// Reads a signature, and makes tensors by one that is valid.
pub(super) fn signature(_: &Path, bytes: &[u8]) {
    let Ok(signature) = Signature::parse(bytes) else {
        return;
    };
    let inputs = signature.user.inputs.iter().chain(&signature.item.inputs);
    let width = inputs.fold(0_usize, |width, input| width.saturating_add(input.width()));
    let vocabulary = |_: &str| Ok(b"<pad>\n<unk>\n1\n2\n3\n".to_vec());
    let Ok(vocabularies) = Vocabularies::read(&signature, vocabulary) else {
        return;
    };
    if width > WIDTH_LIMIT {
        return;
    }
    let event = |item, time| Event {
        item,
        kind: "rating".to_owned(),
        value: 4.0,
        time,
    };
    let user = User {
        id: "1".to_owned(),
        history: vec![event(1, i64::MIN), event(7, 5), event(2, i64::MAX)],
        time: Some(6),
        ..User::default()
    };
    let users = UserTensors::new(&signature, &vocabularies).batch(&[user], 2);
    assert_eq!(users.cold.len(), 1);
    assert_eq!(users.tensors.len(), signature.user.inputs.len());
    let items = ItemTensors::new(&signature, &vocabularies).batch(&[Item::default()], 2);
    for (tensor, input) in items.iter().zip(&signature.item.inputs) {
        assert_eq!(tensor.data.len(), 2 * input.width());
    }
}

/// Reads a vocabulary of texts and one of items.
pub(super) fn vocabulary(_: &Path, bytes: &[u8]) {
    let texts = Vocabulary::read("texts", bytes);
    let items = Vocabulary::read_items("items", bytes, &[0, 1]);
    for vocabulary in [texts, items].into_iter().flatten() {
        assert!(!vocabulary.is_empty());
        for key in [Key::Text("1"), Key::Number(1.0), Key::Item(1)] {
            assert!(vocabulary.id(key).is_none_or(|id| id < vocabulary.len()));
        }
        assert!(vocabulary.items().count() <= vocabulary.len() as usize);
    }
}

/// Reads a tensor and a model.
pub(super) fn tensor(_: &Path, bytes: &[u8]) {
    if let Ok(message) = TensorProto::decode(Bytes::copy_from_slice(bytes))
        && let Ok(tensor) = Tensor::try_from(&message)
    {
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len());
        let again = Tensor::try_from(&TensorProto::from(&tensor)).unwrap();
        assert_eq!(
            (again.shape, again.data.len()),
            (tensor.shape, tensor.data.len())
        );
    }
    if let Ok(model) = ModelProto::decode(Bytes::copy_from_slice(bytes)) {
        assert!(model.encoded_len() <= 20 * bytes.len());
    }
}

/// Reads the lines of raw features, of golden vectors and of a catalog, and writes them again.
pub(super) fn golden(_: &Path, bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for line in text.lines() {
        if let Ok(raw) = serde_json::from_str::<Raw>(line) {
            let written = golden::lines(std::slice::from_ref(&raw));
            assert!(written.ends_with(b"\n"));
            assert!(raw.len() <= line.len());
        }
        if let Ok(item) = serde_json::from_str::<CatalogItem>(line) {
            let written = serde_json::to_vec(&item).unwrap();
            let again: CatalogItem = serde_json::from_slice(&written).unwrap();
            assert_eq!((again.id, again.title), (item.id, item.title));
        }
    }
}
