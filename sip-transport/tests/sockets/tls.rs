//! TLS: who is let in, who is refused and how the caller learns why, and what a handshake may cost others.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, SanType, SerialNumber, date_time_ymd};
use sip_message::Transport;
use sip_transport::TransportError;
use sip_transport::tls::{Alert, ClientCertificates, Peer, Tls, TlsBuilder, TlsError};
use sip_transport::{
    Config, ConnectionId, Destination, Flow, Input, ListenAddr, Sockets, Target, Transmit,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::node::{Node, PATIENCE, RESPONSE, options};
use crate::pki::{FOR_MAIL, Leaf, Pki, dns, named, uri};

const DOMAIN: &str = "example.com";

fn with(tls: TlsBuilder) -> Config {
    Config::default().tls(Some(tls.build().unwrap()))
}

fn server(config: Config) -> Node {
    Node::bind(&["tls:127.0.0.1:0"], config)
}

/// A client that opens connections only, over IPv4.
fn client(config: Config) -> Node {
    let addr = ListenAddr::dial_only(Transport::Tls, [127, 0, 0, 1].into());
    Node { sockets: Sockets::bind(&[addr], config).unwrap(), inputs: Default::default() }
}

impl Node {
    fn send_tls(&mut self, server: &Node, domain: &str, payload: &[u8], token: u64) {
        self.send_tls_to(server.addr(Transport::Tls), domain, payload, token);
    }

    fn send_tls_to(
        &mut self,
        remote: std::net::SocketAddr,
        domain: &str,
        payload: &[u8],
        token: u64,
    ) {
        let destination = Destination::Target(Target::new(Transport::Tls, remote));
        let (payload, domain) = (payload.to_vec().into(), Some(domain.into()));
        let fallback = None;
        self.sockets.send(Transmit { destination, fallback, payload, token, domain });
    }

    async fn authenticated(&mut self) -> (Flow, Arc<Peer>) {
        match self.next().await {
            Input::Authenticated { flow, peer } => (flow, peer),
            other => panic!("not authenticated: {other:?}"),
        }
    }
}

/// What the caller learns of a request for `asked_for` to a server that shows `shown`.
async fn outcome(shown: &Leaf, trusting: TlsBuilder, asked_for: &str) -> Option<TlsError> {
    let mut server = server(with(Tls::builder().certificate(shown.certificate())));
    let mut client = client(with(trusting));
    client.send_tls(&server, asked_for, &options(1), 7);
    match server.with(client.next()).await {
        Input::SendFailed { token: 7, error: TransportError::Tls(error), .. } => Some(error),
        Input::Authenticated { .. } => None,
        other => panic!("{other:?}"),
    }
}

async fn outcome_of(
    names: &[SanType],
    change: impl FnOnce(&mut CertificateParams),
) -> Option<TlsError> {
    let pki = Pki::new();
    outcome(&pki.issue(names, change), pki.trusting(), DOMAIN).await
}

#[tokio::test]
async fn messages_go_both_ways_over_one_connection() {
    let pki = Pki::new();
    for listen in ["tls:127.0.0.1:0", "tls:[::1]:0"] {
        let mut server = Node::bind(&[listen], with(pki.showing(&pki.of(DOMAIN))));
        let addr = server.addr(Transport::Tls);
        let from = ListenAddr::dial_only(Transport::Tls, addr.ip());
        let sockets = Sockets::bind(&[from], with(pki.trusting())).unwrap();
        assert!(!sockets.locals().first(Transport::Tls).unwrap().listens);
        let mut client = Node { sockets, inputs: Default::default() };
        for number in 0..10 {
            client.send_tls_to(addr, DOMAIN, &options(number), 0);
        }
        let (flow, peer) = server.with(client.authenticated()).await;
        assert_eq!(peer.domains().collect::<Vec<_>>(), [DOMAIN]);
        assert!(peer.is_of("EXAMPLE.com") && !peer.is_of("sip.example.com"));
        for number in 0..10 {
            let (back, payload) = client.with(server.message()).await;
            assert_eq!(payload, options(number));
            assert_eq!(back.transport, Transport::Tls);
            server.send(Destination::Flow(back), &payload, 0);
        }
        for number in 0..10 {
            let (came, payload) = server.with(client.message()).await;
            assert_eq!((came, payload), (flow, options(number).into()));
        }
        assert_eq!((server.sockets.connections(), client.sockets.connections()), (1, 1));
        client.sockets.close(flow.connection.unwrap());
        assert_eq!(client.with(server.closed()).await.1, None);
        assert_eq!(server.with(client.closed()).await.1, None);
    }
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let pki = Pki::new();
    let mut server = server(with(pki.showing(&pki.of(DOMAIN))));
    let mut client = client(with(pki.trusting()));
    let large = crate::node::request(1, &"x".repeat(60_000));
    client.send_tls(&server, DOMAIN, &large, 1);
    server.with(client.authenticated()).await;
    let (_, payload) = client.with(server.message()).await;
    assert_eq!(payload, large);
}

// ---- Who the server is: RFC 5922 ----

#[tokio::test]
async fn the_domain_asked_for_is_proved_by_a_dns_name_or_a_sip_uri() {
    assert_eq!(outcome_of(&[dns("Example.COM")], |_| {}).await, None);
    assert_eq!(outcome_of(&[uri("sip:example.com")], |_| {}).await, None);
    assert_eq!(outcome_of(&[uri("SIP:example.com")], |_| {}).await, None);
}

#[tokio::test]
async fn the_common_name_counts_only_without_any_alternative_name() {
    let cn = |params: &mut CertificateParams| params.distinguished_name = named(DOMAIN);
    assert_eq!(outcome_of(&[], cn).await, None);
    assert_eq!(outcome_of(&[dns("example.org")], cn).await, Some(TlsError::WrongDomain));
    assert_eq!(outcome_of(&[], |_| {}).await, Some(TlsError::NoIdentity));
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    assert_eq!(outcome_of(&[dns(DOMAIN)], expired).await, Some(TlsError::Expired));
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2090, 1, 1);
    assert_eq!(outcome_of(&[dns(DOMAIN)], early).await, Some(TlsError::NotYetValid));
}

