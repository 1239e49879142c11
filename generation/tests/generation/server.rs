//! An S3 server of the tests' own, in a process that ends with them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::LazyLock,
};

use futures::TryStreamExt as _;
use object_store::{
    ObjectStore as _, ObjectStoreExt as _,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    path::Path as Key,
};

/// One server for all tests of this process.
static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
/// The bucket that it has.
pub(crate) const BUCKET: &str = "stores";

struct Server {
    port: u16,
    _child: Child,
    /// The server ends when this is closed, however this process ends.
    _input: ChildStdin,
}

impl Server {
    fn start() -> Self {
        let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = crate_dir.with_file_name(".venv").join("bin/python");
        assert!(
            python.exists(),
            "{} is missing: run make test, which sets it up",
            python.display()
        );
        let mut child = Command::new(python)
            .arg(crate_dir.join("tests/server/s3.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let port = line.trim().parse();
        Self {
            port: port.unwrap_or_else(|_| panic!("the S3 server did not start: it says {line:?}")),
            _child: child,
            _input: input,
        }
    }
}

/// How to reach the server.
pub(crate) fn settings() -> Vec<(String, String)> {
    settings_of(SERVER.port)
}

/// How to reach a server on this machine.
pub(crate) fn settings_of(port: u16) -> Vec<(String, String)> {
    let endpoint = format!("http://127.0.0.1:{port}");
    [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

/// Makes the objects below a prefix two days older.
pub(crate) fn age(prefix: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", SERVER.port)).unwrap();
    write!(
        stream,
        "POST /age/{prefix} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Puts an object as a faulty server or hand would.
pub(crate) async fn put(name: &str, bytes: &[u8]) {
    let objects = connect();
    let put = objects.put(&Key::from(name), bytes.to_vec().into()).await;
    put.unwrap();
}

/// Lists all objects below a prefix.
pub(crate) async fn list(prefix: &str) -> Vec<String> {
    let objects = connect();
    let listed = objects.list(Some(&Key::from(prefix)));
    let names = listed.map_ok(|meta| meta.location.to_string());
    names.try_collect().await.unwrap()
}

fn connect() -> AmazonS3 {
    let settings = settings().into_iter();
    settings
        .fold(AmazonS3Builder::new(), |builder, (key, value)| {
            let key: AmazonS3ConfigKey = key.to_ascii_lowercase().parse().unwrap();
            builder.with_config(key, value)
        })
        .with_bucket_name(BUCKET)
        .build()
        .unwrap()
}
