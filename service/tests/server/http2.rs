//! A bare HTTP/2 client: frames made by hand, for what no library would send.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// What every client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The header fields of a call of the sample service.
pub(crate) const CALL: [(&str, &str); 6] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/twotower.v1.SampleService/Check"),
    (":authority", "sample"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
];
/// A message of no bytes: what is asked, and what is answered.
pub(crate) const EMPTY: [u8; 5] = [0; 5];

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection.
pub(crate) struct Bare {
    socket: TcpStream,
}

/// A frame as it came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A frame to send.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The HEADERS frame that begins a call, with further header fields.
pub(crate) fn call(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    let block = [block(&CALL), block(more)].concat();
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// The DATA frame that ends what the caller says.
pub(crate) fn message(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, bytes)
}

/// Header fields in HPACK, each as its text.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let field = |(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    fields.iter().flat_map(field).collect()
}

/// A text in HPACK: its length, seven bits first, and itself.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len().checked_sub(127) {
        None => bytes.push(text.len() as u8),
        Some(mut rest) => {
            bytes.push(127);
            while rest >= 128 {
                bytes.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
    }
    bytes.extend(text.as_bytes());
    bytes
}

impl Frame {
    /// The error code of a RST_STREAM or GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        let code = self.payload[at..].first_chunk::<4>().unwrap();
        u32::from_be_bytes(*code)
    }

    /// Whether it carries the answer of a call.
    pub(crate) fn answers(&self, stream: u32) -> bool {
        self.kind == DATA && self.stream == stream && self.payload == EMPTY
    }
}

impl Bare {
    /// Connects and says nothing.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        Self { socket }
    }

    /// Connects, and says first what a client must say.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::open(address).await.greet().await
    }

    /// The same with little room for what is not read.
    pub(crate) async fn narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let socket = socket.connect(address).await.unwrap();
        Self { socket }.greet().await
    }

    async fn greet(mut self) -> Self {
        self.send(PREFACE).await;
        self.send(&frame(SETTINGS, 0, 0, &[])).await;
        self
    }

    /// Sends bytes; that the server closed the connection meanwhile shows in what it sent.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes).await;
    }

    /// The next frame; none once the server closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let next = timeout(PATIENCE, read(&mut self.socket)).await;
        next.expect("the server says or ends something")
    }

    /// Reads up to the first frame that is wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection lives");
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// Sends bytes and reads what comes until the server closes the connection; returns the code that it gave.
    pub(crate) async fn flood(mut self, bytes: &[u8]) -> u32 {
        let (mut reading, mut writing) = self.socket.split();
        let codes = async {
            let mut code = None;
            while let Some(frame) = read(&mut reading).await {
                code = (frame.kind == GOAWAY).then(|| frame.code()).or(code);
            }
            code
        };
        let both = async { tokio::join!(writing.write_all(bytes), codes) };
        let ended = timeout(PATIENCE, both).await;
        let (_, code) = ended.expect("the server closes the connection");
        code.expect("the server says why")
    }

    /// Sends a frame again and again, and reads nothing, until the server takes no more of them, or until it took `most` bytes; returns
    /// how many it took.
    pub(crate) async fn stuff(&self, frame: &[u8], most: usize) -> usize {
        let frames = frame.repeat(4_096);
        let (mut taken, mut in_vain) = (0, 0);
        while taken < most && in_vain < 1_000 {
            match self.socket.try_write(&frames[taken % frame.len()..]) {
                Ok(bytes) => (taken, in_vain) = (taken + bytes, 0),
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => {
                    in_vain += 1;
                    tokio::task::yield_now().await;
                }
                Err(_) => break,
            }
        }
        taken
    }

    /// Waits until the server closed the connection, and reads nothing.
    pub(crate) async fn closed_unread(&self) {
        let closed = async {
            loop {
                self.socket.writable().await.unwrap();
                match self.socket.try_write(&[0]) {
                    Err(cause) if cause.kind() != ErrorKind::WouldBlock => return,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        let closed = timeout(PATIENCE, closed).await;
        closed.expect("the server closes the connection");
    }
}

async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let mut head = [0; 9];
    socket.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    socket.read_exact(&mut payload).await.ok()?;
    Some(Frame {
        kind,
        flags,
        stream: u32::from_be_bytes(stream),
        payload,
    })
}
