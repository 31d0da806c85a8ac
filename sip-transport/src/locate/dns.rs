//! The DNS itself, asked through hickory-resolver.

use core::future::{Future, poll_fn};
use core::net::{IpAddr, SocketAddr};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::io;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, Resolver, ResolverBuilder, TokioResolver};
use tokio::time::Sleep;

use super::{Answer, Found, LookupError, Naptr, Question, Srv, VALID_AT_MOST};

/// Asks name servers for what a [`Locator`](super::Locator) wants to know.
///
/// A name is asked for as it stands: no domain is put behind it. The addresses of a host that the hosts file
/// knows come from there; others are asked for as AAAA and A at once, and IPv6 stands before IPv4. An attempt at
/// the name servers ends after 3 s and there are three; a server with an answer too large for UDP is asked over
/// TCP. It keeps no answers: that is for a [`Cache`](super::Cache), by the time that comes with each. One may serve
/// many shards.
pub struct Dns {
    resolver: TokioResolver,
    hosts: Hosts,
}

/// How long one attempt at the name servers may take, and how many follow the first.
const ATTEMPT: Duration = Duration::from_secs(3);
const MORE_ATTEMPTS: usize = 2;

/// How long the addresses of one family wait for those of the other: there are name servers that never answer a
/// question for AAAA (RFC 4074 §4.1).
const OTHER_FAMILY: Duration = Duration::from_millis(300);

/// For how long the addresses of one family stand for both, when the other did not come.
const HALF_VALID: Duration = Duration::from_secs(60);

/// Aliases of a service that are followed one after another.
const MAX_ALIASES: usize = 8;

/// Records of one answer that are used at most: a name may have thousands. The best are.
const MAX_RECORDS: usize = 64;

impl Dns {
    /// Asks the name servers that the system is configured to ask.
    ///
    /// # Errors
    ///
    /// If the configuration of the system cannot be read.
    pub fn system() -> io::Result<Self> {
        Self::build(Resolver::builder_tokio().map_err(io::Error::other)?)
    }

    /// Asks these name servers, over UDP and over TCP.
    ///
    /// # Errors
    ///
    /// If the resolver cannot be set up.
    pub fn with_servers(servers: impl IntoIterator<Item = SocketAddr>) -> io::Result<Self> {
        let servers = servers.into_iter().map(|addr| {
            let on_port = |mut connection: ConnectionConfig| {
                connection.port = addr.port();
                connection
            };
            let connections =
                vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
            NameServerConfig::new(addr.ip(), true, connections)
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        Self::build(Resolver::builder_with_config(config, TokioRuntimeProvider::default()))
    }

    fn build(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> io::Result<Self> {
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = ATTEMPT;
        options.attempts = MORE_ATTEMPTS;
        // Both are done here.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let resolver = builder.build().map_err(io::Error::other)?;
        // A system without the file knows no more names than one with an empty file.
        Ok(Self { resolver, hosts: Hosts::from_system().unwrap_or_default() })
    }

    /// The same with another hosts file than that of the system, in the same format. The system's is read
    /// once, when this is made.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn with_hosts(mut self, file: impl io::Read) -> io::Result<Self> {
        self.hosts = Hosts::default();
        self.hosts.read_hosts_conf(file)?;
        Ok(self)
    }

    /// The answer of the DNS, and how long it is valid. Must be called within a tokio runtime.
    pub async fn find(&self, question: &Question) -> Found {
        let Ok(mut name) = Name::from_ascii(question.name()) else {
            // It, or a label of it, is longer than may be: nobody has it.
            return Found { result: Err(LookupError::NoSuchName), valid_for: Duration::ZERO };
        };
        name.set_fqdn(true);
        match question {
            Question::Naptr(_) => {
                let mut records = self.records(name, RecordType::NAPTR, naptr).await;
                records.keep_best(|record| (record.order, record.preference));
                records.into_found(Answer::Naptr)
            }
            Question::Srv(_) => {
                let mut records = self.services(name).await;
                records.keep_best(|record| record.priority);
                records.into_found(Answer::Srv)
            }
            Question::Host(_) => match self.in_hosts_file(&name) {
                Some(addresses) => {
                    Found { result: Ok(Answer::Host(addresses)), valid_for: VALID_AT_MOST }
                }
                None => self.addresses(name).await.into_found(Answer::Host),
            },
        }
    }

    /// The SRV records of a name, also if it is an alias: the resolver takes the host that an SRV record names
    /// for another alias, so each step is asked for by itself.
    async fn services(&self, name: Name) -> Records<Srv> {
        let (mut owner, mut valid_for) = (name, Duration::MAX);
        for _ in 0..MAX_ALIASES {
            let error = match self.resolver.lookup(owner.clone(), RecordType::SRV).await {
                Ok(found) => return Records::of(&found, srv).valid_at_most(valid_for),
                Err(error) => error,
            };
            let alias = match &error {
                // Of another name than was asked for: there is an alias between them.
                NetError::Dns(DnsError::NoRecordsFound(none)) if *none.query.name() != owner => {
                    self.records(owner, RecordType::CNAME, alias).await
                }
                _ => return Records::none(error).valid_at_most(valid_for),
            };
            valid_for = valid_for.min(alias.valid_for);
            match alias.result.unwrap_or_default().pop() {
                Some(target) => owner = target,
                None => return Records::none(error).valid_at_most(valid_for),
            }
        }
        Records { result: Err(LookupError::Failed), valid_for: Duration::MAX }
    }

    async fn records<T>(
        &self,
        name: Name,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Records<T> {
        match self.resolver.lookup(name, kind).await {
            Ok(found) => Records::of(&found, read),
            Err(error) => Records::none(error),
        }
    }

    fn in_hosts_file(&self, name: &Name) -> Option<Vec<IpAddr>> {
        let mut addresses = Vec::new();
        for kind in [RecordType::AAAA, RecordType::A] {
            let found = self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
            let records = found.iter().flat_map(|found| found.answers());
            addresses.extend(records.filter_map(|record| record.data.ip_addr()));
        }
        (!addresses.is_empty()).then_some(addresses)
    }

    /// The addresses of both families, or of one if the other takes much longer.
    async fn addresses(&self, name: Name) -> Records<IpAddr> {
        let v6 = self.records(name.clone(), RecordType::AAAA, RData::ip_addr);
        let v4 = self.records(name, RecordType::A, RData::ip_addr);
        let (mut v6, mut v4) = (pin!(v6), pin!(v4));
        let (mut found6, mut found4) = (None, None);
        let mut patience: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            if found6.is_none()
                && let Poll::Ready(found) = v6.as_mut().poll(cx)
            {
                found6 = Some(found);
            }
            if found4.is_none()
                && let Poll::Ready(found) = v4.as_mut().poll(cx)
            {
                found4 = Some(found);
            }
            let one = match (&mut found6, &mut found4) {
                (None, None) => return Poll::Pending,
                (Some(_), Some(_)) => return Poll::Ready(()),
                (Some(one), None) | (None, Some(one)) => one,
            };
            if !one.has_some() {
                return Poll::Pending;
            }
            let patience =
                patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(OTHER_FAMILY)));
            patience.as_mut().poll(cx).map(|()| one.valid_for = one.valid_for.min(HALF_VALID))
        })
        .await;
        match (found6, found4) {
            (Some(v6), Some(v4)) => v6.and(v4),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Records { result: Ok(Vec::new()), valid_for: Duration::ZERO },
        }
    }
}