// RFC 5922 §7.2: "For example, "foo.example.com" does not match "example.com"."
#[tokio::test]
async fn the_wrong_domain_is_refused() {
    for name in ["example.org", "foo.example.com", "com", "xample.com", ".example.com"] {
        assert_eq!(outcome_of(&[dns(name)], |_| {}).await, Some(TlsError::WrongDomain), "{name}");
    }
    let pki = Pki::new();
    let leaf = pki.of("sip1.example.com"); // the host that SRV named, not the domain asked for
    assert_eq!(outcome(&leaf, pki.trusting(), DOMAIN).await, Some(TlsError::WrongDomain));
}

#[tokio::test]
async fn a_dns_name_does_not_count_beside_a_sip_uri() {
    let names = [uri("sip:example.org"), dns(DOMAIN)];
    assert_eq!(outcome_of(&names, |_| {}).await, Some(TlsError::WrongDomain));
    let of_a_user = [uri("sip:alice@example.org"), uri("https://example.org"), dns(DOMAIN)];
    assert_eq!(outcome_of(&of_a_user, |_| {}).await, None);
    let only_users = [uri("sip:alice@example.com"), uri("sips:example.com")];
    assert_eq!(outcome_of(&only_users, |_| {}).await, Some(TlsError::NoIdentity));
}

#[tokio::test]
async fn a_wildcard_is_refused() {
    let pki = Pki::new();
    let leaf = pki.of("*.example.com");
    assert_eq!(outcome(&leaf, pki.trusting(), "sip.example.com").await, Some(TlsError::Wildcard));
    let result = outcome(&leaf, pki.trusting(), "a.sip.example.com").await;
    assert_eq!(result, Some(TlsError::WrongDomain), "it would not fit even as a wildcard");
}

#[tokio::test]
async fn a_nul_in_a_name_is_refused() {
    for names in [[dns("example.com\0.evil.test"), dns(DOMAIN)], [dns(DOMAIN), uri("sip:a\0b")]] {
        assert_eq!(outcome_of(&names, |_| {}).await, Some(TlsError::NulInName));
    }
}

