//! What is counted, for Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The content type of the text that [`Metrics::text`] gives.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: &'static str,
}

/// Which failures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    route: &'static str,
    status: u16,
}

/// What is counted.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<OfRoute, Counter>,
    failures: Family<Failed, Counter>,
    durations: Family<OfRoute, Histogram>,
    /// Rows and questions that wait.
    pub(super) queue: Gauge,
    waits: Histogram,
    inferences: Histogram,
    batch_rows: Histogram,
    batch_tokens: Histogram,
}

fn seconds() -> Histogram {
    // From half a millisecond to half a minute.
    Histogram::new(exponential_buckets(0.0005, 2.0, 17))
}

impl Metrics {
    pub(super) fn new() -> Metrics {
        let mut registry = Registry::with_prefix("cloze");
        let requests = Family::default();
        let failures = Family::default();
        let durations = Family::<OfRoute, Histogram>::new_with_constructor(seconds);
        let queue = Gauge::default();
        let [waits, inferences] = [(); 2].map(|()| seconds());
        let batch_rows = Histogram::new(exponential_buckets(1.0, 2.0, 11));
        let batch_tokens = Histogram::new(exponential_buckets(8.0, 2.0, 12));
        registry.register("requests", "Requests", requests.clone());
        registry.register("request_failures", "Requests that failed, by status", failures.clone());
        let unit = || Unit::Seconds;
        registry.register_with_unit(
            "request_duration",
            "From a request's headers to its answer",
            unit(),
            durations.clone(),
        );
        registry.register("queue_size", "Rows and questions that wait for a model", queue.clone());
        registry.register_with_unit("queue_duration", "How long a row waited", unit(), waits.clone());
        registry.register_with_unit(
            "inference_duration",
            "How long a batch took",
            unit(),
            inferences.clone(),
        );
        registry.register("batch_rows", "Rows in a batch", batch_rows.clone());
        registry.register("batch_tokens", "Tokens in a batch, padding not counted", batch_tokens.clone());
        Metrics {
            registry,
            requests,
            failures,
            durations,
            queue,
            waits,
            inferences,
            batch_rows,
            batch_tokens,
        }
    }

    /// A request that was answered with this status.
    pub(super) fn request(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&OfRoute { route }).inc();
        self.durations.get_or_create(&OfRoute { route }).observe(took.as_secs_f64());
        if status >= 400 {
            self.failures.get_or_create(&Failed { route, status }).inc();
        }
    }

    /// A row that waited so long.
    pub(super) fn waited(&self, time: Duration) {
        self.waits.observe(time.as_secs_f64());
    }

    /// A batch.
    pub(super) fn batch(&self, rows: usize, tokens: usize, took: Duration) {
        self.batch_rows.observe(rows as f64);
        self.batch_tokens.observe(tokens as f64);
        self.inferences.observe(took.as_secs_f64());
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
