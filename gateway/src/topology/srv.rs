//! Looks up a service in DNS: where each of its servers is, and at which port.

use std::collections::BTreeSet;

use hickory_resolver::{TokioResolver, net::NetError, proto::rr::RData};

/// Returns `http://HOST:PORT` of each server of a service, such as `_grpc._tcp.item-tower.default.svc.cluster.local`, by the DNS servers
/// that the system goes by.
pub(super) async fn servers(service: &str) -> Result<BTreeSet<String>, NetError> {
    let resolver = TokioResolver::builder_tokio()?.build()?;
    look_up(&resolver, service).await
}

async fn look_up(resolver: &TokioResolver, service: &str) -> Result<BTreeSet<String>, NetError> {
    let found = resolver.srv_lookup(service).await?;
    let servers = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(server) => {
                let host = server.target.to_utf8();
                let host = host.trim_end_matches('.');
                Some(format!("http://{host}:{}", server.port))
            }
            _ => None,
        });
    Ok(servers.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use hickory_resolver::{
        config::{ConnectionConfig, NameServerConfig, ResolverConfig},
        net::runtime::TokioRuntimeProvider,
    };
    use tokio::net::UdpSocket;

    use super::*;

    /// A name as DNS writes it.
    fn name(name: &str) -> Vec<u8> {
        let labels = name.split('.').flat_map(|label| {
            let length = label.len() as u8;
            [length].into_iter().chain(label.bytes())
        });
        labels.chain([0]).collect()
    }

    /// Answers one question with these servers.
    async fn answer(socket: UdpSocket, servers: &[(&str, u16)]) {
        let mut question = [0; 512];
        let (length, from) = socket.recv_from(&mut question).await.unwrap();
        // What follows the question, such as the options of the resolver, is not repeated.
        let asked = 12
            + question[12..length]
                .iter()
                .position(|byte| *byte == 0)
                .unwrap()
            + 5;
        let mut answer = question[..2].to_vec();
        answer.extend([0x81, 0x80, 0, 1, 0, servers.len() as u8, 0, 0, 0, 0]);
        answer.extend(&question[12..asked]);
        for (host, port) in servers {
            let host = name(host);
            // The name asked for, SRV, IN, five seconds, then priority, weight, port and host.
            answer.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 5, 0, 6 + host.len() as u8]);
            answer.extend([0, 0, 0, 0]);
            answer.extend(port.to_be_bytes());
            answer.extend(host);
        }
        socket.send_to(&answer, from).await.unwrap();
    }

    #[tokio::test]
    async fn each_server_of_a_service_is_found_with_its_port() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let mut connection = ConnectionConfig::udp();
        connection.port = at.port();
        let server = NameServerConfig::new(at.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let resolver =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build();
        let servers = [
            ("item-tower-0.item-tower", 50_052),
            ("item-tower-1.item-tower", 50_053),
        ];
        let answering = answer(socket, &servers);
        let resolver = resolver.unwrap();
        let asking = look_up(&resolver, "_grpc._tcp.item-tower.");
        let (found, ()) = tokio::join!(asking, answering);
        let found: Vec<_> = found.unwrap().into_iter().collect();
        let expected = [
            "http://item-tower-0.item-tower:50052",
            "http://item-tower-1.item-tower:50053",
        ];
        assert_eq!(found, expected);
    }
}
