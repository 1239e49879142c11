//! Fetches MovieLens-1M from GroupLens: downloads, checks, unpacks.

use std::{
    fs,
    io::{self, Cursor, Read},
    path::Path,
};

use md5::{Digest, Md5};
use zip::ZipArchive;

use crate::progress;

/// The files that are taken out of the zip file's folder `ml-1m`.
const FILES: [&str; 4] = ["README", "users.dat", "movies.dat", "ratings.dat"];
/// More than the zip file and any file in it has: a stranger's answer must not fill the memory.
const MOST_BYTES: u64 = 64 << 20;

/// Where from.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of the zip file.
    pub url: String,
    /// MD5 of the zip file, as its publisher gives it.
    pub md5: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "https://files.grouplens.org/datasets/movielens/ml-1m.zip".to_owned(),
            md5: "c4d9eecfca2ab87c1945afe126590906".to_owned(),
        }
    }
}

/// Why the data could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no network, or nothing at the address.
    #[error(
        "cannot download {url} ({reason}); without internet, unzip a copy by hand and run `onnx data ml-1m DIR`, \
         or run `onnx data generate`"
    )]
    Download {
        /// The address.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// Something else came than was published.
    #[error("the download has md5 {found}, GroupLens gives {expected}")]
    Checksum {
        /// MD5 of what came.
        found: String,
        /// MD5 of what was published.
        expected: String,
    },
    /// The zip file cannot be unpacked.
    #[error("ml-1m/{file} in the zip file: {reason}")]
    Unpack {
        /// The file within.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Downloads into `dir`, for [`super::movielens::read`]. Returns the README, which holds the licence: show it.
///
/// # Errors
/// Nothing is written unless the download has the expected MD5.
pub fn fetch(dir: &Path, options: &Options) -> Result<String, Error> {
    let bytes = download(&options.url)?;
    check(&bytes, &options.md5)?;
    unpack(&bytes, dir)
}

fn download(url: &str) -> Result<Vec<u8>, Error> {
    let failed = |reason: String| Error::Download {
        url: url.to_owned(),
        reason,
    };
    let response = ureq::get(url).call().map_err(|e| failed(e.to_string()))?;
    let body = response.into_body();
    let bar = progress::bar(body.content_length().unwrap_or(0), "bytes");
    let mut bytes = Vec::new();
    let read = bar
        .wrap_read(body.into_reader())
        .take(MOST_BYTES)
        .read_to_end(&mut bytes);
    bar.finish_and_clear();
    read.map_err(|e| failed(e.to_string()))?;
    Ok(bytes)
}

fn check(bytes: &[u8], expected: &str) -> Result<(), Error> {
    let found: String = Md5::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if found == expected {
        return Ok(());
    }
    Err(Error::Checksum {
        found,
        expected: expected.to_owned(),
    })
}

/// Takes the known files out of the zip file, by name: no path in it decides where anything is written.
fn unpack(bytes: &[u8], dir: &Path) -> Result<String, Error> {
    let mut contents = Vec::new();
    for file in FILES {
        let unpack = || {
            let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
            let entry = archive
                .by_name(&format!("ml-1m/{file}"))
                .map_err(|e| e.to_string())?;
            if entry.size() > MOST_BYTES {
                return Err(format!(
                    "{} bytes, at most {MOST_BYTES} are expected",
                    entry.size()
                ));
            }
            let mut content = Vec::new();
            entry
                .take(MOST_BYTES)
                .read_to_end(&mut content)
                .map_err(|e| e.to_string())?;
            Ok(content)
        };
        contents.push(unpack().map_err(|reason| Error::Unpack { file, reason })?);
    }
    let io = |path: &Path| {
        let path = path.display().to_string();
        move |source| Error::Io { path, source }
    };
    fs::create_dir_all(dir).map_err(io(dir))?;
    for (file, content) in FILES.iter().zip(&contents) {
        let path = dir.join(file);
        fs::write(&path, content).map_err(io(&path))?;
    }
    Ok(String::from_utf8_lossy(&contents[0]).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::io::Write;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn zip(files: &[(&str, &str)]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    const WHOLE: [(&str, &str); 4] = [
        ("ml-1m/README", "licence"),
        ("ml-1m/users.dat", "1::F::1::10::48067"),
        ("ml-1m/movies.dat", "7::Film (1990)::Drama"),
        ("ml-1m/ratings.dat", "1::7::5::1"),
    ];

    #[test]
    fn the_four_files_are_unpacked_and_the_licence_returned() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("ml-1m");
        assert_eq!(unpack(&zip(&WHOLE), &out).unwrap(), "licence");
        assert_eq!(
            fs::read_to_string(out.join("ratings.dat")).unwrap(),
            "1::7::5::1"
        );
        assert_eq!(fs::read_dir(&out).unwrap().count(), 4);
    }

    #[test]
    fn a_path_in_the_zip_file_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("deep/ml-1m");
        let evil = [
            &WHOLE[..],
            &[
                ("../evil", "x"),
                ("ml-1m/../../evil", "x"),
                ("/tmp/evil", "x"),
            ],
        ]
        .concat();
        unpack(&zip(&evil), &out).unwrap();
        assert_eq!(fs::read_dir(&out).unwrap().count(), 4);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_written_when_a_file_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("ml-1m");
        let error = unpack(&zip(&WHOLE[..3]), &out).unwrap_err().to_string();
        assert!(
            error.starts_with("ml-1m/ratings.dat in the zip file"),
            "{error}"
        );
        assert!(!out.exists());
    }

    #[test]
    fn a_download_of_another_content_is_refused() {
        assert!(check(b"abc", "900150983cd24fb0d6963f7d28e17f72").is_ok());
        let error = check(b"abd", "900150983cd24fb0d6963f7d28e17f72").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("GroupLens gives 900150983cd24fb0d6963f7d28e17f72")
        );
    }

    #[test]
    fn without_a_network_one_sentence_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        // Port 9 of this machine, where nobody listens.
        let options = Options {
            url: "http://127.0.0.1:9/ml-1m.zip".into(),
            ..Default::default()
        };
        let error = fetch(dir.path(), &options).unwrap_err().to_string();
        assert!(error.contains("run `onnx data ml-1m DIR`"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