#[tokio::test]
async fn an_untrusted_issuer_is_refused() {
    let (ours, theirs) = (Pki::new(), Pki::new());
    let result = outcome(&theirs.of(DOMAIN), ours.trusting(), DOMAIN).await;
    assert_eq!(result, Some(TlsError::Untrusted));
}

#[tokio::test]
async fn a_revoked_certificate_is_refused() {
    let pki = Pki::new();
    let leaf = pki.issue(&[dns(DOMAIN)], |params| {
        params.serial_number = Some(SerialNumber::from_slice(&[0x42]));
    });
    let trusting =
        |serial: u8| pki.trusting().revoked_pem(pki.revokes(&[serial]).as_bytes()).unwrap();
    assert_eq!(outcome(&leaf, trusting(0x42), DOMAIN).await, Some(TlsError::Revoked));
    assert_eq!(outcome(&leaf, trusting(0x43), DOMAIN).await, None);
}

#[tokio::test]
async fn a_certificate_for_another_use_is_refused() {
    let for_mail = |params: &mut CertificateParams| params.extended_key_usages = vec![FOR_MAIL];
    assert_eq!(outcome_of(&[dns(DOMAIN)], for_mail).await, Some(TlsError::WrongPurpose));
    let for_sip = rcgen::ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 20]);
    let for_sip = |params: &mut CertificateParams| params.extended_key_usages = vec![for_sip];
    assert_eq!(outcome_of(&[dns(DOMAIN)], for_sip).await, None);
}

#[tokio::test]
async fn an_address_is_proved_by_that_address() {
    let pki = Pki::new();
    let address = SanType::IpAddress([192, 0, 2, 1].into());
    let leaf = pki.issue(&[address], |_| {});
    assert_eq!(outcome(&leaf, pki.trusting(), "192.0.2.1").await, None);
    assert_eq!(outcome(&leaf, pki.trusting(), "192.0.2.2").await, Some(TlsError::WrongDomain));
    let leaf = pki.issue(&[uri("sip:192.0.2.1")], |_| {});
    assert_eq!(outcome(&leaf, pki.trusting(), "192.0.2.1").await, None);
}

#[tokio::test]
async fn what_is_no_name_cannot_be_asked_for() {
    let pki = Pki::new();
    assert_eq!(outcome(&pki.of(DOMAIN), pki.trusting(), "a b").await, Some(TlsError::BadName));
}

// RFC 5922 §7.8: "Alternatively, if the TLS client hello "server_name" extension as defined in RFC 4366 [4]
// is supported, the client SHOULD use that extension to request a certificate corresponding to the
// specific domain"
#[tokio::test]
async fn a_server_of_many_domains_shows_the_one_asked_for() {
    let pki = Pki::new();
    let both = pki.showing(&pki.of("example.org")).certificate(pki.of(DOMAIN).certificate());
    let mut server = server(with(both));
    let mut client = client(with(pki.trusting()));
    for (count, domain) in [(1, DOMAIN), (2, "example.org")] {
        client.send_tls(&server, domain, &options(1), 1);
        let (_, peer) = server.with(client.authenticated()).await;
        assert_eq!(peer.domains().collect::<Vec<_>>(), [domain]);
        assert_eq!(client.sockets.connections(), count, "each domain is proved on its own");
        client.with(server.message()).await;
        client.send_tls(&server, &domain.to_ascii_uppercase(), &options(2), 1);
        client.with(server.message()).await;
        assert_eq!(client.sockets.connections(), count, "one that is open is used again");
    }
}

// ---- Who the client is ----

