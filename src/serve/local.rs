//! Names of this machine: what listens on it alone is asked by these. A page of another site, whose name was
//! made to lead here, could else ask (DNS rebinding).

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header;

/// Whether a request calls by names of this machine alone.
pub(crate) fn is_to_this_machine(request: &Request) -> bool {
    let headers = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().ok());
    let mut told = headers.chain(request.uri().authority().map(|authority| Some(authority.as_str())));
    told.all(|host| host.is_some_and(is_local))
}

/// Whether a host, with or without a port, is a name of this machine.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name == "localhost"
        || name.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
