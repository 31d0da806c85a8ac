//! `--metrics`: what the `metrics` facade is told, and how long registrations and sessions take (RFC 6076), as a page
//! in the text format of Prometheus. `docs/metrics.md` and `docs/server-metrics.md` list the names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, counter, histogram,
};
use sip_message::{Limits, Message};
use sip_proxy::{Attempt, Measure, Measures};
use sip_transport::{Tap, Tapped};
use tokio::sync::mpsc;

use crate::http::{self, Page};

/// The upper bounds of the buckets of all histograms, in seconds.
const BOUNDS: [f64; 16] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0, 300.0, 1_800.0,
];

/// How many messages may wait to be looked at; those beyond are not measured.
const WAITING: usize = 4_096;

/// How many registrations and sessions are measured at a time.
const MEASURED: usize = 100_000;

/// Opens the page there, takes what the facade is told from now on, and makes the tap by which registrations and
/// sessions are measured; where the page is. Within a runtime, once.
///
/// # Errors
/// If the system gives no socket, or somebody else has the facade already.
pub fn open(at: SocketAddr) -> io::Result<(Box<dyn Tap>, SocketAddr)> {
    let kept = Kept::default();
    metrics::set_global_recorder(kept.clone()).map_err(io::Error::other)?;
    let at = http::serve(at, move |path| match path {
        "/metrics" => Some(Page::Document("text/plain; version=0.0.4", kept.page())),
        _ => None,
    })?;
    Ok((measuring(), at))
}

/// The tap: what it sees is measured by a task of its own.
fn measuring() -> Box<dyn Tap> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, bool, Bytes)>(WAITING);
    tokio::spawn(async move {
        let mut measures = Measures::new(MEASURED);
        while let Some((at, sent, bytes)) = receiver.recv().await {
            match Message::parse(bytes, &Limits::default()) {
                Ok(Message::Request(request)) if !sent => measures.received(at, &request),
                Ok(Message::Response(response)) if sent => measures.sent(at, &response),
                _ => {}
            }
            while let Some(measure) = measures.poll() {
                tell(measure);
            }
        }
    });
    Box::new(move |tapped: Tapped<'_>| {
        // Of the messages only one direction of each kind is measured.
        let is_response = tapped.bytes.starts_with(b"SIP/2.0 ");
        if is_response == tapped.sent {
            let bytes = Bytes::copy_from_slice(tapped.bytes);
            // Full: it is not measured.
            let _ = sender.try_send((tapped.at, tapped.sent, bytes));
        }
    })
}

fn tell(measure: Measure) {
    let attempt =
        |outcome| counter!("sip_session_attempts_total", "outcome" => outcome).increment(1);
    let registered =
        |outcome| counter!("sip_registration_attempts_total", "outcome" => outcome).increment(1);
    match measure {
        Measure::RegistrationDelay(delay) => {
            histogram!("sip_registration_request_delay_seconds").record(delay);
            registered("effective");
        }
        Measure::RegistrationIneffective => registered("ineffective"),
        Measure::RequestDelay { delay, successful } => {
            let outcome = if successful { "successful" } else { "failed" };
            histogram!("sip_session_request_delay_seconds", "outcome" => outcome).record(delay);
        }
        Measure::DisconnectDelay(delay) => {
            histogram!("sip_session_disconnect_delay_seconds").record(delay);
        }
        Measure::SessionDuration(lasted) => {
            histogram!("sip_session_duration_seconds").record(lasted);
        }
        Measure::Attempt(Attempt::Established) => attempt("established"),
        Measure::Attempt(Attempt::Redirected) => attempt("redirected"),
        Measure::Attempt(Attempt::Ineffective) => attempt("ineffective"),
        Measure::Attempt(_) => attempt("failed"),
        _ => {}
    }
}

/// All that was told, by name and then by labels.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, Family>>>);

struct Family {
    kind: &'static str,
    series: BTreeMap<String, Arc<Cell>>,
}

/// One series: a number, or the buckets of a histogram and its sum.
#[derive(Default)]
struct Cell {
    /// Of a gauge and of a sum the bits of an `f64`.
    value: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len() + 1],
}

