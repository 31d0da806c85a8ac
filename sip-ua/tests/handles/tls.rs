//! Calls over TLS: how user agents name themselves, and what the caller learns when a server is not who it
//! should be.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use sip_message::{Contact, Method, StatusCode, Transport};
use sip_transaction::Resolver;
use sip_transport::locate::{Srv, Zone};
use sip_transport::tls::{Certificate, ClientCertificates, Tls, TlsBuilder, TlsError};
use sip_transport::{ListenAddr, TransportError};
use sip_ua::{Body, EndReason, RegistrationFailure};

use super::*;

struct Pki {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

impl Pki {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), root }
    }

    fn trusting(&self) -> TlsBuilder {
        Tls::builder().roots_pem(self.root.as_bytes()).unwrap()
    }

    /// Shows a certificate of `sip:HOST`.
    fn showing(&self, host: &str) -> TlsBuilder {
        self.trusting().certificate(self.certificate(host))
    }

    fn certificate(&self, host: &str) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(format!("sip:{host}").try_into().unwrap())];
        let own = params.signed_by(&key, &self.issuer).unwrap().pem();
        Certificate::from_pem(own.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}

async fn over_tls(name: &str, tls: TlsBuilder) -> UserAgent {
    builder(name, "tls:127.0.0.1:0").tls(tls.build().unwrap()).start().await.unwrap()
}

/// One that shows no certificate and so cannot be connected to.
async fn dialling(name: &str, tls: TlsBuilder) -> UserAgent {
    let addr = ListenAddr::dial_only(Transport::Tls, [127, 0, 0, 1].into());
    let account = Account::new(format!("sip:{name}@example.com").parse().unwrap());
    let builder = UserAgent::builder().listen(addr).account(account);
    builder.tls(tls.build().unwrap()).start().await.unwrap()
}

