//! Servers on loopback that do what a test tells them, badly if it says so.

use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{RData, Record, RecordType},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|header| header.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)))
            .map(|(_, value)| value)
    }
}

/// What becomes of a request.
pub(crate) enum Reply {
    Say(u16, String),
    /// These bytes, and the end.
    Raw(String),
    /// The connection ends without a word.
    Gone,
    /// Nothing, ever.
    Silent,
}

pub(crate) fn ok(body: &str) -> Reply {
    Reply::Say(200, body.to_owned())
}

pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) async fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (reply, seen) = (Arc::new(reply), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, reply.clone(), seen.clone()));
            }
        });
        Self { at, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

async fn serve(mut stream: TcpStream, reply: Arc<impl Fn(&Asked) -> Reply>, seen: Arc<Mutex<Vec<Asked>>>) {
    let mut bytes = Vec::new();
    let asked = loop {
        if stream.read_buf(&mut bytes).await.is_ok_and(|n| n == 0) {
            return;
        }
        if let Some(asked) = parse(&String::from_utf8_lossy(&bytes)) {
            break asked;
        }
    };
    seen.lock().expect("no panic").push(asked.clone());
    let said = match reply(&asked) {
        Reply::Say(status, body) => {
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nlocation: /other\r\n\r\n{body}", body.len())
        }
        Reply::Raw(said) => said,
        Reply::Gone => return,
        Reply::Silent => std::future::pending().await,
    };
    stream.write_all(said.as_bytes()).await.ok();
}

fn parse(text: &str) -> Option<Asked> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n").map(ToOwned::to_owned);
    let asked = Asked { line: lines.next()?, headers: lines.collect(), body: body.to_owned() };
    let length = asked.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    (body.len() >= length).then_some(asked)
}

/// A name server: the addresses it gives, one answer after the other, the last
/// one for ever. No addresses is a name that does not exist.
pub(crate) async fn name_server(answers: Vec<Vec<IpAddr>>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("an address");
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = asked.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        let mut turn = 0;
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
            let question = query.queries[0].clone();
            seen.lock().expect("no panic").push(format!("{} {}", question.query_type(), question.name()));
            let given = answers.get(turn).or(answers.last()).cloned().unwrap_or_default();
            let answer = addresses(&query, &given);
            // Somebody else's answer comes first: it is not to be believed.
            let mut forged = answer.clone();
            forged.metadata.id = query.metadata.id.wrapping_add(1);
            socket.send_to(&forged.to_vec().expect("a message"), from).await.ok();
            socket.send_to(&answer.to_vec().expect("a message"), from).await.ok();
            turn += usize::from(question.query_type() == RecordType::A);
        }
    });
    (at, asked)
}

fn addresses(query: &Message, given: &[IpAddr]) -> Message {
    let mut answer = query.clone();
    answer.metadata.message_type = MessageType::Response;
    if given.is_empty() {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    let question = &query.queries[0];
    for ip in given {
        let data = match (ip, question.query_type()) {
            (IpAddr::V4(ip), RecordType::A) => RData::A((*ip).into()),
            (IpAddr::V6(ip), RecordType::AAAA) => RData::AAAA((*ip).into()),
            _ => continue,
        };
        answer.add_answer(Record::from_rdata(question.name().clone(), 1, data));
    }
    answer
}

/// A name server whose answer does not fit a datagram: that holds a part of it
/// and says so, the whole comes by a connection.
pub(crate) async fn name_server_of_much(part: IpAddr, whole: IpAddr) -> SocketAddr {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        // The same number may be taken for the other protocol.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("an address")).await {
            break (udp, tcp);
        }
    };
    let at = udp.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..length]).expect("a question");
            let mut answer = addresses(&query, &[part]);
            answer.metadata.truncation = true;
            udp.send_to(&answer.to_vec().expect("a message"), from).await.ok();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let mut bytes = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
            stream.read_exact(&mut bytes).await.expect("a question");
            let query = Message::from_vec(&bytes).expect("a question");
            assert!(query.metadata.recursion_desired, "a resolver is asked to ask others");
            let answer = addresses(&query, &[whole]).to_vec().expect("a message");
            stream.write_u16(u16::try_from(answer.len()).expect("it fits")).await.expect("it is sent");
            stream.write_all(&answer).await.expect("it is sent");
        }
    });
    at
}
