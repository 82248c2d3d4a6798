//! A mail server as the settings name it: `smtp+starttls://USER@HOST:PORT`.

use percent_encoding::percent_decode_str;
use std::{fmt, net::IpAddr, str::FromStr};
use url::{Host, Url};

/// How the way to the server is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// From the first byte.
    Tls,
    /// From STARTTLS on, or there is no mail: never in the clear because the other side says so.
    StartTls,
    /// Not at all; only to this machine itself.
    Plain,
}

/// A mail server, as the settings name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) link: Link,
    pub(super) user: Option<String>,
}

impl Server {
    /// Whether mail stays on this machine, as far as can be told.
    pub(super) fn on_loopback(&self) -> bool {
        loopback(&self.host)
    }
}

fn loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const WANTED: &str = "smtp+starttls://USER@HOST:PORT, smtps://… or, to this machine itself, smtp://…";
        // What was written is not repeated before it is known to hold no password.
        let url = Url::parse(text).map_err(|error| format!("`url` cannot be read ({error}): {WANTED} is wanted"))?;
        if url.password().is_some() {
            return Err("`url` holds a password: it belongs into `password`, by reference".into());
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`url` has something behind the port: {WANTED} is wanted"));
        }
        let (link, port) = match url.scheme() {
            "smtps" => (Link::Tls, 465),
            "smtp+starttls" => (Link::StartTls, 587),
            "smtp" => (Link::Plain, 25),
            other => {
                return Err(format!("`url` begins with `{other}:`, which is no way to send mail: {WANTED} is wanted"));
            }
        };
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        };
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
        if host.is_empty() || !host.chars().all(named) {
            return Err(format!("`url` names no server: {WANTED} is wanted"));
        }
        if link == Link::Plain && !loopback(&host) {
            return Err(format!(
                "`url` would send mail to {host} in the clear, where others can read and change it: \
                 smtp+starttls:// or smtps:// is wanted; smtp:// is for this machine itself"
            ));
        }
        // `ana%40example.org` is `ana@example.org`.
        let user =
            percent_decode_str(url.username()).decode_utf8().ok().filter(|user| !user.contains(char::is_control));
        let user = user.ok_or("the user in `url` cannot be read")?;
        let user = (!user.is_empty()).then(|| user.into_owned());
        Ok(Self { host, port: url.port().unwrap_or(port), link, user })
    }
}
