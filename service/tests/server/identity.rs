//! Who may call, by certificate and by token.

use std::{path::PathBuf, time::Duration};

use service::{
    client::Connector,
    identity::{
        IdentityConfig,
        token::{Claims, now},
    },
    status,
};
use tonic::{Code, Request, Status, transport::Endpoint};

use crate::{
    credentials::{Authority, sign},
    sample::{Running, ask, start_as},
};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a certificate and the key of tokens, as `gateway`; `change` can change what it knows.
async fn serve(authority: &Authority, change: impl FnOnce(&mut IdentityConfig)) -> Running {
    start_as(|_, identity| {
        authority.identify(identity, "gateway");
        identity.token_keys = authority.token_keys();
        change(identity);
    })
    .await
}

/// Claims of a caller with `role`, for an hour.
fn claims(role: &str) -> Claims {
    Claims {
        sub: "shop".to_owned(),
        aud: "twotower".to_owned(),
        exp: now() + 3600,
        roles: vec![role.to_owned()],
    }
}

/// Calls the sample service with a token and without a certificate.
async fn call_with(authority: &Authority, running: &Running, token: &str) -> Result<(), Status> {
    let connector = Connector::trusting(&authority.file()).unwrap();
    let mut request = Request::new(ask(""));
    if !token.is_empty() {
        let header = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", header);
    }
    let mut client = running.sample_by(&connector).await.unwrap();
    client.check(request).await.map(|_| ())
}

/// Calls the sample service with the certificate of `name`.
async fn call_as(authority: &Authority, running: &Running, name: &str) -> Result<(), Status> {
    let connector = Connector::new(&authority.identity(name)).unwrap();
    let client = running.sample_by(&connector).await;
    let mut client = client.map_err(|cause| Status::unavailable(cause.to_string()))?;
    client.check(ask("")).await.map(|_| ())
}

#[tokio::test]
async fn our_own_servers_know_each_other_by_their_certificates() {
    let authority = Authority::new();
    let running = serve(&authority, |_| {}).await;
    call_as(&authority, &running, "user-tower").await.unwrap();
    let stranger = call_as(&authority, &running, "stranger").await.unwrap_err();
    assert_eq!(stranger.code(), Code::Unauthenticated, "{stranger}");
    let nobody = call_with(&authority, &running, "").await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    assert_eq!(
        status::reason(&nobody).as_deref(),
        Some(status::UNAUTHENTICATED)
    );
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_time_fails_in_the_handshake() {
    let (authority, other) = (Authority::new(), Authority::new());
    let running = serve(&authority, |_| {}).await;
    let foreign = call_as(&other, &running, "user-tower").await.unwrap_err();
    assert_eq!(foreign.code(), Code::Unavailable, "{foreign}");
    // The caller trusts the server's authority, but the server not the caller's.
    let mut mixed = other.identity("user-tower");
    mixed.authority = authority.file();
    let connector = Connector::new(&mixed).unwrap();
    assert!(fails(&running, &connector).await);
    let mut expired = authority.identity("user-tower");
    (expired.certificate, expired.key) = authority.expired("user-tower");
    let connector = Connector::new(&expired).unwrap();
    assert!(fails(&running, &connector).await);
    call_as(&authority, &running, "user-tower").await.unwrap();
}

/// Whether no call comes through: TLS 1.3 tells a caller with its first bytes that its certificate is refused.
async fn fails(running: &Running, connector: &Connector) -> bool {
    match running.sample_by(connector).await {
        Err(_) => true,
        Ok(mut client) => client.check(ask("")).await.is_err(),
    }
}

#[tokio::test]
async fn our_own_servers_call_only_servers_with_the_role_of_one() {
    let authority = Authority::new();
    let running = serve(&authority, |identity| {
        authority.identify(identity, "operator");
    })
    .await;
    let refused = call_as(&authority, &running, "user-tower").await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    let plain = Endpoint::from_shared(format!("http://{}", running.address)).unwrap();
    assert!(fails_plain(plain).await, "and nobody without TLS");
}

async fn fails_plain(endpoint: Endpoint) -> bool {
    use tonic_health::pb::health_client::HealthClient;
    match endpoint.connect().await {
        Err(_) => true,
        Ok(channel) => HealthClient::new(channel).check(ask("")).await.is_err(),
    }
}

#[tokio::test]
async fn a_token_says_who_calls_and_what_they_may() {
    let authority = Authority::new();
    let running = serve(&authority, |_| {}).await;
    let key = authority.signing_key();
    let reader = key.sign(&claims("reader")).unwrap();
    for _ in 0..2 {
        call_with(&authority, &running, &reader).await.unwrap();
    }
    let editor = key.sign(&claims("editor")).unwrap();
    let refused = call_with(&authority, &running, &editor).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::ROLE_MISSING)
    );
    assert!(refused.message().contains("reader, service"), "{refused}");
}

