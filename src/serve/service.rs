//! The service: classifiers under their names, on an address, until it is told to end.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

use super::app::{App, Limits};
use super::host::{Host, Hosts};
use super::key::Key;
use super::routes::router;
use crate::error::{Error, Errors, Result, ServeError, plain_reason};
use crate::predict::prompt_classifier::PromptClassifier;

/// Threads that read requests and write answers; others compute.
const HTTP_THREADS: usize = 2;

/// Classifiers behind HTTP: see `docs/serve.md` for its routes.
///
/// ```
/// use std::io::{Read, Write};
/// use cloze::serve::{Service, listen};
/// use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};
/// let model = MaskedLm::load("models/cloze-minilm-l6", Options::default())?;
/// let mood = PromptClassifier::builder(model)
///     .template(Template::from_pattern("{text} It was {mask}.")?)
///     .verbalizer(Verbalizer::of(&[("negative", &["terrible"]), ("positive", &["great"])])?)
///     .build()?;
/// let running = Service::new().classifier("mood", mood).start(listen("127.0.0.1:0")?)?;
/// let mut client = std::net::TcpStream::connect(running.address())?;
/// let body = r#"{ "text": "What a lovely film!" }"#;
/// write!(client, "POST /classify HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")?;
/// write!(client, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains(r#""label":"positive""#));
/// running.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Service {
    hosts: Vec<Host>,
    key: Option<Key>,
    readonly: bool,
    limits: Limits,
}

impl Service {
    /// One that serves nothing yet.
    pub fn new() -> Service {
        Service::default()
    }

    /// Serves a classifier under a name; the first is asked where a request names none.
    #[must_use]
    pub fn classifier(self, name: impl Into<String>, classifier: PromptClassifier) -> Service {
        self.abstaining(name, classifier, None)
    }

    /// The same with the least probability of an answer: less likely labels are not said.
    #[must_use]
    pub fn abstaining(
        mut self,
        name: impl Into<String>,
        classifier: PromptClassifier,
        abstain_below: Option<f64>,
    ) -> Service {
        // Each of the service's threads computes by itself.
        let classifier = Arc::new(classifier.with_threads(1));
        self.hosts.push(Host { name: name.into(), classifier, abstain_below });
        self
    }

    /// Answers only requests that bring this key.
    #[must_use]
    pub fn key(self, key: Option<Key>) -> Service {
        Service { key, ..self }
    }

    /// Refuses requests with patterns or labels of their own.
    #[must_use]
    pub fn readonly(self, readonly: bool) -> Service {
        Service { readonly, ..self }
    }

    /// What it takes at most.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Service {
        Service { limits, ..self }
    }

    /// Answers what comes, on threads of its own. A service without a key that listens on this machine alone
    /// answers requests to `localhost` and its addresses only: a page of another site can make its own name
    /// lead here.
    pub fn start(self, listener: TcpListener) -> Result<Running, Errors> {
        let hosts = Hosts::new(self.hosts)?;
        let address = listener.local_addr().map_err(|error| cannot_listen("this address", &error))?;
        listener.set_nonblocking(true).map_err(|error| cannot_listen(&address.to_string(), &error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(HTTP_THREADS)
            .enable_all()
            .build()
            .map_err(|error| cannot_listen(&address.to_string(), &error))?;
        let listener = {
            let _here = runtime.enter();
            tokio::net::TcpListener::from_std(listener)
                .map_err(|error| cannot_listen(&address.to_string(), &error))?
        };
        let local_alone = self.key.is_none() && address.ip().is_loopback();
        let app = Arc::new(App::new(hosts, self.key, self.readonly, local_alone, self.limits));
        let (stop, stopped) = watch::channel(false);
        let thread = thread::spawn(move || {
            runtime.block_on(accept(listener, app.clone(), stopped));
            app.engine.stop();
        });
        Ok(Running { address, stopper: Stopper(stop), thread })
    }
}

/// Listens on `host:port`; port 0 is any that is free.
pub fn listen(address: &str) -> Result<TcpListener> {
    let addresses: Vec<SocketAddr> =
        address.to_socket_addrs().map_err(|error| cannot_listen(address, &error))?.collect();
    TcpListener::bind(&addresses[..]).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => ServeError::AddressTaken { address: address.to_owned() }.into(),
        _ => cannot_listen(address, &error),
    })
}

fn cannot_listen(address: &str, error: &std::io::Error) -> Error {
    let reason = plain_reason(error);
    ServeError::CannotListen { address: address.to_owned(), reason }.into()
}

/// A service at work.
pub struct Running {
    address: SocketAddr,
    stopper: Stopper,
    thread: JoinHandle<()>,
}

/// Tells a service to end.
#[derive(Clone)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// No more connections are taken; what is under way is finished.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What tells it to end.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits until it was told to end, and has.
    pub fn wait(self) {
        // What it panicked of was told as it happened.
        drop(self.thread.join());
    }

    /// Finishes what is under way, then ends.
    pub fn stop(self) {
        self.stopper.stop();
        self.wait();
    }
}

/// Takes connections until it is told to stop, then waits for what is under way.
async fn accept(listener: tokio::net::TcpListener, app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    /// After a failure to take one, as where there are no more files: others may end meanwhile.
    const PAUSE: Duration = Duration::from_millis(50);
    let (places, graceful) = (Arc::new(Semaphore::new(app.limits.connections)), GracefulShutdown::new());
    let router = router(app.clone());
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let next = tokio::select! {
            next = next => next,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        match next {
            Some((Ok((stream, _)), place)) => serve(stream, place, &router, &app.limits, &graceful),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
    app.stopping.store(true, Ordering::Relaxed);
    drop(listener);
    // A request that is under way is answered or given up by then.
    let patience = app.limits.read_timeout + app.limits.timeout;
    // Those that are open still belong to clients that neither read nor write.
    drop(tokio::time::timeout(patience, graceful.shutdown()).await);
}

/// Serves a connection on a task of its own.
fn serve(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    router: &Router,
    limits: &Limits,
    graceful: &GracefulShutdown,
) {
    // Small answers go out at once; without it they only come later.
    drop(stream.set_nodelay(true));
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.read_timeout)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router.clone()));
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // That a client went away, or sent what is no HTTP, is its own affair.
        drop(connection.await);
        drop(place);
    });
}
