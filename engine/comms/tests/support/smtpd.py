"""A mail server for the tests: aiosmtpd, which speaks SMTP as it is written, and goes wrong when it is told to.

    smtpd.py --dir DIR [--mode MODE]

Makes an authority and a certificate for 127.0.0.1 in DIR (ca.pem, and other.pem of somebody else), prints one line
of JSON with its port, and ends with its standard input. What it took stands in DIR/mailbox: NNN.eml as it came, and
NNN.json: sender, recipients, whether it came encrypted, who had logged in.

Recipients say what becomes of them: `gone-…` is refused with 550, `full-…` is put off with 452 always, `grey-…` with
451 the first time that each is named. Modes:

    starttls      STARTTLS and a login are required (dr / the environment's SMTPD_PASSWORD)
    tls           the same, encrypted from the first byte
    open          encrypted by STARTTLS, no login
    plain         in the clear, no login
    echo          as starttls; what turns a login down repeats the password, plain and as it was sent
    no-banner     takes the connection and says nothing
    banner        says its banner, and nothing more
    closed        takes the connection and closes it
    busy          421 instead of a banner
    silent        takes a mail into the mailbox and never says so
    dropped       the first time: takes a mail into the mailbox, closes the connection without an answer
    data-451      the first time: puts off a mail after DATA
    data-552      refuses every mail after DATA: too large
"""

import argparse
import asyncio
import base64
import datetime
import ipaddress
import json
import os
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER = "dr"


def certificates(folder):
    """An authority, a server of its own, and an authority that signed nothing."""

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def signed(subject, key, issuer, by, *, authority):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=365))
            .not_valid_after(now + datetime.timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(by, hashes.SHA256())

    def pem(certificate):
        return certificate.public_bytes(serialization.Encoding.PEM)

    authority, server, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    (folder / "ca.pem").write_bytes(pem(signed("test", authority, "test", authority, authority=True)))
    (folder / "other.pem").write_bytes(pem(signed("other", other, "other", other, authority=True)))
    (folder / "server.pem").write_bytes(pem(signed("server", server, "test", authority, authority=False)))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(server.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


class Mailbox:
    """What aiosmtpd asks about each command."""

    def __init__(self, folder, mode):
        self.folder = folder / "mailbox"
        self.folder.mkdir()
        self.mode = mode
        self.mails = 0
        self.named = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        first = address not in self.named
        self.named.add(address)
        if address.startswith("gone-"):
            return "550 5.1.1 no such user here"
        if address.startswith("full-"):
            return "452 4.2.2 mailbox full"
        if address.startswith("grey-") and first:
            return "451 4.7.1 greylisted, try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails += 1
        first = self.mails == 1
        if self.mode == "data-552":
            return "552 5.3.4 message too big"
        if self.mode == "data-451" and first:
            return "451 4.3.0 try again"
        (self.folder / f"{self.mails:03}.eml").write_bytes(envelope.original_content)
        facts = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "encrypted": server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data,
        }
        (self.folder / f"{self.mails:03}.json").write_text(json.dumps(facts))
        if self.mode == "silent":
            await asyncio.sleep(3600)
        if self.mode == "dropped" and first:
            server.transport.abort()
        return "250 OK"

    def login(self, server, session, envelope, mechanism, data):
        password = os.environ["SMTPD_PASSWORD"]
        user, given = data.login.decode(), data.password.decode()
        if (user, given) == (USER, password):
            return AuthResult(success=True, auth_data=user)
        sent = base64.b64encode(f"\0{user}\0{given}".encode()).decode()
        message = f"535 5.7.8 no: {given} {sent}" if self.mode == "echo" else None
        return AuthResult(success=False, handled=False, message=message)


def protocol(mailbox, mode, context):
    """A connection's own protocol."""
    common = {"hostname": "smtpd.test", "ident": "test"}
    if mode == "plain":
        return SMTP(mailbox, **common)
    if mode == "tls":
        # aiosmtpd does not know that the connection is encrypted already.
        return SMTP(mailbox, auth_required=True, auth_require_tls=False, authenticator=mailbox.login, **common)
    login = mode in ("starttls", "echo")
    return SMTP(
        mailbox,
        tls_context=context,
        require_starttls=True,
        auth_required=login,
        authenticator=mailbox.login,
        **common,
    )


async def mute(mode, reader, writer):
    """What goes wrong before there is any SMTP."""
    if mode == "banner":
        writer.write(b"220 smtpd.test ESMTP\r\n")
    if mode == "busy":
        writer.write(b"421 4.3.2 too busy\r\n")
    await writer.drain()
    if mode in ("closed", "busy"):
        writer.close()
    else:
        await asyncio.sleep(3600)


async def serve(folder, mode):
    """Listens on a port of its own until the standard input ends."""
    loop = asyncio.get_running_loop()
    context = certificates(folder)
    if mode in ("no-banner", "banner", "closed", "busy"):
        server = await asyncio.start_server(lambda r, w: mute(mode, r, w), "127.0.0.1", 0)
    else:
        mailbox = Mailbox(folder, mode)
        wrapped = context if mode == "tls" else None
        make = lambda: protocol(mailbox, mode, context)  # noqa: E731
        server = await loop.create_server(make, "127.0.0.1", 0, ssl=wrapped)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--dir", type=pathlib.Path, required=True)
    arguments.add_argument("--mode", default="starttls")
    given = arguments.parse_args()
    asyncio.run(serve(given.dir, given.mode))
