//! The floor of a call's cost: one UDP socket, one loop of receive and send, no parsing.
//!
//! It answers SIPp's built-in `uac` by copying bytes: 180 and 200 to INVITE, 200 to BYE, nothing to
//! ACK. No SIP element can be cheaper than this on the same machine, so `benches/calls/run` divides
//! what the others cost by what this costs in the same run.
//!
//! `floor ADDRESS:PORT`; prints `ready`, runs until killed.

use std::{env, io, net::UdpSocket, process::ExitCode};

use memchr::memmem;

const CONTACT: &[u8] = b"Contact: <sip:floor@127.0.0.1>\r\n";

fn main() -> ExitCode {
    let Some(address) = env::args().nth(1) else {
        eprintln!("usage: floor ADDRESS:PORT");
        return ExitCode::from(2);
    };
    match serve(&address) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("floor: {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str) -> io::Result<std::convert::Infallible> {
    let socket = UdpSocket::bind(address)?;
    println!("ready");
    let mut buffer = vec![0; 65_535];
    let mut answer = Vec::with_capacity(2_048);
    loop {
        let (length, peer) = socket.recv_from(&mut buffer)?;
        let message = buffer.get(..length).unwrap_or_default();
        let statuses: &[&[u8]] = if message.starts_with(b"INVITE ") {
            &[b"SIP/2.0 180 Ringing\r\n", b"SIP/2.0 200 OK\r\n"]
        } else if message.starts_with(b"BYE ") {
            &[b"SIP/2.0 200 OK\r\n"]
        } else {
            continue;
        };
        for status in statuses {
            if copy_answer(message, status, &mut answer).is_some() {
                socket.send_to(&answer, peer)?;
            }
        }
    }
}

/// The status line, then everything of the request from Via to CSeq with a tag on To. It holds for
/// SIPp's `uac` only: Via, From, To, Call-ID and CSeq come first, in this order.
fn copy_answer(request: &[u8], status: &[u8], answer: &mut Vec<u8>) -> Option<()> {
    let via = memmem::find(request, b"\r\n")? + 2;
    let to = memmem::find(request, b"\r\nTo: ")? + 2;
    let to_end = to + memmem::find(request.get(to..)?, b"\r\n")?;
    let cseq = to_end + memmem::find(request.get(to_end..)?, b"\r\nCSeq: ")? + 2;
    let cseq_end = cseq + memmem::find(request.get(cseq..)?, b"\r\n")? + 2;
    answer.clear();
    answer.extend_from_slice(status);
    answer.extend_from_slice(request.get(via..to_end)?);
    if memmem::find(request.get(to..to_end)?, b";tag=").is_none() {
        answer.extend_from_slice(b";tag=1");
    }
    answer.extend_from_slice(request.get(to_end..cseq_end)?);
    answer.extend_from_slice(CONTACT);
    answer.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    Some(())
}
