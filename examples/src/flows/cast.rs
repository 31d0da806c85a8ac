//! Who plays in the flows: names, places and accounts, as RFC 3665 §1.2 and RFC 5359 §1.2 have them.

use sip_auth::Credentials;
use sip_proxy::ProxyConfig;
use sip_ua::Account;

use super::domain::Domain;
use super::stage::{Done, PASSWORD, Stage, proxy_realm, uri};

pub(super) const ALICE: &str = "Alice";
pub(super) const BOB: &str = "Bob";
pub(super) const CAROL: &str = "Carol";
pub(super) const PROXY: &str = "Proxy";
pub(super) const PROXY_1: &str = "Proxy 1";
pub(super) const PROXY_2: &str = "Proxy 2";

pub(super) const TO_BOB: &str = "sip:bob@biloxi.example.com";

/// A host name, and the last byte of its address.
pub(super) type Place<'a> = (&'a str, u8);

pub(super) const AT_ALICE: Place<'_> = ("client.atlanta.example.com", 101);
pub(super) const AT_BOB: Place<'_> = ("client.biloxi.example.com", 201);
pub(super) const AT_CAROL: Place<'_> = ("client.chicago.example.com", 211);

pub(super) const ALICES_PHONE: &str = "sip:alice@client.atlanta.example.com";
pub(super) const BOBS_PHONE: &str = "sip:bob@client.biloxi.example.com";
pub(super) const CAROLS_PHONE: &str = "sip:carol@client.chicago.example.com";

/// RFC 7647 §5: "an element accepting a REFER request MUST NOT reply with a 202"
pub(super) const NO_202: &str = "REFER is answered 200: RFC 7647 forbids the 202 of the diagram";

pub(super) fn alice() -> Done<Account> {
    let account = Account::new(uri("sip:alice@atlanta.example.com")?).display_name("Alice");
    Ok(account.credentials(Credentials::new("alice", PASSWORD)))
}

pub(super) fn bob() -> Done<Account> {
    Ok(Account::new(uri(TO_BOB)?).display_name("Bob"))
}

pub(super) fn carol() -> Done<Account> {
    Ok(Account::new(uri("sip:carol@chicago.example.com")?).display_name("Carol"))
}

/// Someone of no further account.
pub(super) fn someone(address: &str) -> Done<Account> {
    Ok(Account::new(uri(address)?))
}

pub(super) fn serves(domain: &str) -> ProxyConfig {
    ProxyConfig::default().domain(domain)
}

pub(super) fn atlanta_gate(stage: &Stage) -> Done<super::gate::Gate> {
    stage.gate(proxy_realm("atlanta.example.com"), "alice")
}

/// Bob's domain, which knows where his phone is.
pub(super) fn biloxi() -> Domain {
    Domain::default().user("bob", BOBS_PHONE)
}

impl Stage {
    /// Alice and Bob, each with a phone, and nobody between them.
    pub(super) fn alice_and_bob(&mut self) -> Done {
        self.phone(ALICE, AT_ALICE, alice()?)?;
        self.phone(BOB, AT_BOB, bob()?)
    }

    /// The same with Carol.
    pub(super) fn three(&mut self) -> Done {
        self.alice_and_bob()?;
        self.phone(CAROL, AT_CAROL, carol()?)
    }
}
