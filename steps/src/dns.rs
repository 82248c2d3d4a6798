//! Names to addresses: by the system's resolver, or by name servers of our own
//! choosing in a lab. And what one server knows itself.

use crate::{limits, world::World};
use dr_engine::step::ReadCx;
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

/// Alias after alias is followed no further than this.
const ALIASES_MAX: usize = 8;

/// The addresses of a name, at least one; or a sentence about why there are none.
pub(crate) async fn resolve(cx: &ReadCx, host: &str) -> Result<Vec<IpAddr>, String> {
    let nameservers = &World::of(cx).nameservers;
    let found = if nameservers.is_empty() {
        let found =
            tokio::net::lookup_host((host, 0)).await.map_err(|e| format!("`{host}` cannot be resolved: {e}"))?;
        found.map(|address| address.ip()).collect()
    } else if host.eq_ignore_ascii_case("localhost") {
        // That name is this machine's own affair (RFC 6761).
        vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
    } else {
        ask_both(cx, nameservers, host).await.map_err(|why| format!("`{host}` cannot be resolved: {why}"))?
    };
    if found.is_empty() { Err(format!("`{host}` has no address")) } else { Ok(found) }
}

async fn ask_both(cx: &ReadCx, servers: &[SocketAddr], host: &str) -> Result<Vec<IpAddr>, String> {
    let mut name = Name::from_utf8(host).map_err(|error| error.to_string())?;
    name.set_fqdn(true);
    let (four, six) =
        tokio::join!(addresses(cx, servers, &name, RecordType::A), addresses(cx, servers, &name, RecordType::AAAA));
    match (four, six) {
        (Ok(four), Ok(six)) => Ok([four, six].concat()),
        // One family is enough to go on.
        (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => Ok(found),
        (Err(why), _) | (_, Err(why)) => Err(why),
    }
}

async fn addresses(cx: &ReadCx, servers: &[SocketAddr], name: &Name, of: RecordType) -> Result<Vec<IpAddr>, String> {
    let mut name = name.clone();
    for _ in 0..ALIASES_MAX {
        let answer = ask(cx, servers, &name, of).await?;
        let found: Vec<IpAddr> = answer
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(a) => Some(a.0.into()),
                RData::AAAA(aaaa) => Some(aaaa.0.into()),
                _ => None,
            })
            .collect();
        let alias = answer.answers.iter().rev().find_map(|record| match &record.data {
            RData::CNAME(alias) => Some(alias.0.clone()),
            _ => None,
        });
        match alias {
            Some(alias) if found.is_empty() => name = alias,
            _ => return Ok(found),
        }
    }
    Err("its aliases lead in a circle".into())
}

/// The first complete answer of any server.
async fn ask(cx: &ReadCx, servers: &[SocketAddr], name: &Name, of: RecordType) -> Result<Message, String> {
    let mut why = String::new();
    for server in (0..limits::DNS_ROUNDS).flat_map(|_| servers) {
        let asked = cx.clock.timeout(limits::DNS_TIMEOUT, exchange(*server, name, of)).await;
        match asked {
            Some(Ok(answer)) => match answer.metadata.response_code {
                ResponseCode::NoError => return Ok(answer),
                ResponseCode::NXDomain => return Err("there is no such name".into()),
                code => why = format!("{server} says {code}"),
            },
            Some(Err(error)) => why = format!("{server}: {error}"),
            None => why = format!("{server} does not answer"),
        }
    }
    Err(why)
}

/// A resolver's answer, whole.
async fn exchange(server: SocketAddr, name: &Name, of: RecordType) -> io::Result<Message> {
    let mut query = question(name, of);
    query.metadata.recursion_desired = true;
    whole(server, &query).await
}

/// The answer by a datagram; where that is too small, by a connection (RFC 7766).
async fn whole(server: SocketAddr, query: &Message) -> io::Result<Message> {
    let answer = datagram(server, query).await?;
    if answer.metadata.truncation { connection(server, query).await } else { Ok(answer) }
}

/// What a server knows itself, whole: it is not asked to ask others.
pub(crate) async fn authority(cx: &ReadCx, server: SocketAddr, name: &Name, of: RecordType) -> Result<Message, String> {
    let mut why = "does not answer".to_owned();
    for _ in 0..limits::DNS_ROUNDS {
        match cx.clock.timeout(limits::DNS_TIMEOUT, whole(server, &question(name, of))).await {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(error)) => why = format!("does not answer: {error}"),
            None => {}
        }
    }
    Err(why)
}

/// A question that asks for no recursion.
fn question(name: &Name, of: RecordType) -> Message {
    let mut query = Message::query();
    query.add_query(Query::query(name.clone(), of));
    query
}

async fn datagram(server: SocketAddr, query: &Message) -> io::Result<Message> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(&query.to_vec().map_err(io::Error::other)?).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What does not fit the question may be forged: go on listening.
        if let Some(answer) = fitting(query, &buffer[..length]) {
            return Ok(answer);
        }
    }
}

async fn connection(server: SocketAddr, query: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let bytes = query.to_vec().map_err(io::Error::other)?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    fitting(query, &answer).ok_or_else(|| io::Error::other("the answer does not fit the question"))
}

fn fitting(query: &Message, bytes: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    (answer.metadata.id == query.metadata.id && answer.queries == query.queries).then_some(answer)
}
