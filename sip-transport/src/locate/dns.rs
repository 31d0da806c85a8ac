//! The DNS itself, asked through hickory-resolver.

use std::io;
use std::net::SocketAddr;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver, ResolverBuilder, TokioResolver};

use super::{Answer, LookupError, Naptr, Question, Srv};

/// Asks name servers for what a [`Locator`](super::Locator) wants to know, and keeps the answers for as long
/// as their time to live says, those included that say there is nothing.
///
/// The addresses of a host come from the hosts file if it is there; IPv6 stands before IPv4. One resolver may
/// serve many shards.
#[derive(Debug)]
pub struct Dns {
    resolver: TokioResolver,
}

impl Dns {
    /// Asks the name servers that the system is configured to ask.
    ///
    /// # Errors
    ///
    /// If the configuration of the system cannot be read.
    pub fn system() -> io::Result<Self> {
        Self::build(Resolver::builder_tokio().map_err(io::Error::other)?)
    }

    /// Asks these name servers, over UDP, and over TCP where an answer is too large for it.
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
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        Ok(Self { resolver: builder.build().map_err(io::Error::other)? })
    }

    /// The answer of the DNS. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`LookupError`]; that a name has no record of that kind is an answer.
    pub async fn answer(&self, question: &Question) -> Result<Answer, LookupError> {
        let found = self.ask(question).await;
        found.or_else(|error| {
            tracing::debug!(?question, %error, "no answer from the DNS");
            match error {
                NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                    ResponseCode::NoError => Ok(Answer::none(question)),
                    ResponseCode::NXDomain => Err(LookupError::NoSuchName),
                    _ => Err(LookupError::Failed),
                },
                // The name is longer than a name may be, or a label of it: nobody has it.
                NetError::Proto(_) => Err(LookupError::NoSuchName),
                NetError::Timeout => Err(LookupError::Timeout),
                NetError::Busy => Err(LookupError::Busy),
                _ => Err(LookupError::Failed),
            }
        })
    }

    async fn ask(&self, question: &Question) -> Result<Answer, NetError> {
        let mut name = Name::from_ascii(question.name())?;
        // What stands in a URI is the whole name. A host without a dot may be one of the own domain.
        name.set_fqdn(name.num_labels() > 1);
        Ok(match question {
            Question::Naptr(_) => {
                let found = self.resolver.lookup(name, RecordType::NAPTR).await?;
                let records = found.answers().iter().filter_map(|record| naptr(&record.data));
                Answer::Naptr(records.collect())
            }
            Question::Srv(_) => {
                let found = self.resolver.lookup(name, RecordType::SRV).await?;
                let records = found.answers().iter().filter_map(|record| srv(&record.data));
                Answer::Srv(records.collect())
            }
            Question::Host(_) => {
                Answer::Host(self.resolver.lookup_ip(name).await?.iter().collect())
            }
        })
    }
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
