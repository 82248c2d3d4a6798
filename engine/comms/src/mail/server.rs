//! A conversation with a mail server: connected, made secret, logged in, one mail.
//!
//! lettre's transport would send a mail to all or to nobody, and not say
//! whether a lost connection came before or after the mail was handed over.
//! So the commands are given one by one.

use super::url::{Link, Server};
use crate::{
    channel::Trouble,
    secret::{Secret, Source},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use dr_engine::report::clean;
use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        commands::{Data, Mail, Noop, Rcpt, Rset},
        extension::ClientId,
    },
};
use std::{
    error::Error as _,
    fmt, fs, io,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// So much of what a server says is repeated, in characters.
const ANSWER_MAX: usize = 300;

/// How a certificate begins in PEM (RFC 7468).
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// What makes a conversation possible, read anew for each: what a person mended counts at once.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) server: Server,
    pub(super) password: Option<Source>,
    /// Whose certificates are taken, instead of those that the system trusts.
    pub(super) ca: Option<PathBuf>,
    /// To what paths are relative.
    pub(super) folder: PathBuf,
}

/// What became of a mail, address by address.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) took: Vec<Address>,
    /// Turned down, and why.
    pub(super) refused: Vec<(Address, String)>,
    /// Put off, and why.
    pub(super) put_off: Vec<(Address, String)>,
}

/// A conversation under way.
pub(super) struct Talk<'a> {
    server: &'a Server,
    password: Option<Secret>,
    connection: AsyncSmtpConnection,
}

impl Access {
    /// Connects and logs in.
    pub(super) async fn open(&self, connect_timeout: Duration) -> Result<Talk<'_>, Trouble> {
        let server = &self.server;
        // Files, a hundred certificates: not in the loop that carries the recovery.
        let access = self.clone();
        let read = tokio::task::spawn_blocking(move || Ok((access.password()?, access.tls()?))).await;
        let (password, tls) = read.map_err(|error| Trouble::passing(error.to_string()))??;
        let from_start = tls.clone().filter(|_| server.link == Link::Tls);
        let (address, hello) = ((server.host.as_str(), server.port), ClientId::default());
        let connection =
            AsyncSmtpConnection::connect_tokio1(address, Some(connect_timeout), &hello, from_start, None).await;
        let connection = connection.map_err(|error| server.trouble("connect", &error, None))?;
        let mut talk = Talk { server, password, connection };
        if let Some(tls) = tls.filter(|_| server.link == Link::StartTls) {
            if !talk.connection.can_starttls() {
                return Err(Trouble::refused(format!(
                    "{server} offers no STARTTLS, and nothing is sent in the clear: smtps:// is encrypted from the start"
                )));
            }
            talk.connection.starttls(tls, &hello).await.map_err(|error| talk.trouble("STARTTLS", &error))?;
        }
        if let (Some(user), Some(password)) = (&server.user, &talk.password) {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            let login = talk.connection.auth(DEFAULT_MECHANISMS, &credentials).await;
            login.map_err(|error| talk.trouble("the login", &error))?;
        }
        Ok(talk)
    }

    fn password(&self) -> Result<Option<Secret>, Trouble> {
        let read = self.password.as_ref().map(|source| source.read(&self.folder)).transpose();
        read.map_err(|error| Trouble::refused(error.to_string()))
    }

    fn tls(&self) -> Result<Option<TlsParameters>, Trouble> {
        if self.server.link == Link::Plain {
            return Ok(None);
        }
        let builder = TlsParameters::builder(self.server.host.clone());
        let builder = match &self.ca {
            None => builder,
            Some(path) => {
                let path = self.folder.join(path);
                let wrong = |why: &dyn fmt::Display| Trouble::refused(format!("`ca` {}: {why}", path.display()));
                let pem = fs::read_to_string(&path).map_err(|error| wrong(&error))?;
                // lettre takes a file without any for one of none.
                let authority = Certificate::from_pem(pem.as_bytes()).ok().filter(|_| pem.contains(CERTIFICATE));
                let authority = authority.ok_or_else(|| wrong(&"it holds no certificate in PEM"))?;
                builder.certificate_store(CertificateStore::None).add_root_certificate(authority)
            }
        };
        let tls = builder.build();
        tls.map(Some).map_err(|error| Trouble::refused(format!("TLS cannot be set up: {}", clean(&error.to_string()))))
    }
}

