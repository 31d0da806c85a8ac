//! `cargo bench -p benches --bench negotiate`: offers answered, a whole exchange, and a refresh that changes
//! nothing, by `sip-sdp`.

#![allow(clippy::expect_used, reason = "a description of ours that is refused ends the run aloud")]
#![allow(missing_docs)] // criterion's macros make undocumented functions

use std::hint::black_box;

use benches::negotiated::{Abilities, BROWSER, PHONE};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn negotiate(criterion: &mut Criterion) {
    let abilities = Abilities::default();
    for (name, offer) in [("phone", PHONE), ("browser", BROWSER)] {
        assert!(abilities.answered(offer).is_some(), "{name} is refused");
        let mut group = criterion.benchmark_group(format!("answered/{name}"));
        group.throughput(Throughput::Bytes(offer.len() as u64));
        group.bench_function("first", |b| b.iter(|| abilities.answered(black_box(offer))));
        let (mut session, _) = abilities.answered(offer).expect("an answer");
        group.bench_function("again", |b| b.iter(|| session.answer(black_box(offer)).is_ok()));
        group.finish();
    }
    assert!(abilities.exchanged().is_some(), "our own offer is refused");
    criterion.bench_function("exchanged", |b| b.iter(|| abilities.exchanged()));
}

criterion_group!(benches, negotiate);
criterion_main!(benches);