async fn refused(mut call: Call) -> TransportError {
    match call.next().await {
        Some(CallEvent::Ended(EndReason::TransportError(error))) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_over_tls() {
    within(async {
        let pki = Pki::new();
        let alice = over_tls("alice", pki.showing("127.0.0.1")).await;
        let bob = over_tls("bob", pki.showing("127.0.0.1")).await;
        let (calling, called) = established(&alice, &bob).await;
        called.hang_up();
        drop((calling, called));
        at_rest(&alice).await;
        at_rest(&bob).await;
    })
    .await;
}

// RFC 5922 §7.4: "server policies can use the set of SIP domain identities gathered from the
// certificate in Section 7.1 to make authorization decisions."
#[tokio::test]
async fn a_trunk_is_known_by_its_certificate_before_it_is_served() {
    within(async {
        let pki = Pki::new();
        let asking = pki.showing("127.0.0.1").client_certificates(ClientCertificates::Optional);
        let bob = over_tls("bob", asking).await;
        let trunk = dialling("trunk", pki.showing("trunk.example.net")).await;
        let stranger = dialling("stranger", pki.trusting()).await;
        for (caller, domain) in [(trunk, Some("trunk.example.net")), (stranger, None)] {
            let mut calling = caller.call(uri(&bob)).offer(SDP).start().await.unwrap();
            let invitation = invitation(&bob).await;
            let sender = invitation.sender();
            assert_eq!(sender.peer().and_then(|peer| peer.domains().next()), domain);
            assert_eq!((sender.flow().transport, sender.user()), (Transport::Tls, None));
            // What a gateway does with it.
            let Some(peer) = sender.peer().filter(|peer| peer.is_of("Trunk.example.net")) else {
                invitation.reject(StatusCode::FORBIDDEN).await.unwrap();
                assert_eq!(calling.ended().await.status(), Some(StatusCode::FORBIDDEN));
                continue;
            };
            assert!(!peer.certificate().is_empty());
            let mut called = invitation.accept(SDP).await.unwrap();
            answered(&mut calling).await;
            // Within the call too.
            let asked = calling.send(Method::Info, Some(Body::text("1")), &[]);
            let (response, ()) = tokio::join!(asked, async {
                loop {
                    if let Some(CallEvent::Request(request)) = called.next().await {
                        let peer = request.sender().peer().unwrap();
                        assert!(peer.is_of("trunk.example.net"));
                        return request.reply(StatusCode::OK).await.unwrap();
                    }
                }
            });
            assert_eq!(response.unwrap().status(), StatusCode::OK);
        }
    })
    .await;
}

#[tokio::test]
async fn a_caller_without_a_certificate_is_served() {
    within(async {
        let pki = Pki::new();
        let alice = dialling("alice", pki.trusting()).await;
        let bob = over_tls("bob", pki.showing("127.0.0.1")).await;
        let (calling, _called) = established(&alice, &bob).await;
        calling.hang_up();
        at_rest(&alice).await;
    })
    .await;
}

// RFC 5630 §5.1.1.1: "If a UA wishes to be reachable with a SIPS URI, the UA MUST register with a SIPS
// Contact header field."
#[tokio::test]
async fn a_call_to_a_sips_uri_goes_over_tls_and_names_sips_itself() {
    within(async {
        let pki = Pki::new();
        let alice = over_tls("alice", pki.showing("127.0.0.1")).await;
        let bob = over_tls("bob", pki.showing("127.0.0.1")).await;
        let at = bob.locals().first(Transport::Tls).unwrap().addr;
        let to = format!("sips:bob@{at}").parse().unwrap();
        let _calling = alice.call(to).offer(SDP).start().await.unwrap();
        let invitation = invitation(&bob).await;
        let request = invitation.request();
        let contact = request.headers().get::<Contact<'_>>().unwrap().unwrap();
        assert!(contact.to_string().starts_with("<sips:alice@127.0.0.1:"), "{contact}");
        assert!(!contact.to_string().contains("transport"), "{contact}");
        assert_eq!(request.headers().top_via().unwrap().transport(), Some(Transport::Tls));
    })
    .await;
}

#[tokio::test]
async fn a_sip_uri_of_ours_says_that_tls_is_spoken_there() {
    within(async {
        let pki = Pki::new();
        let alice = over_tls("alice", pki.showing("127.0.0.1")).await;
        let bob = over_tls("bob", pki.showing("127.0.0.1")).await;
        let _calling = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
        let invitation = invitation(&bob).await;
        let contact = invitation.request().headers().get::<Contact<'_>>().unwrap().unwrap();
        assert!(contact.to_string().contains(";transport=tls"), "{contact}");
    })
    .await;
}

#[tokio::test]
async fn the_caller_learns_what_is_wrong_with_a_certificate() {
    within(async {
        let (pki, other) = (Pki::new(), Pki::new());
        let alice = dialling("alice", pki.trusting()).await;
        for (server, error) in [
            (pki.showing("192.0.2.1"), TlsError::WrongDomain),
            (other.showing("127.0.0.1"), TlsError::Untrusted),
        ] {
            let bob = over_tls("bob", server).await;
            let call = alice.call(uri(&bob)).offer(SDP).start().await.unwrap();
            assert_eq!(refused(call).await, TransportError::Tls(error));
            let registrar = uri(&bob);
            let account =
                Account::new("sip:alice@example.com".parse().unwrap()).registrar(registrar);
            let mut registration = alice.registration(&account.into()).await.unwrap();
            match registration.registered().await {
                Err(RegistrationFailure::TransportError(TransportError::Tls(found))) => {
                    assert_eq!(found, error);
                }
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}

// RFC 5922 §7.3: "the client MUST compare the original domain portion of the SIP AUS used as input to the RFC
// 3263 [8] server location procedures to the SIP domain identities obtained from the certificate."
#[tokio::test]
async fn a_server_that_the_dns_names_must_prove_the_domain_asked_for() {
    within(async {
        let pki = Pki::new();
        for (shown, is_right) in [("example.com", true), ("host.example.net", false)] {
            let bob = over_tls("bob", pki.showing(shown)).await;
            let at = bob.locals().first(Transport::Tls).unwrap().addr;
            let zone = Zone::default()
                .srv("_sips._tcp.example.com", Srv::new(0, 0, at.port(), "host.example.net"))
                .host("host.example.net", at.ip());
            let addr = ListenAddr::dial_only(Transport::Tls, at.ip());
            let builder = UserAgent::builder().listen(addr).tls(pki.trusting().build().unwrap());
            let alice = builder.resolver(Resolver::Zone(zone.into())).start().await.unwrap();
            let to = "sips:bob@example.com".parse().unwrap();
            let call = alice.call(to).offer(SDP).start().await.unwrap();
            if is_right {
                drop(invitation(&bob).await);
            } else {
                assert_eq!(refused(call).await, TransportError::Tls(TlsError::WrongDomain));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn without_tls_a_sips_uri_cannot_be_called() {
    within(async {
        let alice = ua("alice", "tcp:127.0.0.1:0").await;
        let to = "sips:bob@127.0.0.1:5061".parse().unwrap();
        let error = alice.call(to).offer(SDP).start().await.unwrap_err();
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert!(why.contains("no listener has this transport"), "{error}: {why}");
    })
    .await;
}

/// One that shows a certificate of that host on either side, asks for one, and finds both hosts on loopback.
async fn peer(name: &str, host: &str, pki: &Pki) -> UserAgent {
    let (asks, own) = (ClientCertificates::Required, pki.certificate(host));
    let tls =
        pki.trusting().certificate(own.clone()).client_certificate(own).client_certificates(asks);
    let loopback = [127, 0, 0, 1].into();
    let zone = Zone::default().host("a.example.com", loopback).host("b.example.net", loopback);
    let builder = builder(name, "tls:127.0.0.1:0").tls(tls.build().unwrap());
    builder.resolver(Resolver::Zone(zone.into())).start().await.unwrap()
}

/// From which port a call came.
async fn port_of_the_next_call(ua: &UserAgent) -> u16 {
    let invitation = invitation(ua).await;
    let via = invitation.request().headers().top_via().unwrap();
    via.rport().flatten().unwrap()
}

#[tokio::test]
async fn calls_back_go_over_the_connection_of_a_peer_that_proved_its_domain() {
    within(async {
        let pki = Pki::new();
        let alice = peer("alice", "a.example.com", &pki).await;
        let bob = peer("bob", "b.example.net", &pki).await;
        let port = |ua: &UserAgent| ua.locals().first(Transport::Tls).unwrap().addr.port();
        let to_alice = format!("sips:alice@a.example.com:{}", port(&alice));
        let to_bob = format!("sips:bob@b.example.net:{}", port(&bob));
        let there = alice.call(to_bob.parse().unwrap()).offer(SDP).start().await.unwrap();
        assert_ne!(port_of_the_next_call(&bob).await, port(&alice), "a connection of its own");
        // Back it goes from the port that Alice connected to.
        let back = bob.call(to_alice.parse().unwrap()).offer(SDP).start().await.unwrap();
        assert_eq!(port_of_the_next_call(&alice).await, port(&bob));
        // To the same address in another name Alice has proved nothing: no connection of hers is used.
        let other = to_alice.replace("a.example.com", "b.example.net");
        let wrong = bob.call(other.parse().unwrap()).offer(SDP).start().await.unwrap();
        assert_eq!(refused(wrong).await, TransportError::Tls(TlsError::WrongDomain));
        drop((there, back));
    })
    .await;
}
