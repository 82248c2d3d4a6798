//! One request to the lab's own endpoint. It is on this machine and speaks
//! plain HTTP/1.1 with a length, so this needs no client library.

use super::Error;
use serde_json::Value;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// To connect to a socket of this machine takes no time, or it is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// A dump of a large account, on a slow machine.
const ANSWER: Duration = Duration::from_mins(2);

/// Asks `address` (`http://127.0.0.1:PORT`); gives the text of a good answer.
pub(super) fn ask(address: &str, method: &str, path: &str, body: Option<&Value>) -> Result<String, Error> {
    let silent = |source| Error::Silent { address: address.into(), source };
    let host = address.strip_prefix("http://").unwrap_or(address);
    let socket: SocketAddr = host.parse().map_err(|_| Error::Unreadable(format!("`{address}` is no address")))?;
    let answer = exchange(socket, method, path, body).map_err(silent)?;
    let (status, text) =
        split(&answer).ok_or_else(|| Error::Unreadable(format!("{} bytes that are no HTTP", answer.len())))?;
    if status < 400 {
        return Ok(text);
    }
    let said =
        serde_json::from_str::<Value>(&text).ok().and_then(|value| Some(value.get("error")?.as_str()?.to_owned()));
    Err(Error::Refused(said.unwrap_or(text)))
}

fn exchange(socket: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&socket, CONNECT)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {socket}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// The status and the body, if the answer is whole.
fn split(answer: &[u8]) -> Option<(u16, String)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = &answer[end + 4..];
    if length.is_some_and(|length| length != body.len()) {
        return None;
    }
    Some((status, String::from_utf8(body.to_vec()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn an_answer_that_was_cut_off_is_no_answer() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(split(whole), Some((200, "hello".into())));
        assert_eq!(split(&whole[..whole.len() - 1]), None);
        assert_eq!(split(b"HTTP/1.1 400 Bad Request\r\n\r\n{}"), Some((400, "{}".into())));
        assert_eq!(split(b"SSH-2.0-x\r\n\r\n"), None);
    }
}
