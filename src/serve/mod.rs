//! A classifier behind HTTP: routes, a queue with a bound, and the playground.

// why a request is not answered
mod problem;

// who may ask, what is counted
mod key;
mod metrics;

// rows that wait
mod engine;

// what is served
mod host;

// what is read and what is sent
mod answer;
mod request;

// what every request goes through
mod app;

// classifiers that requests make
mod making;

// labels that requests bring
mod zero_shot;

// what is done with a request
mod ask;

// the pages
mod pages;

// the routes
mod routes;

// the front door
mod service;

pub use app::Limits;
pub use key::Key;
pub use service::{Running, Service, Stopper, listen};
