//! What a caller may do to HTTP/2 itself: each kind of flood ends its own connection, and others go on.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    http2::{
        ACK, Bare, CALL, CANCEL, CONTINUATION, DATA, EMPTY, END_HEADERS, END_STREAM,
        ENHANCE_YOUR_CALM, Frame, HEADERS, PING, PREFACE, REFUSED_STREAM, RST_STREAM, SETTINGS,
        WINDOW_UPDATE, block, call, frame, message, text,
    },
    sample::{Running, ask, start},
};

/// The numbers of so many calls.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

/// Floods a connection, and expects it to be ended for that, while another goes on and a new one is taken.
async fn check_ended(running: &Running, flood: &[u8]) {
    let mut other = running.sample().await;
    other.check(ask("")).await.unwrap();
    let client = Bare::connect(running.address).await;
    assert_eq!(client.flood(flood).await, ENHANCE_YOUR_CALM);
    other.check(ask("")).await.unwrap();
    check_good(running).await;
}

/// Makes a call on a connection of its own.
async fn check_good(running: &Running) {
    running.sample().await.check(ask("")).await.unwrap();
}

#[tokio::test]
async fn calls_that_are_taken_back_at_once_end_their_connection() {
    let running = start(|_| {}).await;
    let reset = |stream| frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    let flood = streams(1_000).flat_map(|stream| [call(stream, &[]), reset(stream)].concat());
    check_ended(&running, &flood.collect::<Vec<u8>>()).await;
}

#[tokio::test]
async fn resets_that_the_server_is_made_to_do_are_counted_over_a_connection() {
    /// More window than a stream can have.
    fn overflow(stream: u32) -> Vec<u8> {
        let most = i32::MAX.to_be_bytes();
        [call(stream, &[]), frame(WINDOW_UPDATE, 0, stream, &most)].concat()
    }
    /// More data than was announced.
    fn overlong(stream: u32) -> Vec<u8> {
        let nothing = call(stream, &[("content-length", "0")]);
        [nothing, frame(DATA, 0, stream, &[0])].concat()
    }
    let ways: [fn(u32) -> Vec<u8>; 2] = [overflow, overlong];
    for provoke in ways {
        let running = start(|config| config.max_streams = 10_000).await;
        let mut client = Bare::connect(running.address).await;
        let allowed: Vec<u8> = streams(100).flat_map(provoke).collect();
        client.send(&allowed).await;
        client.send(&frame(PING, 0, 0, b"go on ? ")).await;
        let lives = client.until(|frame| frame.kind == PING && frame.flags == ACK);
        assert_eq!(lives.await.payload, b"go on ? ");
        assert_eq!(client.flood(&provoke(201)).await, ENHANCE_YOUR_CALM);
        check_good(&running).await;
    }
}

#[tokio::test]
async fn header_fields_in_too_many_pieces_end_their_connection() {
    let running = start(|_| {}).await;
    let begun = frame(HEADERS, 0, 1, &block(&CALL));
    let piece = frame(CONTINUATION, 0, 1, &[]);
    let last = frame(CONTINUATION, END_HEADERS, 1, &[]);
    let mut client = Bare::connect(running.address).await;
    let few = [begun.clone(), piece.repeat(5), last, message(1, &EMPTY)];
    client.send(&few.concat()).await;
    client.until(|frame| frame.answers(1)).await;
    check_ended(&running, &[begun, piece.repeat(1_000)].concat()).await;
}

#[tokio::test]
async fn pieces_of_a_message_without_bytes_end_their_connection() {
    let running = start(|_| {}).await;
    let flood = [call(1, &[]), frame(DATA, 0, 1, &[]).repeat(1_000)];
    check_ended(&running, &flood.concat()).await;
}