impl Talk<'_> {
    /// Hands a mail over to those whom the server takes it for. One mail for all: an address that is turned down
    /// costs the others nothing, and everybody sees in `To:` who has been told.
    ///
    /// `handed_over` is set just before the mail itself goes out: from then on only an answer tells whether it arrived.
    pub(super) async fn send(
        &mut self,
        from: &Address,
        to: &[Address],
        mail: &[u8],
        handed_over: &AtomicBool,
    ) -> Result<Outcome, Trouble> {
        let outcome = self.address(from, to).await?;
        if outcome.took.is_empty() {
            return Ok(outcome);
        }
        self.connection.command(Data).await.map_err(|error| self.trouble("DATA", &error))?;
        handed_over.store(true, Ordering::SeqCst);
        match self.connection.message(mail).await {
            Ok(_) => Ok(outcome),
            // It was taken in and turned down: another one may be taken.
            Err(error) if error.status().is_some() => Err(self.trouble("the mail", &error).of_parcel()),
            Err(error) => {
                let what = self.trouble("the mail", &error).what;
                Err(Trouble::ambiguous(format!("{what}; it may have arrived all the same")))
            }
        }
    }

    /// Asks whether it would take a mail, and sends none.
    pub(super) async fn ask(&mut self, from: &Address, to: &[Address]) -> Result<Outcome, Trouble> {
        self.connection.command(Noop).await.map_err(|error| self.trouble("NOOP", &error))?;
        let outcome = self.address(from, to).await?;
        self.connection.command(Rset).await.map_err(|error| self.trouble("RSET", &error))?;
        Ok(outcome)
    }

    async fn address(&mut self, from: &Address, to: &[Address]) -> Result<Outcome, Trouble> {
        let sender = self.connection.command(Mail::new(Some(from.clone()), Vec::new())).await;
        sender.map_err(|error| self.trouble(&format!("the sender {from}"), &error))?;
        let mut outcome = Outcome::default();
        for address in to {
            match self.connection.command(Rcpt::new(address.clone(), Vec::new())).await {
                Ok(_) => outcome.took.push(address.clone()),
                Err(error) if error.is_permanent() => outcome.refused.push((address.clone(), self.answer(&error))),
                // 421: it closes the connection, whatever the address.
                Err(error) if error.is_transient() && error.status().is_none_or(|code| code.to_string() != "421") => {
                    outcome.put_off.push((address.clone(), self.answer(&error)));
                }
                Err(error) => return Err(self.trouble(&format!("the recipient {address}"), &error)),
            }
        }
        Ok(outcome)
    }

    /// How the server is spoken to, for people.
    pub(super) fn how(&self) -> String {
        let link = match self.server.link {
            Link::Tls | Link::StartTls => "encrypted",
            Link::Plain => "in the clear, within this machine",
        };
        let login = self.server.user.as_ref().map_or("no login".into(), |user| format!("logged in as {}", clean(user)));
        format!("{}, {link}, {login}", self.server)
    }

    /// Takes leave; what it answers matters to nobody any more.
    pub(super) async fn close(mut self) {
        self.connection.abort().await;
    }

    fn trouble(&self, about: &str, error: &Error) -> Trouble {
        self.server.trouble(about, error, self.password.as_ref())
    }

    fn answer(&self, error: &Error) -> String {
        self.server.answer(error, self.password.as_ref())
    }
}

impl Server {
    /// What went wrong, for people; without the password, should the server have repeated it.
    fn trouble(&self, about: &str, error: &Error, password: Option<&Secret>) -> Trouble {
        let answer = self.answer(error, password);
        if error.status().is_some() {
            let what = format!("{self} answered to {about}: {answer}");
            return if error.is_permanent() { Trouble::refused(what) } else { Trouble::passing(what) };
        }
        match rustls_error(error) {
            Some(rustls::Error::InvalidCertificate(why)) => Trouble::refused(format!(
                "the certificate of {self} is not to be trusted ({}): `ca` names a file with the authority that signed it",
                clean(&format!("{why}"))
            )),
            Some(why) => {
                Trouble::refused(format!("{self} does not speak TLS as is wanted here: {}", clean(&why.to_string())))
            }
            // What the library says of itself: no common way to log in, say.
            None if error.is_client() => Trouble::refused(format!("{self}, {about}: {answer}")),
            None => Trouble::passing(format!("{self}, {about}: {answer}")),
        }
    }

    /// What the server said, with its code, or what became of the connection.
    fn answer(&self, error: &Error, password: Option<&Secret>) -> String {
        let said = error.source().map_or_else(|| error.to_string(), chain);
        let said = match password {
            Some(password) => {
                let user = self.user.as_deref().unwrap_or_default();
                // As it is written down, as LOGIN sends it, as PLAIN does (RFC 4616).
                let plain = BASE64_STANDARD.encode(format!("\0{user}\0{}", password.expose()));
                let login = BASE64_STANDARD.encode(password.expose());
                [plain, login].map(Secret::from).iter().fold(password.hide(&said), |said, form| form.hide(&said))
            }
            None => said,
        };
        let code = error.status().map_or(String::new(), |code| format!("{code} "));
        let text = format!("{code}{}", clean(&said));
        match text.char_indices().nth(ANSWER_MAX) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

/// The innermost of what errors say of each other: `connection refused`.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(source) => chain(source),
        None => error.to_string(),
    }
}

/// What TLS itself has to say, from within the layers around it.
fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref::<rustls::Error>() {
        return Some(found);
    }
    // An `io::Error` does not give what it holds as its source.
    let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match held {
        Some(held) => rustls_error(held),
        None => error.source().and_then(rustls_error),
    }
}