#[tokio::test]
async fn a_token_that_is_expired_forged_or_not_meant_for_us_is_refused() {
    let authority = Authority::new();
    let running = serve(&authority, |_| {}).await;
    let key = authority.signing_key();
    let with = |change: fn(&mut Claims)| {
        let mut claims = claims("reader");
        change(&mut claims);
        claims
    };
    let good = key.sign(&claims("reader")).unwrap();
    let (body, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = body.split_once('.').unwrap();
    let forged = format!("{header}.{}.{signature}", sign::encode(&claims("admin")));
    let unsigned = sign::none(&claims("reader"), &key.id());
    let wrong = [
        (key.sign(&with(|it| it.exp = now() - 60)).unwrap(), "xpired"),
        (
            key.sign(&with(|it| it.aud = "elsewhere".to_owned()))
                .unwrap(),
            "InvalidAudience",
        ),
        (
            Authority::new()
                .signing_key()
                .sign(&claims("reader"))
                .unwrap(),
            "unknown key",
        ),
        (forged, "InvalidSignature"),
        (unsigned, "malformed"),
        ("no.token".to_owned(), "malformed"),
        ("a".repeat(4097), "4096"),
    ];
    for (token, why) in wrong {
        let refused = call_with(&authority, &running, &token).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{why}: {refused}");
        assert!(refused.message().contains(why), "{why}: {refused}");
    }
}

#[tokio::test]
async fn no_token_makes_its_owner_one_of_our_own_servers() {
    let authority = Authority::new();
    let running = serve(&authority, |_| {}).await;
    let token = authority.signing_key().sign(&claims("service")).unwrap();
    let refused = call_with(&authority, &running, &token).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
}

#[tokio::test]
async fn a_key_that_is_taken_out_is_out_even_where_another_cannot_be_read() {
    let authority = Authority::new();
    let running = serve(&authority, |_| {}).await;
    let token = authority.signing_key().sign(&claims("reader")).unwrap();
    call_with(&authority, &running, &token).await.unwrap();
    std::fs::write(authority.token_keys().join("broken.pem"), "no key").unwrap();
    let key = format!("{}.pem", authority.signing_key().id());
    let key = authority.token_keys().join(key);
    std::fs::remove_file(key).unwrap();
    until(async || call_with(&authority, &running, &token).await.is_err()).await;
}

#[tokio::test]
async fn nothing_is_sent_in_clear_to_an_address_that_asks_for_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{}", listener.local_addr().unwrap());
    let endpoint = || Endpoint::from_shared(uri.clone()).unwrap();
    assert!(Connector::default().connect(endpoint()).await.is_err());
    let lazy = Connector::default().lazy(endpoint());
    let mut health = tonic_health::pb::health_client::HealthClient::new(lazy);
    let refused = health.check(ask("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
}

#[tokio::test]
async fn where_nobody_listens_a_call_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let lazy = Connector::default().lazy(Endpoint::from_shared(uri).unwrap());
    let mut health = tonic_health::pb::health_client::HealthClient::new(lazy);
    let status = health.check(ask("")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

#[tokio::test]
async fn who_may_not_call_is_told_before_the_message_is_read() {
    let authority = Authority::new();
    let running = serve(&authority, |_| {}).await;
    let connector = Connector::trusting(&authority.file()).unwrap();
    // The message never ends, so nobody who reads it can answer.
    let endless = tokio_stream::pending::<tonic_health::pb::HealthCheckRequest>();
    let answer = running.stream_to_sample(&connector, endless);
    let refused = tokio::time::timeout(PATIENCE, answer).await.unwrap();
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn anybody_may_ask_whether_a_server_is_healthy() {
    let authority = Authority::new();
    let running = serve(&authority, |_| {}).await;
    let connector = Connector::trusting(&authority.file()).unwrap();
    let channel = connector.connect(running.endpoint("https")).await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    health.check(ask("")).await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_and_a_new_key_are_taken_without_a_restart() {
    let authority = Authority::new();
    let running = serve(&authority, |_| {}).await;
    let old = authority.signing_key().sign(&claims("reader")).unwrap();
    call_with(&authority, &running, &old).await.unwrap();

    authority.rotate_token_key();
    let new = authority.signing_key().sign(&claims("reader")).unwrap();
    until(async || call_with(&authority, &running, &new).await.is_ok()).await;
    let refused = call_with(&authority, &running, &old).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");

    // Under the same name there is now the certificate of somebody who is no service.
    authority.replace("gateway", "operator");
    until(async || call_as(&authority, &running, "user-tower").await.is_err()).await;
    authority.replace("gateway", "gateway");
    until(async || call_as(&authority, &running, "user-tower").await.is_ok()).await;
}

/// Waits until `holds`.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let refused = |change: fn(&mut IdentityConfig)| {
        let mut identity = authority.identity("gateway");
        change(&mut identity);
        format!("{:#}", Connector::new(&identity).unwrap_err())
    };
    let missing = refused(|it| it.certificate = PathBuf::from("nowhere.pem"));
    assert!(missing.contains("nowhere.pem"), "{missing}");
    let mixed = refused(|it| it.certificate = it.authority.clone());
    assert!(mixed.contains("authority.pem and"), "{mixed}");
    authority.open_key("gateway");
    let open = refused(|_| {});
    assert!(open.ends_with("must be its owner's alone"), "{open}");
}

#[tokio::test]
async fn operators_calls_are_answered_at_their_own_listener() {
    let running = start_as(|config, _| config.admin_listen = "127.0.0.1:0".to_owned()).await;
    let refused = running.sample().await.watch(ask("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(refused.message().contains("server.admin_listen"));
}
