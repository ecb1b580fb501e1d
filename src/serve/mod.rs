//! A classifier behind HTTP: routes, a queue with a bound, and the playground.

// why a request is not answered
mod problem;

// who may ask, and by which name; what is counted
mod key;
mod local;
mod metrics;

// rows that wait
mod engine;

// what is served
mod host;

// what is read and what is sent
mod answer;
mod request;

// how much is taken
mod bodies;

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

// connections, and how they end
mod running;

// the front door
mod service;

#[cfg(feature = "label")]
pub(crate) use bodies::Bodies;
#[cfg(feature = "label")]
pub(crate) use local::is_to_this_machine;
#[cfg(feature = "label")]
pub(crate) use pages::{STYLE, guarded, with_policy};
#[cfg(feature = "label")]
pub(crate) use problem::Problem;
#[cfg(feature = "label")]
pub(crate) use running::{Ending, start};

pub use bodies::Limits;
pub use key::Key;
pub use request::read_any;
pub use running::{Running, Stopper, listen};
pub use service::Service;
