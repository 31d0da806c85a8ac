//! `--dns`: who is asked where a domain's servers are.

use std::io;

use clap::Args;
use sip_transaction::Resolver;
use sip_ua::UserAgentBuilder;

/// How host names and domains are resolved. Without the feature `dns` there is no choice: the system is
/// asked for addresses.
#[derive(Args, Clone, Debug)]
pub struct Resolving {
    /// Ask this name server where a domain's servers are (NAPTR, SRV and addresses), as ADDRESS or
    /// ADDRESS:PORT; `system` for those that the system is configured with; may be given several times.
    /// By default the system is asked for addresses only
    #[cfg(feature = "dns")]
    #[arg(long, value_name = "SERVER")]
    dns: Vec<Server>,
}

/// A name server on the command line.
#[cfg(feature = "dns")]
#[derive(Clone, Copy, Debug)]
enum Server {
    System,
    At(std::net::SocketAddr),
}

#[cfg(feature = "dns")]
impl std::str::FromStr for Server {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "system" {
            return Ok(Self::System);
        }
        let with_port = || text.parse().ok();
        let without = || text.parse().ok().map(|ip: std::net::IpAddr| (ip, 53).into());
        with_port()
            .or_else(without)
            .map(Self::At)
            .ok_or("an address with or without a port, or `system`")
    }
}

impl Resolving {
    /// Lets the user agent resolve by what the command line says.
    ///
    /// # Errors
    ///
    /// If the system's configuration cannot be read.
    pub fn apply(&self, builder: UserAgentBuilder) -> io::Result<UserAgentBuilder> {
        Ok(builder.resolver(self.resolver()?))
    }

    /// Who is asked.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn resolver(&self) -> io::Result<Resolver> {
        #[cfg(feature = "dns")]
        if !self.dns.is_empty() {
            use sip_transport::locate::Dns;
            let servers = self.dns.iter().filter_map(|server| match server {
                Server::At(addr) => Some(*addr),
                Server::System => None,
            });
            let is_system = self.dns.iter().any(|server| matches!(server, Server::System));
            let dns = if is_system { Dns::system()? } else { Dns::with_servers(servers)? };
            return Ok(Resolver::Dns(dns.into()));
        }
        Ok(Resolver::default())
    }
}
