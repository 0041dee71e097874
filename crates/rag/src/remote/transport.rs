//! Connections: addresses checked before they are used, and every wait cut short by a cancel.
//!
//! `ureq` speaks HTTP and TLS; resolving, connecting, reading and writing are ours, since its own would
//! connect anywhere and notice a cancel only when a time-out ends. Proxies of the environment are
//! not used: they would resolve names where no check is made.
use super::cancel::{CallScope, POLL_INTERVAL};
use super::egress::Egress;
use crate::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, RustlsConnector, Transport,
};
use ureq::{Agent, Timeout};

/// Longest time for a connection, a part of the call's deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections kept for the next call, in all and per host.
const MAX_IDLE: usize = 16;
/// Age after which a connection is not used again: many peers close theirs after a minute.
const MAX_IDLE_AGE: Duration = Duration::from_secs(30);
/// Most bytes of a response's headers.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// How connections are made. Those of one setting are kept; of another, they are made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Where they may lead.
    pub egress: Egress,
    /// Certificate authorities (PEM) trusted instead of the built-in ones; empty: the built-in ones.
    pub authorities: Vec<u8>,
}

/// An agent that connects by these rules.
pub(super) fn agent(settings: &ConnectionSettings) -> crate::Result<Agent> {
    let tls = ureq::tls::TlsConfig::builder().root_certs(roots(&settings.authorities)?).build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent(concat!("rag_pg/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .max_response_header_size(MAX_HEADER_BYTES)
        .max_idle_connections(MAX_IDLE)
        .max_idle_connections_per_host(MAX_IDLE)
        .max_idle_age(MAX_IDLE_AGE)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_await_100(None)
        .tls_config(tls)
        .build();
    let connector = ().chain(SocketConnector).chain(RustlsConnector::default());
    Ok(Agent::with_parts(config, connector, CheckedResolver(settings.egress.clone())))
}

/// The authorities that are trusted.
fn roots(pem: &[u8]) -> crate::Result<ureq::tls::RootCerts> {
    use ureq::tls::{PemItem, RootCerts, parse_pem};
    if pem.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let damaged = || {
        Error::configuration("the file of certificate authorities is damaged").with_hint(
            "Check the file that rag_pg.ca_file names; it must hold certificates in PEM.",
        )
    };
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| damaged())? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(damaged());
    }
    Ok(RootCerts::new_with_certs(&found))
}

/// Our error inside one of `ureq`, so that it comes out as it went in.
pub(super) fn wrap(error: Error) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}

/// Resolves names and lets only addresses through that may be called.
#[derive(Debug)]
struct CheckedResolver(Egress);

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let found = match host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => look_up(&host, end_of(timeout))?,
        };
        let mut addresses = self.empty();
        let mut refused = None;
        for ip in found.into_iter().take(16) {
            match self.0.check_ip(&host, port, ip) {
                Ok(()) => addresses.push(SocketAddr::new(ip, port)),
                Err(error) => refused = Some(error),
            }
        }
        match (addresses.is_empty(), refused) {
            // A name that stands for a public address and a private one may be DNS rebinding.
            (_, Some(error)) => Err(wrap(error)),
            (true, None) => Err(ureq::Error::HostNotFound),
            (false, None) => Ok(addresses),
        }
    }
}

/// Asks the system for a name's addresses. That cannot be interrupted, so a thread does it, and is left
/// to end by itself when the call has ended.
fn look_up(host: &str, end: Instant) -> Result<Vec<IpAddr>, ureq::Error> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let name = host.to_owned();
    // This thread has every signal blocked, and the new one inherits that.
    std::thread::Builder::new().spawn(move || {
        let found = (&*name, 0).to_socket_addrs().map(|found| found.map(|a| a.ip()).collect());
        let _ = sender.send(found);
    })?;
    loop {
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(Ok(found)) => return Ok(found),
            Err(RecvTimeoutError::Timeout) => check(end, Timeout::Resolve)?,
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => {
                return Err(ureq::Error::HostNotFound);
            }
        }
    }
}

/// An error when the call was cancelled or its time is over.
fn check(end: Instant, reason: Timeout) -> Result<(), ureq::Error> {
    if let Some(wanted) = CallScope::current() {
        if wanted.is_cancelled() {
            return Err(wrap(Error::cancelled()));
        }
        if wanted.is_late() {
            return Err(ureq::Error::Timeout(Timeout::Global));
        }
    }
    if Instant::now() >= end {
        return Err(ureq::Error::Timeout(reason));
    }
    Ok(())
}

fn end_of(timeout: NextTimeout) -> Instant {
    // Without one, the call's own deadline ends it; an hour is beyond any.
    Instant::now() + (*timeout.after).min(Duration::from_hours(1))
}

/// Opens sockets.
#[derive(Debug)]
struct SocketConnector;

impl Connector<()> for SocketConnector {
    type Out = Socket;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Socket>, ureq::Error> {
        let end = end_of(details.timeout);
        let mut failure = ureq::Error::HostNotFound;
        for (tried, address) in details.addrs.iter().enumerate() {
            // The last address may take all the time there is.
            let left = end.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(details.addrs.len() - tried).unwrap_or(1).min(2);
            match open(*address, Instant::now() + share) {
                Ok(stream) => {
                    let config = details.config;
                    let (input, output) = (config.input_buffer_size(), config.output_buffer_size());
                    return Ok(Some(Socket { stream, buffers: LazyBuffers::new(input, output) }));
                }
                Err(error) => {
                    check(end, Timeout::Connect)?;
                    failure = error;
                }
            }
        }
        Err(failure)
    }
}

/// Connects without blocking, so that a cancel is noticed while the peer is silent.
fn open(address: SocketAddr, end: Instant) -> Result<TcpStream, ureq::Error> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            let mut pause = Duration::from_micros(50);
            while socket.peer_addr().is_err() {
                if let Some(error) = socket.take_error()? {
                    return Err(error.into());
                }
                check(end, Timeout::Connect)?;
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(10));
            }
        }
        Err(error) => return Err(error.into()),
    }
    socket.set_nonblocking(false)?;
    // Reads and writes come back this often to look whether they are still wanted.
    socket.set_read_timeout(Some(POLL_INTERVAL))?;
    socket.set_write_timeout(Some(POLL_INTERVAL))?;
    Ok(socket.into())
}

/// A connection.
struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its buffers hold the request, key included.
        f.debug_struct("Socket")
            .field("peer", &self.stream.peer_addr().ok())
            .finish_non_exhaustive()
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let end = end_of(timeout);
        let mut rest = &self.buffers.output()[..amount];
        while !rest.is_empty() {
            check(end, timeout.reason)?;
            match self.stream.write(rest) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let end = end_of(timeout);
        loop {
            check(end, timeout.reason)?;
            match self.stream.read(self.buffers.input_append_buf()) {
                Ok(length) => {
                    self.buffers.input_appended(length);
                    return Ok(length > 0);
                }
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether nothing came that was not asked for, the peer's farewell included.
    fn is_open(&mut self) -> bool {
        let is_silent = |stream: &TcpStream| {
            stream.set_nonblocking(true)?;
            let is_silent = stream.peek(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
            stream.set_nonblocking(false)?;
            io::Result::Ok(is_silent)
        };
        is_silent(&self.stream).unwrap_or(false)
    }
}