#[tokio::test]
async fn a_flood_of_frames_that_ask_for_nothing_ends_its_connection() {
    let running = start(|config| config.max_idle_frames = 100).await;
    for idle in [frame(PING, 0, 0, b"flooding"), frame(SETTINGS, 0, 0, &[])] {
        let mut client = Bare::connect(running.address).await;
        // The greeting has one.
        client.send(&idle.repeat(99)).await;
        let acknowledged = |frame: &Frame| frame.kind == idle[3] && frame.flags == ACK;
        for _ in 0..99 {
            client.until(acknowledged).await;
        }
        client.send(&idle.repeat(250)).await;
        while client.next().await.is_some() {}
        check_good(&running).await;
    }
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_and_the_first_are_answered() {
    let running = start(|config| config.max_streams = 2).await;
    let mut client = Bare::connect(running.address).await;
    for stream in [1, 3, 5] {
        client.send(&call(stream, &[])).await;
    }
    let refused = client.until(|frame| frame.kind == RST_STREAM).await;
    assert_eq!((refused.stream, refused.code()), (5, REFUSED_STREAM));
    for stream in [1, 3] {
        client.send(&message(stream, &EMPTY)).await;
        client.until(|frame| frame.answers(stream)).await;
    }
    // Their places are free again.
    client.send(&call(7, &[])).await;
    client.send(&message(7, &EMPTY)).await;
    client.until(|frame| frame.answers(7)).await;
    check_good(&running).await;
}

#[tokio::test]
async fn a_flood_of_calls_ends_its_connection() {
    let running = start(|_| {}).await;
    let flood = streams(40_000).flat_map(|stream| call(stream, &[]));
    check_ended(&running, &flood.collect::<Vec<u8>>()).await;
}

#[tokio::test]
async fn a_header_list_shorter_than_the_limit_is_read_and_one_as_long_is_refused() {
    /// `:status: 431`, as the server writes it.
    const TOO_LARGE: [u8; 5] = [0x48, 0x83, 0x69, 0x90, 0xff];
    let running = start(|config| config.max_header_bytes = 4_096).await;
    let mut client = Bare::connect(running.address).await;
    // What HTTP/2 counts of a field: its name, its value, and 32 bytes.
    let size = |(name, value): &(&str, &str)| name.len() + value.len() + 32;
    let room = 4_096 - CALL.iter().map(size).sum::<usize>() - size(&("x", ""));
    let (fits, too_long) = ("a".repeat(room - 1), "a".repeat(room));
    client.send(&call(1, &[("x", fits.as_str())])).await;
    client.send(&message(1, &EMPTY)).await;
    client.until(|frame| frame.answers(1)).await;
    client.send(&call(3, &[("x", too_long.as_str())])).await;
    let refused = client.until(|frame| frame.stream == 3).await;
    assert_eq!(refused.kind, HEADERS);
    assert_eq!(refused.flags & END_STREAM, END_STREAM);
    assert_eq!(refused.payload, TOO_LARGE);
    check_good(&running).await;
}

#[tokio::test]
async fn few_bytes_that_unpack_to_a_huge_header_list_end_their_connection() {
    let running = start(|_| {}).await;
    // A field that is remembered, and then named again and again, in a byte each.
    let remembered = [vec![0x40], text("x"), text(&"a".repeat(4_000))].concat();
    let bomb = [block(&CALL), remembered, vec![0xbe; 20]].concat();
    check_ended(&running, &frame(HEADERS, END_HEADERS, 1, &bomb)).await;
}

#[tokio::test]
async fn a_caller_who_stops_in_the_middle_is_closed() {
    let running = start(|config| {
        config.keepalive_interval = Duration::from_millis(100);
        config.keepalive_timeout = Duration::from_millis(500);
        config.http1 = true;
    })
    .await;
    let (settings, call) = (frame(SETTINGS, 0, 0, &[]), call(1, &[]));
    let greeting = [PREFACE, settings.as_slice(), &call[..40]].concat();
    let head = b"POST / HTTP/1.1\r\nHost: sample\r\n";
    for beginning in [&PREFACE[..10], greeting.as_slice(), head] {
        let mut client = Bare::open(running.address).await;
        client.send(beginning).await;
        // Before HTTP/1.1's own 30 s for the head of a request.
        let closed = timeout(Duration::from_secs(20), async {
            while client.next().await.is_some() {}
        });
        closed.await.expect("the connection is closed");
    }
    check_good(&running).await;
}

#[tokio::test]
async fn a_caller_who_asks_on_and_on_and_reads_nothing_is_not_read_either() {
    const MOST: usize = 64 << 20;
    let running = start(|config| config.max_idle_frames = u32::MAX).await;
    for asked in [frame(PING, 0, 0, b"hearing?"), frame(SETTINGS, 0, 0, &[])] {
        let client = Bare::narrow(running.address).await;
        let taken = client.stuff(&asked, MOST).await;
        assert!(taken < MOST, "the server keeps what nobody reads");
        check_good(&running).await;
    }
}

#[tokio::test]
async fn a_caller_who_reads_nothing_is_closed() {
    let running = start(|config| {
        config.max_idle_frames = u32::MAX;
        config.keepalive_interval = Duration::from_millis(500);
        config.keepalive_timeout = Duration::from_millis(500);
    })
    .await;
    let client = Bare::narrow(running.address).await;
    let ping = frame(PING, 0, 0, b"hearing?");
    client.stuff(&ping, usize::MAX).await;
    client.closed_unread().await;
    check_good(&running).await;
}

#[tokio::test]
async fn a_caller_who_leaves_no_room_for_the_answer_is_closed_after_its_deadline() {
    let running = start(|config| {
        config.default_deadline = Duration::from_millis(50);
        config.keepalive_interval = Duration::from_millis(100);
        config.keepalive_timeout = Duration::from_millis(500);
    })
    .await;
    let mut client = Bare::open(running.address).await;
    let initial_window_size = [0, 4, 0, 0, 0, 0];
    client.send(PREFACE).await;
    client
        .send(&frame(SETTINGS, 0, 0, &initial_window_size))
        .await;
    client.send(&call(1, &[])).await;
    client.send(&message(1, &EMPTY)).await;
    // It is alive: it answers every ping.
    while let Some(came) = client.next().await {
        if came.kind == PING && came.flags & ACK == 0 {
            client.send(&frame(PING, ACK, 0, &came.payload)).await;
        }
    }
    check_good(&running).await;
}
