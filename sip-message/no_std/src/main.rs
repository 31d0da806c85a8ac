//! `sip-message` in a program without `std`: it has its own panic handler, so a `std` anywhere below
//! it would not link. It reads, edits, builds and prints messages, and ends with 0 if all is well.
//!
//!     cargo run --release --manifest-path sip-message/no_std/Cargo.toml
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::ToString;
use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use bytes::Bytes;
use sip_message::{
    Contact, Header, HeaderName, Limits, Message, Method, MultipartBuilder, PartBuilder, Request,
    Response, StatusCode, Uri, Via,
};

const INVITE: &[u8] = b"INVITE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP pc33.example.com;branch=z9hG4bKnashds8\r\n\
    Max-Forwards: 70\r\n\
    To: Bob <sip:bob@example.com>\r\n\
    From: Alice <sip:alice@example.com>;tag=1928301774\r\n\
    Call-ID: a84b4c76e66710\r\n\
    CSeq: 314159 INVITE\r\n\
    m: <sip:alice@pc33.example.com>\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 5\r\n\r\nv=0\r\n";

/// Reads, edits and answers a request; `None` at the first thing that is not as it should be.
fn answer() -> Option<Bytes> {
    let message = Message::parse(Bytes::from_static(INVITE), &Limits::default()).ok()?;
    message.validate().ok()?;
    let mut invite = message.into_request()?;
    let contact = invite.get::<Contact<'_>>().ok()??;
    if contact.to_string() != "<sip:alice@pc33.example.com>" {
        return None;
    }
    invite.headers_mut().push_front(&Via::parse(b"SIP/2.0/TCP proxy;branch=z9hG4bK1").ok()?);
    let sdp = invite.content().session_description(&Limits::default()).ok()??.bytes().to_vec();
    let (content_type, body) = MultipartBuilder::mixed()
        .part(PartBuilder::new("application/sdp", sdp))
        .part(PartBuilder::new("text/plain", "hello"))
        .build()
        .ok()?;
    let response = Response::to_request(&invite, StatusCode::OK).to_tag("a6c85cf");
    Some(response.body(&content_type, body).build().ok()?.to_bytes())
}

/// Builds a request and compares URIs.
fn ask() -> Option<Bytes> {
    let uri = Uri::sip("2001:db8::1", 5070).ok()?.with_user("bob").ok()?;
    if !uri.is_equivalent(&Uri::parse(b"SIP:bob@[2001:DB8:0::1]:5070").ok()?) {
        return None;
    }
    let request = Request::builder(Method::Options, &uri)
        .raw(HeaderName::From, "<sip:alice@example.com>;tag=88sja8x")
        .raw(HeaderName::To, "<sip:bob@example.com>")
        .raw(HeaderName::CallId, "a84b4c76e66710")
        .raw(HeaderName::CSeq, "63104 OPTIONS");
    Some(request.build().ok()?.to_bytes())
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let answered =
        answer().is_some_and(|answer| answer.starts_with(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP"));
    let asked =
        ask().is_some_and(|ask| ask.starts_with(b"OPTIONS sip:bob@[2001:db8::1]:5070 SIP/2.0"));
    match (answered, asked) {
        (true, true) => 0,
        (false, _) => 1,
        (_, false) => 2,
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it takes nothing and does not return.
    unsafe { abort() }
}

// Where `main` is called from.
#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}

// What was compiled to unwind asks for these two; nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}

const ROOM: usize = 1 << 20;

/// Memory that is given out once and never taken back.
struct Bump {
    room: [AtomicU8; ROOM],
    used: AtomicUsize,
}

#[global_allocator]
static MEMORY: Bump = Bump { room: [const { AtomicU8::new(0) }; ROOM], used: AtomicUsize::new(0) };

// SAFETY: each piece lies in `room`, is aligned, and is given out once; its bytes may be written
// through the shared array, for they are atomics.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.room.as_ptr() as usize;
        let end = |used: usize| {
            let at = start.checked_add(used)?.checked_next_multiple_of(layout.align())?;
            at.checked_sub(start)?.checked_add(layout.size()).filter(|&end| end <= ROOM)
        };
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, end) {
            Ok(used) => {
                let at = end(used).map_or(0, |end| end - layout.size());
                self.room.as_ptr().wrapping_add(at).cast_mut().cast()
            }
            Err(_) => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
