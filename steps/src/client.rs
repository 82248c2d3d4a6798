//! HTTP/1.1, one request on one connection.
//!
//! Deliberately absent: redirects, proxies, cookies, connections kept open,
//! retries. A request either was not sent, or got its answer, or its answer
//! was lost; whoever sends something that changes the world must know which.

use crate::{limits, reach, text, trust::Trust, world::World};
use bytes::Bytes;
use dr_engine::{duration::Dur, outcome::Failure, step::ReadCx};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderMap, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::{fmt, net::SocketAddr, pin::pin, sync::OnceLock};
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

/// The TLS of all requests, made when the first one wants it: the certificates
/// of the system are hundreds, and a run of commands needs none of them.
#[derive(Default)]
pub(crate) struct Tls(OnceLock<Result<Trust, String>>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "Tls(made)" } else { "Tls(not needed yet)" })
    }
}

impl Tls {
    /// What this machine trusts.
    pub(crate) fn get(&self) -> Result<Trust, Failure> {
        self.0.get_or_init(Trust::of_this_machine).clone().map_err(Failure::new)
    }
}

/// A connection on which one request can be sent.
pub(crate) struct Line {
    stream: Box<dyn Stream>,
    /// Where it leads.
    pub(crate) address: SocketAddr,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The body was longer than what is read.
    pub(crate) cut: bool,
}

/// Connects for a request to `url`. Nothing has been sent when this fails.
pub(crate) async fn connect(cx: &ReadCx, url: &Url, fixed: Option<SocketAddr>) -> Result<Line, Failure> {
    let host = url.host_str().ok_or_else(|| Failure::new(format!("`{url}` names no host")))?;
    let port = url.port_or_known_default().ok_or_else(|| Failure::new(format!("`{url}` names no port")))?;
    let (stream, address) = reach::connect(cx, host, port, fixed).await?;
    if url.scheme() != "https" {
        return Ok(Line { stream: Box::new(stream), address });
    }
    let tls = World::of(cx).tls.get()?.config;
    let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']').to_owned())
        .map_err(|error| Failure::new(format!("`{host}` cannot stand in a certificate: {error}")))?;
    let shaken = tokio_rustls::TlsConnector::from(tls).connect(name, stream);
    let shaken = cx.clock.timeout(limits::CONNECT_TIMEOUT, shaken).await;
    let stream = shaken
        .unwrap_or_else(|| Err(std::io::Error::other("no answer")))
        .map_err(|error| Failure::passing(format!("no TLS with `{host}` ({address}): {error}")))?;
    Ok(Line { stream: Box::new(stream), address })
}

impl Line {
    /// Sends the request and reads the answer. After an error it is not known
    /// what the server did.
    pub(crate) async fn send(
        self,
        cx: &ReadCx,
        (method, url): (Method, &Url),
        headers: HeaderMap,
        body: Bytes,
        limit: Dur,
    ) -> Result<Answer, String> {
        let request = request(method, url, headers, body).map_err(|error| error.to_string())?;
        match cx.clock.timeout(limit, exchange(self.stream, request)).await {
            Some(answer) => answer.map_err(|error| text::clean(&chain(&error))),
            None => Err(format!("no answer within {limit}")),
        }
    }
}

fn request(
    method: Method,
    url: &Url,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let host = match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request = Request::builder().method(method).uri(path).body(Full::new(body))?;
    let all = request.headers_mut();
    all.insert(HOST, HeaderValue::from_str(&host)?);
    all.insert(USER_AGENT, HeaderValue::from_static(concat!("dr/", env!("CARGO_PKG_VERSION"))));
    all.extend(headers);
    all.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

async fn exchange(stream: Box<dyn Stream>, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let work = async {
        let mut response = sender.send_request(request).await?;
        let (mut body, mut cut) = (Vec::new(), false);
        while let Some(frame) = response.frame().await {
            if let Ok(data) = frame?.into_data() {
                let room = limits::BODY_BYTES_MAX - body.len();
                cut = data.len() > room;
                body.extend_from_slice(&data[..data.len().min(room)]);
            }
            if cut {
                break;
            }
        }
        let headers = std::mem::take(response.headers_mut());
        Ok(Answer { status: response.status().as_u16(), headers, body, cut })
    };
    let (mut work, mut connection) = (pin!(work), pin!(connection));
    // The connection moves the bytes; what it meets, the request hears of.
    tokio::select! {
        biased;
        answer = &mut work => answer,
        _ = &mut connection => work.await,
    }
}

/// An error with what lies beneath it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
