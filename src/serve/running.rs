//! A service at work: where it listens, and how it ends.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
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

use super::bodies::Limits;
use crate::error::{Error, Result, ServeError, plain_reason};

/// Threads that read requests and write answers; others compute.
const HTTP_THREADS: usize = 2;

/// What is done when a service ends.
pub(crate) struct Ending {
    /// Before what is under way is finished.
    pub(crate) first: Box<dyn FnOnce() + Send>,
    /// After it.
    pub(crate) last: Box<dyn FnOnce() + Send>,
}

/// Answers what comes, on threads of its own.
pub(crate) fn start(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    ending: Ending,
) -> Result<Running> {
    let address = listener.local_addr().map_err(|error| cannot_listen("this address", &error))?;
    let cannot = |error: std::io::Error| cannot_listen(&address.to_string(), &error);
    listener.set_nonblocking(true).map_err(cannot)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HTTP_THREADS)
        .enable_all()
        .build()
        .map_err(cannot)?;
    let listener = {
        let _here = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(cannot)?
    };
    let (stop, stopped) = watch::channel(false);
    let thread = thread::spawn(move || {
        runtime.block_on(accept(listener, router, limits, ending.first, stopped));
        (ending.last)();
    });
    Ok(Running { address, stopper: Stopper(stop), thread })
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
async fn accept(
    listener: tokio::net::TcpListener,
    router: Router,
    limits: Limits,
    stopping: impl FnOnce(),
    mut stopped: watch::Receiver<bool>,
) {
    /// After a failure to take one, as where there are no more files: others may end meanwhile.
    const PAUSE: Duration = Duration::from_millis(50);
    let (places, graceful) = (Arc::new(Semaphore::new(limits.connections)), GracefulShutdown::new());
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
            Some((Ok((stream, _)), place)) => serve(stream, place, &router, &limits, &graceful),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
    stopping();
    drop(listener);
    // A request that is under way is answered or given up by then.
    let patience = limits.read_timeout + limits.timeout;
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