/// What both ends learn when a client shows `shown` to a server set up so.
async fn shown_to(
    shown: Option<&Leaf>,
    pki: &Pki,
    server_tls: TlsBuilder,
) -> Result<Option<Arc<Peer>>, TransportError> {
    let mut server = server(with(server_tls.certificate(pki.of(DOMAIN).certificate())));
    let tls = match shown {
        Some(shown) => pki.trusting().client_certificate(shown.certificate()),
        None => pki.trusting(),
    };
    let mut client = client(with(tls));
    client.send_tls(&server, DOMAIN, &options(1), 7);
    server.with(client.authenticated()).await;
    let answered = async {
        loop {
            match client.next().await {
                Input::SendFailed { token: 7, error, .. } => return error,
                Input::Closed { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::select! {
        error = answered => Err(error),
        input = server.next() => Ok(match input {
            Input::Authenticated { peer, .. } => Some(peer),
            Input::Message { .. } => None,
            other => panic!("{other:?}"),
        }),
    }
}

// RFC 5922 §7.4: "If the client does not present a certificate, the client MUST NOT be considered
// authenticated."
#[tokio::test]
async fn the_domains_of_a_client_are_known_to_the_server_if_it_shows_them() {
    let pki = Pki::new();
    let leaf = pki.of("trunk.example.org");
    for policy in [ClientCertificates::Optional, ClientCertificates::Required] {
        let asking = pki.trusting().client_certificates(policy);
        let peer = shown_to(Some(&leaf), &pki, asking).await.unwrap().unwrap();
        assert_eq!(peer.domains().collect::<Vec<_>>(), ["trunk.example.org"]);
    }
    let optional = pki.trusting().client_certificates(ClientCertificates::Optional);
    assert_eq!(shown_to(None, &pki, optional).await, Ok(None));
    assert_eq!(shown_to(Some(&leaf), &pki, pki.trusting()).await, Ok(None), "not asked");
}

#[tokio::test]
async fn a_missing_client_certificate_is_refused() {
    let pki = Pki::new();
    let required = pki.trusting().client_certificates(ClientCertificates::Required);
    let error = shown_to(None, &pki, required).await.unwrap_err();
    assert_eq!(error, TransportError::Tls(TlsError::Alert(Alert::CERTIFICATE_REQUIRED)));
    assert_eq!(error.to_string(), "TLS: the far end refuses: certificate_required");
}

#[tokio::test]
async fn a_bad_client_certificate_is_refused_and_the_client_told_why() {
    let (pki, other) = (Pki::new(), Pki::new());
    let required = || pki.trusting().client_certificates(ClientCertificates::Required);
    let refused = |alert| Err(TransportError::Tls(TlsError::Alert(alert)));
    let expired =
        pki.issue(&[dns("a.test")], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let result = shown_to(Some(&expired), &pki, required()).await;
    assert_eq!(result, refused(Alert::CERTIFICATE_EXPIRED));
    let untrusted = other.of("a.test");
    let result = shown_to(Some(&untrusted), &pki, required()).await;
    assert_eq!(result, refused(Alert::UNKNOWN_CA));
    let revoked = pki.issue(&[dns("a.test")], |params| {
        params.serial_number = Some(SerialNumber::from_slice(&[7]));
    });
    let list = required().revoked_pem(pki.revokes(&[7]).as_bytes()).unwrap();
    assert_eq!(shown_to(Some(&revoked), &pki, list).await, refused(Alert::CERTIFICATE_REVOKED));
}

// ---- What is not TLS, or never comes ----

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SIP/2.0 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
    });
    let mut client = client(with(Pki::new().trusting()));
    client.send_tls_to(addr, DOMAIN, &options(1), 7);
    assert_eq!(client.failure().await, (7, TransportError::Tls(TlsError::NotTls)));
}

#[tokio::test]
async fn a_server_that_hangs_up_amid_the_handshake_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1000]).await;
    });
    let mut client = client(with(Pki::new().trusting()));
    client.send_tls_to(addr, DOMAIN, &options(1), 7);
    assert_eq!(client.failure().await, (7, TransportError::Tls(TlsError::ClosedInHandshake)));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let config = with(Pki::new().trusting()).handshake_timeout(Duration::from_millis(200));
    let mut client = client(config);
    client.send_tls_to(addr, DOMAIN, &options(1), 7);
    assert_eq!(client.failure().await, (7, TransportError::HandshakeTimeout));
    assert_eq!(client.sockets.connections(), 0);
}

