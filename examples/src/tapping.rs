//! `--pcap`, `--hep`, `--web` and `--metrics`: who sees the messages.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;
use sip_transport::{HepCollector, HepTap, PcapTap, Tap};
use sip_ua::UserAgentBuilder;

/// The number by which a collector tells us from others.
const AGENT: u32 = 2001;

/// Who sees every message sent and received, as SIP also where it went over TLS.
#[derive(Args, Clone, Debug)]
pub struct Tapping {
    /// Write all messages into this capture file (pcapng), for Wireshark or sngrep
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Send all messages to the collector (Homer, HEP version 3) at HOST:PORT, or tcp:HOST:PORT
    #[arg(long, value_name = "ADDR", value_parser = collector)]
    hep: Option<HepCollector>,
    /// Show calls and registrations on a web page at PORT of this machine, or at ADDRESS:PORT for others too
    #[arg(long, value_name = "ADDR", value_parser = crate::http::place)]
    web: Option<SocketAddr>,
    /// Show counters and delays for Prometheus at PORT of this machine, or at ADDRESS:PORT for others too
    #[cfg(feature = "metrics")]
    #[arg(long, value_name = "ADDR", value_parser = crate::http::place)]
    metrics: Option<SocketAddr>,
}

impl Tapping {
    /// Lets the taps of the command line see what the user agent sends and receives.
    ///
    /// # Errors
    ///
    /// If the file cannot be written, or the system gives no socket.
    pub fn apply(&self, builder: UserAgentBuilder) -> io::Result<UserAgentBuilder> {
        let taps = self.taps()?;
        Ok(if taps.is_empty() { builder } else { builder.tap(taps) })
    }

    /// The taps of the command line, for a program that has no user agent. Says where the page is, if there is one.
    ///
    /// # Errors
    ///
    /// If the file cannot be written, or the system gives no socket.
    pub fn taps(&self) -> io::Result<Vec<Box<dyn Tap>>> {
        let mut taps: Vec<Box<dyn Tap>> = Vec::new();
        if let Some(path) = &self.pcap {
            taps.push(Box::new(PcapTap::create(path)?));
        }
        if let Some(collector) = self.hep {
            let tap = HepTap::new(collector, AGENT)?;
            taps.push(Box::new(tap));
        }
        if let Some(at) = self.web {
            let (tap, at) = crate::web::open(at)?;
            println!("page at http://{at}/");
            taps.push(tap);
        }
        #[cfg(feature = "metrics")]
        if let Some(at) = self.metrics {
            let (tap, at) = crate::metrics::open(at)?;
            println!("metrics at http://{at}/metrics");
            taps.push(tap);
        }
        Ok(taps)
    }
}

/// Reads where the collector is; a name of a host is looked up here and now.
fn collector(text: &str) -> Result<HepCollector, String> {
    let (scheme, place) = match text.split_once(':') {
        Some((scheme @ ("udp" | "tcp"), place)) => (scheme, place),
        _ => ("udp", text),
    };
    let mut found = place.to_socket_addrs().map_err(|error| error.to_string())?;
    let at = found.next().ok_or_else(|| format!("{place} has no address"))?;
    Ok(if scheme == "tcp" { HepCollector::Tcp(at) } else { HepCollector::Udp(at) })
}