impl Cell {
    fn add(&self, more: f64) {
        let sum = |bits| Some((f64::from_bits(bits) + more).to_bits());
        let _ = self.value.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.value.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.value.fetch_max(value, Ordering::Relaxed);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        self.value.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        let place = BOUNDS.iter().position(|bound| value <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.add(value);
    }
}

impl Kept {
    fn cell(&self, kind: &'static str, key: &Key) -> Arc<Cell> {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={:?}", label.key(), label.value())).collect();
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families
            .entry(key.name().to_owned())
            .or_insert_with(|| Family { kind, series: BTreeMap::new() });
        Arc::clone(family.series.entry(labels.join(",")).or_default())
    }

    /// The text format of Prometheus, version 0.0.4.
    fn page(&self) -> String {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = String::new();
        for (name, family) in &*families {
            // Writing to a string does not fail.
            let _ = writeln!(page, "# TYPE {name} {}", family.kind);
            for (labels, cell) in &family.series {
                let value = cell.value.load(Ordering::Relaxed);
                let _ = match family.kind {
                    "counter" => writeln!(page, "{name}{} {value}", braced(labels)),
                    "gauge" => {
                        writeln!(page, "{name}{} {}", braced(labels), f64::from_bits(value))
                    }
                    _ => {
                        buckets(&mut page, name, labels, cell);
                        writeln!(page, "{name}_sum{} {}", braced(labels), f64::from_bits(value))
                    }
                };
            }
        }
        page
    }
}

fn buckets(page: &mut String, name: &str, labels: &str, cell: &Cell) {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut count = 0;
    let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    for (bound, bucket) in bounds.zip(&cell.buckets) {
        count += bucket.load(Ordering::Relaxed);
        let _ = writeln!(page, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}");
    }
    let _ = writeln!(page, "{name}_count{} {count}", braced(labels));
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell("counter", key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell("gauge", key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell("histogram", key))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics::gauge;

    use super::*;

    #[test]
    fn the_page_is_in_the_text_format_of_prometheus() {
        let kept = Kept::default();
        metrics::with_local_recorder(&kept, || {
            counter!("sip_a_total", "kind" => "x", "other" => "a\"b\\c\n").increment(2);
            gauge!("sip_b").increment(2.5);
            gauge!("sip_b").decrement(1.0);
            tell(Measure::RequestDelay { delay: Duration::from_millis(3), successful: true });
            tell(Measure::RequestDelay { delay: Duration::from_secs(2_000), successful: true });
            tell(Measure::Attempt(Attempt::Ineffective));
        });
        let page = kept.page();
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(
            lines[..6],
            [
                "# TYPE sip_a_total counter",
                "sip_a_total{kind=\"x\",other=\"a\\\"b\\\\c\\n\"} 2",
                "# TYPE sip_b gauge",
                "sip_b 1.5",
                "# TYPE sip_session_attempts_total counter",
                "sip_session_attempts_total{outcome=\"ineffective\"} 1",
            ]
        );
        let name = "sip_session_request_delay_seconds";
        for line in [
            format!("# TYPE {name} histogram"),
            format!("{name}_bucket{{outcome=\"successful\",le=\"0.002\"}} 0"),
            format!("{name}_bucket{{outcome=\"successful\",le=\"0.005\"}} 1"),
            format!("{name}_bucket{{outcome=\"successful\",le=\"1800\"}} 1"),
            format!("{name}_bucket{{outcome=\"successful\",le=\"+Inf\"}} 2"),
            format!("{name}_count{{outcome=\"successful\"}} 2"),
            format!("{name}_sum{{outcome=\"successful\"}} 2000.003"),
        ] {
            assert!(lines.contains(&line.as_str()), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn every_measure_has_a_documented_name_and_no_other_is_told() {
        let kept = Kept::default();
        let some = Duration::from_millis(1);
        metrics::with_local_recorder(&kept, || {
            for measure in [
                Measure::RegistrationDelay(some),
                Measure::RegistrationIneffective,
                Measure::RequestDelay { delay: some, successful: false },
                Measure::DisconnectDelay(some),
                Measure::SessionDuration(some),
                Measure::Attempt(Attempt::Failed),
            ] {
                tell(measure);
            }
        });
        let documented = include_str!("../../docs/server-metrics.md").lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            Some((cells.next()?.trim_end_matches('`').to_owned(), cells.next()?.to_owned()))
        });
        let families = kept.0.lock().unwrap();
        let told = families.iter().map(|(name, family)| (name.clone(), family.kind.to_owned()));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), documented.collect::<BTreeMap<_, _>>());
    }
}