#[tokio::test]
async fn a_client_that_does_not_speak_tls_is_cut_off() {
    let pki = Pki::new();
    let mut server = server(with(pki.showing(&pki.of(DOMAIN))));
    let mut plain = TcpStream::connect(server.addr(Transport::Tls)).await.unwrap();
    plain.write_all(&options(1)).await.unwrap();
    let mut all = Vec::new();
    // A reset is as good as an end.
    let _ = server.with(plain.read_to_end(&mut all)).await;
    assert!(all.len() < 16, "at most an alert: {all:?}");
    server.quiet(Duration::from_millis(50)).await;
    assert_eq!(server.sockets.connections(), 0);
}

#[tokio::test]
async fn a_failed_handshake_is_counted_by_its_reason() {
    let pki = Pki::new();
    let config = with(pki.showing(&pki.of(DOMAIN))).handshake_timeout(Duration::from_millis(200));
    let mut server = server(config);
    let mut garbage = TcpStream::connect(server.addr(Transport::Tls)).await.unwrap();
    garbage.write_all(b"INVITE sip:a@example.com SIP/2.0\r\n\r\n").await.unwrap();
    let _ = server.with(garbage.read_to_end(&mut Vec::new())).await;
    let mut silent = TcpStream::connect(server.addr(Transport::Tls)).await.unwrap();
    assert_eq!(server.with(silent.read(&mut [0; 1])).await.unwrap(), 0);
    server.quiet(Duration::from_millis(50)).await;
    // And one that is well.
    let mut client = client(with(pki.trusting()));
    client.send_tls(&server, DOMAIN, &options(1), 0);
    let (flow, _) = server.with(client.authenticated()).await;
    client.with(server.message()).await;
    client.sockets.close(flow.connection.unwrap());
    client.with(server.closed()).await;
    server.with(client.closed()).await;
    let stats = server.sockets.stats();
    assert_eq!((stats.failed.of("tls"), stats.failed.of("handshake_timeout")), (1, 1));
    assert_eq!((stats.accepted.total(), stats.closed.of("in_order")), (1, 1));
    assert_eq!((stats.dialled.total(), stats.live_connections), (0, 0));
    let stats = client.sockets.stats();
    assert_eq!((stats.dialled.total(), stats.accepted.total()), (1, 0));
    assert_eq!(stats.closed.iter().map(|(_, count)| count).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_client_that_stalls_is_cut_off_in_time() {
    let pki = Pki::new();
    let config = with(pki.showing(&pki.of(DOMAIN))).handshake_timeout(Duration::from_millis(200));
    let mut server = server(config);
    let mut silent = TcpStream::connect(server.addr(Transport::Tls)).await.unwrap();
    assert_eq!(server.with(silent.read(&mut [0; 1])).await.unwrap(), 0);
    server.quiet(Duration::from_millis(50)).await;
    assert_eq!(server.sockets.connections(), 0);
}

/// Till a client is through its handshake and its request has come.
async fn time_to_serve(server: &mut Node, pki: &Pki) -> Duration {
    let mut client = client(with(pki.trusting()));
    let begun = Instant::now();
    client.send_tls(server, DOMAIN, &options(1), 1);
    server.with(client.authenticated()).await;
    client.with(server.message()).await;
    let elapsed = begun.elapsed();
    drop(client);
    server.closed().await;
    elapsed
}

#[tokio::test]
async fn a_thousand_stalled_handshakes_do_not_delay_another() {
    const STALLED: usize = 1000;
    let pki = Pki::new();
    let config = with(pki.showing(&pki.of(DOMAIN)))
        .connections_per_peer(STALLED + 10)
        .handshakes(STALLED + 10)
        .handshake_timeout(Duration::from_secs(600));
    let mut server = server(config);
    let alone = time_to_serve(&mut server, &pki).await;
    let addr = server.addr(Transport::Tls);
    let stalled = server
        .with(async {
            let mut stalled = Vec::new();
            for number in 0..STALLED {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                // Half of them begin to speak, and stop.
                if number % 2 == 0 {
                    stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
                }
                stalled.push(stream);
            }
            stalled
        })
        .await;
    while server.sockets.connections() < STALLED {
        server.quiet(Duration::from_millis(10)).await;
    }
    let beside = time_to_serve(&mut server, &pki).await;
    println!(
        "a handshake and a request: {alone:?} alone, {beside:?} beside {STALLED} stalled handshakes"
    );
    assert!(beside < Duration::from_secs(1), "{beside:?}");
    assert!(server.sockets.connections() >= STALLED, "they still stall");
    drop(stalled);
}

#[tokio::test]
async fn with_too_many_handshakes_the_oldest_ends() {
    let pki = Pki::new();
    let mut server = server(with(pki.showing(&pki.of(DOMAIN))).handshakes(2));
    let addr = server.addr(Transport::Tls);
    let mut stalled = Vec::new();
    for count in 1..=2 {
        stalled.push(TcpStream::connect(addr).await.unwrap());
        while server.sockets.connections() < count {
            server.quiet(Duration::from_millis(10)).await;
        }
    }
    // Those that are through count no more.
    time_to_serve(&mut server, &pki).await;
    assert_eq!(server.with(stalled.remove(0).read(&mut [0; 1])).await.unwrap(), 0, "the oldest");
    time_to_serve(&mut server, &pki).await;
    let other = stalled.remove(0);
    let still_open = server.with(async {
        tokio::time::timeout(Duration::from_millis(50), other.readable()).await.is_err()
    });
    assert!(still_open.await, "two handshakes never were one too many again");
}

// ---- Set-up ----

#[tokio::test]
async fn a_reload_leaves_open_connections_alone() {
    let pki = Pki::new();
    let tls = pki.showing(&pki.of(DOMAIN)).build().unwrap();
    let mut server = server(Config::default().tls(Some(tls.clone())));
    let mut client = client(with(pki.trusting()));
    client.send_tls(&server, DOMAIN, &options(1), 1);
    let (_, before) = server.with(client.authenticated()).await;
    client.with(server.message()).await;

    tls.reload(pki.showing(&pki.issue(&[dns(DOMAIN), dns("example.org")], |_| {}))).unwrap();
    client.send_tls(&server, DOMAIN, &options(2), 1);
    let (flow, _) = client.with(server.message()).await;
    server.send(Destination::Flow(flow), &options(3), 1);
    assert_eq!(server.with(client.message()).await.1, options(3), "the old connection serves on");
    client.send_tls(&server, "example.org", &options(4), 1);
    let (_, after) = server.with(client.authenticated()).await;
    assert_ne!(before.certificate(), after.certificate());
    assert!(after.is_of("example.org"));
}

#[tokio::test]
async fn a_session_is_resumed() {
    let pki = Pki::new();
    let mut server = server(with(pki.showing(&pki.of(DOMAIN))));
    let addr = server.addr(Transport::Tls);
    let mut roots = rustls::RootCertStore::empty();
    let root: rustls::pki_types::CertificateDer<'_> =
        rustls::pki_types::pem::PemObject::from_pem_slice(pki.root.as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let stream = TcpStream::connect(addr).await.unwrap();
        let connected = connector.connect(DOMAIN.try_into().unwrap(), stream);
        let mut stream = server.with(connected).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
        // The ticket comes behind the handshake.
        stream.write_all(b"\r\n\r\n").await.unwrap();
        let mut pong = [0; 2];
        server.with(stream.read_exact(&mut pong)).await.unwrap();
        assert_eq!(&pong, b"\r\n");
    }
}

#[tokio::test]
async fn listening_takes_a_certificate_and_tls_its_set_up() {
    let addr = ["tls:127.0.0.1:0".parse().unwrap()];
    let error = Sockets::bind(&addr, with(Pki::new().trusting())).unwrap_err();
    assert!(error.to_string().contains("there is no certificate"), "{error}");
    let error = Sockets::bind(&addr, Config::default()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    let mut plain = Node::bind(&["udp:127.0.0.1:0"], Config::default());
    plain.send_tls_to("127.0.0.1:5061".parse().unwrap(), DOMAIN, &options(1), 3);
    assert_eq!(plain.failure().await, (3, TransportError::ProtocolUnsupported));
}

#[tokio::test]
async fn after_a_closure_alert_nothing_more_is_written_and_a_response_takes_its_fallback() {
    let pki = Pki::new();
    let own = pki.of(DOMAIN);
    let mut node = server(with(pki.showing(&own)));
    let mut caller = server(with(pki.showing(&own)));
    caller.send_tls(&node, DOMAIN, &options(1), 0);
    let (flow, _) = loop {
        tokio::select! {
            message = node.message() => break message,
            _ = caller.wait() => {}
        }
    };
    // It says good-bye although it was not answered, and goes on listening.
    caller.sockets.close(ConnectionId::new(NonZeroU32::MIN));
    let closed = loop {
        tokio::select! {
            closed = node.closed() => break closed,
            _ = caller.wait() => {}
        }
    };
    assert_eq!(closed, (flow.connection.unwrap(), None));
    let fallback = Some(Target::new(Transport::Tls, caller.addr(Transport::Tls)));
    let (destination, payload) = (Destination::Flow(flow), RESPONSE.into());
    let domain = Some(DOMAIN.into());
    node.sockets.send(Transmit { destination, fallback, payload, token: 8, domain });
    let arrives = async {
        loop {
            tokio::select! {
                input = caller.wait() => if let Input::Message { flow, payload } = input {
                    return (flow, payload);
                },
                _ = node.wait() => {}
            }
        }
    };
    let (way, response) = tokio::time::timeout(PATIENCE, arrives).await.unwrap();
    assert_eq!(response, RESPONSE);
    assert_ne!(way.connection, Some(ConnectionId::new(NonZeroU32::MIN)));
}

/// Where rustls is told to write keys.
const KEY_LOG: &str = "SSLKEYLOGFILE";

#[test]
fn a_key_log_has_the_secrets_of_each_handshake() {
    let path = std::env::temp_dir().join(format!("keys-of-{}.log", std::process::id()));
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--nocapture", "--exact", "tls::a_handshake_whose_keys_are_logged"])
        .env(KEY_LOG, &path)
        .output()
        .unwrap();
    let log = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(&path);
    let said = String::from_utf8(child.stdout).unwrap();
    assert!(child.status.success(), "{said}");
    let random = said.lines().find_map(|line| line.strip_prefix("random ")).expect("a handshake");
    // As all that read such files want it: what it is, the random of the ClientHello, the secret.
    for name in [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    ] {
        let secrets: Vec<_> = log
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.strip_prefix(random))
            .map(|secret| secret.trim())
            .collect();
        // Both ends log here, and agree.
        assert_eq!(secrets.len(), 2, "{name} of {random}: {log}");
        assert_eq!(secrets[0], secrets[1]);
        assert!(matches!(secrets[0].len(), 64 | 96), "{}", secrets[0]);
    }
}

#[tokio::test]
#[ignore = "run by the test of the key log, in a process of its own"]
async fn a_handshake_whose_keys_are_logged() {
    let pki = Pki::new();
    let own = pki.of(DOMAIN);
    let mut node = server(with(pki.showing(&own).key_log(true)));
    let mut caller = client(with(pki.trusting().key_log(true)));
    // In between somebody looks on.
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (via, to) = (between.local_addr().unwrap(), node.addr(Transport::Tls));
    let looking_on = tokio::spawn(async move {
        let (mut near, _) = between.accept().await.unwrap();
        let mut far = TcpStream::connect(to).await.unwrap();
        let mut hello = [0; 43];
        near.read_exact(&mut hello).await.unwrap();
        far.write_all(&hello).await.unwrap();
        // RFC 8446 §4.1.2 and §5.1: a record's head of 5 bytes, the message's of 4, the version, the random.
        let random: String = hello[11..].iter().map(|byte| format!("{byte:02x}")).collect();
        println!("\nrandom {random}");
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    caller.send_tls_to(via, DOMAIN, &options(1), 7);
    loop {
        tokio::select! {
            (_, message) = node.message() => {
                assert_eq!(message, options(1));
                break;
            }
            _ = caller.wait() => {}
        }
    }
    looking_on.abort();
}
