//! Wireshark reads our captures: tshark finds in them the messages that the tap was shown. Without tshark
//! the test says so and shows nothing; CI installs it.
#![cfg(feature = "pcap")]
// clippy.toml allows these in test functions; here are their helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use sip_message::Transport;
use sip_transport::{PcapTap, Tap, Tapped};

/// What passes: who sent it, the transport, our address, the far end, and bytes of its body.
const PASSES: &[(bool, Transport, &str, &str, usize)] = &[
    (true, Transport::Udp, "192.0.2.1:5060", "192.0.2.2:5060", 0),
    (false, Transport::Udp, "192.0.2.1:5060", "192.0.2.2:5060", 10),
    (true, Transport::Udp, "192.0.2.1:40000", "192.0.2.2:40001", 60_000),
    (true, Transport::Udp, "[2001:db8::1]:5060", "[2001:db8::2]:5060", 0),
    (false, Transport::Tcp, "192.0.2.1:5060", "192.0.2.2:50000", 0),
    (true, Transport::Tcp, "192.0.2.1:5060", "192.0.2.2:50000", 100),
    // In two segments.
    (false, Transport::Tcp, "192.0.2.1:5060", "192.0.2.2:50000", 64_000),
    (true, Transport::Tcp, "[2001:db8::1]:5060", "[2001:db8::2]:50000", 0),
    // What was wrapped is shown as it was within.
    (true, Transport::Tls, "192.0.2.1:50001", "192.0.2.2:5061", 0),
    (false, Transport::Tls, "192.0.2.1:50001", "192.0.2.2:5061", 4_000),
    (false, Transport::Ws, "192.0.2.1:80", "192.0.2.2:50002", 0),
    (true, Transport::Wss, "192.0.2.1:443", "192.0.2.2:50002", 0),
];

fn message(number: usize, sent: bool, body: usize) -> String {
    let start = if sent { "MESSAGE sip:b@example.com SIP/2.0" } else { "SIP/2.0 486 Busy Here" };
    format!(
        "{start}\r\nVia: SIP/2.0/UDP a.example.com;branch=z9hG4bK{number}\r\n\
         From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>;tag=2\r\nCall-ID: call-{number}\r\n\
         CSeq: {number} MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: {body}\r\n\r\n{}",
        "x".repeat(body)
    )
}

#[test]
fn tshark_finds_the_messages_that_passed() {
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("tshark is not installed: nothing is shown");
        return;
    }
    let name = format!("sip-transport-{}.pcapng", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut tap = PcapTap::create(&path).unwrap();
    let begun = Instant::now();
    let mut expected = Vec::new();
    for (number, &(sent, transport, local, remote, body)) in PASSES.iter().enumerate() {
        let (local, remote) =
            (local.parse::<SocketAddr>().unwrap(), remote.parse::<SocketAddr>().unwrap());
        let at = begun + Duration::from_millis(10 * u64::try_from(number).unwrap());
        let text = message(number, sent, body);
        let (tapped, from, to): (fn(_, _, _, _, _) -> _, _, _) =
            if sent { (Tapped::sent, local, remote) } else { (Tapped::received, remote, local) };
        tap.message(tapped(at, transport, local, remote, text.as_bytes()));
        let start = if sent { "MESSAGE " } else { " 486" };
        expected.push(format!("{from} {to} {start} call-{number} {number} {body}"));
    }
    drop(tap);
    let fields = [
        "ip.src",
        "ipv6.src",
        "udp.srcport",
        "tcp.srcport",
        "ip.dst",
        "ipv6.dst",
        "udp.dstport",
        "tcp.dstport",
        "sip.Method",
        "sip.Status-Code",
        "sip.Call-ID",
        "sip.CSeq.seq",
        "sip.Content-Length",
    ];
    let output = Command::new("tshark")
        .args([
            "-n",
            "-r",
            path.to_str().unwrap(),
            "-Y",
            "sip",
            "-T",
            "fields",
            "-E",
            "separator=|",
        ])
        .args(fields.iter().flat_map(|field| ["-e", field]))
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<String> = text
        .lines()
        .map(|line| {
            let mut fields = line.split('|');
            let mut next = || fields.next().expect("as many as were asked for");
            let mut end = || {
                let (v4, v6, udp, tcp) = (next(), next(), next(), next());
                if v6.is_empty() {
                    format!("{v4}:{udp}{tcp}")
                } else {
                    format!("[{v6}]:{udp}{tcp}")
                }
            };
            let (from, to) = (end(), end());
            let (method, status, call, number, body) = (next(), next(), next(), next(), next());
            format!("{from} {to} {method} {status} {call} {number} {body}")
        })
        .collect();
    assert_eq!(found, expected, "{}", String::from_utf8_lossy(&output.stderr));
}
