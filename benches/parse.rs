//! `cargo bench -p benches --bench parse [--features peers]`: six messages, two levels, and what is
//! done with a message that was parsed: it is validated, edited and printed.
//!
//! Every parser gets the bytes in the form it takes: ours and ezk-sip-types a shared buffer that
//! already exists (as they get it from a socket), the others a slice.

#![allow(clippy::expect_used, reason = "a message of ours that cannot be read ends the run aloud")]
#![allow(missing_docs)] // criterion's macros make undocumented functions

use std::hint::black_box;

use benches::{MESSAGES, ours};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sip_message::{Limits, Message};

fn framing(criterion: &mut Criterion) {
    for (name, bytes) in MESSAGES {
        let mut group = criterion.benchmark_group(format!("framing/{name}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let shared = Bytes::from_static(bytes);
        assert!(ours::framing(&shared).is_some(), "ours refuses {name}");
        group.bench_function("ours", |b| b.iter(|| ours::framing(black_box(&shared))));
        #[cfg(feature = "peers")]
        {
            use benches::peers;
            let http = peers::http::acceptable(bytes);
            assert!(peers::http::framing(&http).is_some(), "httparse refuses {name}");
            group.bench_function("httparse", |b| {
                b.iter(|| peers::http::framing(black_box(&http)).is_some())
            });
            bench_peer(&mut group, name, "ezk-sip-types", &shared, peers::ezk::framing);
            bench_peer(&mut group, name, "rsip", bytes, peers::rsip::framing);
            bench_peer(&mut group, name, "rsipstack", bytes, peers::rsipstack::framing);
        }
        group.finish();
    }
}

fn routing(criterion: &mut Criterion) {
    for (name, bytes) in MESSAGES {
        let mut group = criterion.benchmark_group(format!("routing/{name}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let shared = Bytes::from_static(bytes);
        assert!(ours::routing(&shared).is_some(), "ours refuses {name}");
        group.bench_function("ours", |b| b.iter(|| ours::routing(black_box(&shared))));
        #[cfg(feature = "peers")]
        {
            use benches::peers;
            bench_peer(&mut group, name, "ezk-sip-types", &shared, peers::ezk::routing);
            bench_peer(&mut group, name, "rsip", bytes, peers::rsip::routing);
            bench_peer(&mut group, name, "rsipstack", bytes, peers::rsipstack::routing);
        }
        group.finish();
    }
}

fn validated(criterion: &mut Criterion) {
    for (name, bytes) in MESSAGES {
        let mut group = criterion.benchmark_group(format!("validated/{name}"));
        let shared = Bytes::from_static(bytes);
        assert!(ours::validated(&shared).is_some(), "ours refuses {name}");
        group.bench_function("ours", |b| b.iter(|| ours::validated(black_box(&shared))));
        group.finish();
    }
}

fn edited(criterion: &mut Criterion) {
    for (name, bytes) in MESSAGES {
        let parsed = Message::parse(Bytes::from_static(bytes), &Limits::default());
        let mut edited = parsed.expect("SIP");
        ours::edit(&mut edited).expect("what a proxy needs");
        let mut group = criterion.benchmark_group(format!("printed/{name}"));
        group.bench_function("ours", |b| b.iter(|| black_box(&edited).to_bytes()));
        group.finish();
        let mut group = criterion.benchmark_group(format!("forwarded/{name}"));
        let shared = Bytes::from_static(bytes);
        group.bench_function("ours", |b| b.iter(|| ours::forwarded(black_box(&shared))));
        group.finish();
    }
}

/// A peer that refuses the message is left out, aloud: its time would be that of giving up.
#[cfg(feature = "peers")]
fn bench_peer<T: ?Sized>(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    peer: &str,
    message: &T,
    parse: fn(&T) -> Option<usize>,
) {
    if parse(message).is_none() {
        println!("{peer} refuses {name}: not measured");
        return;
    }
    group.bench_function(peer, |b| b.iter(|| parse(black_box(message))));
}

criterion_group! {
    name = benches_of_parsing;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = framing, routing, validated, edited
}
criterion_main!(benches_of_parsing);