/// The records of one type, and how long they are valid.
struct Records<T> {
    result: Result<Vec<T>, LookupError>,
    valid_for: Duration,
}

impl<T> Records<T> {
    fn of(found: &Lookup, read: impl Fn(&RData) -> Option<T>) -> Self {
        // Those of the aliases on the way count as well.
        let seconds = found.answers().iter().map(|record| record.ttl).min();
        let valid_for = Duration::from_secs(seconds.unwrap_or(0).into());
        let records = found.answers().iter().filter_map(|record| read(&record.data));
        Self { result: Ok(records.collect()), valid_for }
    }

    fn none(error: NetError) -> Self {
        tracing::debug!(%error, "no records");
        let (result, seconds) = match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => {
                let result = match none.response_code {
                    ResponseCode::NoError => Ok(Vec::new()),
                    ResponseCode::NXDomain => Err(LookupError::NoSuchName),
                    _ => Err(LookupError::Failed),
                };
                // RFC 2308 §5: without a SOA record nobody knows how long.
                (result, none.negative_ttl.unwrap_or(0))
            }
            NetError::Timeout => (Err(LookupError::Timeout), u32::MAX),
            NetError::Busy => (Err(LookupError::Busy), 0),
            _ => (Err(LookupError::Failed), u32::MAX),
        };
        Self { result, valid_for: Duration::from_secs(seconds.into()) }
    }

    fn valid_at_most(mut self, limit: Duration) -> Self {
        self.valid_for = self.valid_for.min(limit);
        self
    }

    fn has_some(&self) -> bool {
        self.result.as_ref().is_ok_and(|records| !records.is_empty())
    }

    fn keep_best<K: Ord>(&mut self, rank: impl FnMut(&T) -> K) {
        if let Ok(records) = &mut self.result {
            records.sort_by_key(rank);
        }
    }

    /// These, then the others.
    fn and(self, other: Self) -> Self {
        match (self.has_some(), other.has_some()) {
            (true, false) => return self,
            (false, true) => return other,
            (true, true) | (false, false) => {}
        }
        let result = match (self.result, other.result) {
            (Ok(mut records), Ok(others)) => {
                records.extend(others);
                Ok(records)
            }
            // One server says that there is no such name, the other does not answer: that is not known.
            (Err(LookupError::NoSuchName), Err(error)) | (Err(error), _) | (Ok(_), Err(error)) => {
                Err(error)
            }
        };
        Self { result, valid_for: self.valid_for.min(other.valid_for) }
    }

    fn into_found(self, answer: fn(Vec<T>) -> Answer) -> Found {
        let result = self.result.map(|mut records| {
            records.truncate(MAX_RECORDS);
            // A long answer left room for many.
            records.shrink_to_fit();
            answer(records)
        });
        Found { result, valid_for: self.valid_for }
    }
}

fn alias(data: &RData) -> Option<Name> {
    let RData::CNAME(CNAME(target)) = data else { return None };
    Some(target.clone())
}

fn naptr(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(record) = data else { return None };
    // What is no text is nothing that SIP has a use for.
    let text = |bytes| core::str::from_utf8(bytes).ok();
    let services = text(&record.services)?;
    let replacement = record.replacement.to_ascii();
    let naptr = Naptr::new(record.order, record.preference, services, &replacement);
    Some(naptr.with_flags(text(&record.flags)?).with_regexp(text(&record.regexp)?))
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(record) = data else { return None };
    Some(Srv::new(record.priority, record.weight, record.port, &record.target.to_ascii()))
}

impl core::fmt::Debug for Dns {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}
