//! Real database servers on loopback, each in a folder of its own, gone with
//! the test that started it. They run as `nobody` where the tests are root's,
//! since PostgreSQL refuses to.
//!
//! Where a server is not installed a test says so loudly, and fails where
//! `DR_LAB_REQUIRED=1`, unless `DR_DATABASES=none` says that it cannot be.

use crate::support::read;
use rustix::process::{Pid, Signal, getuid, kill_process};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The name in the server's certificate.
pub(crate) const NAME: &str = "db.example.test";
/// Who may do everything there.
pub(crate) const ADMIN: &str = "admin-of-tests";

/// A folder for servers, with certificates: `ca.pem`, `server.pem` with its key, and `other.pem`, of somebody else.
pub(crate) struct Place {
    folder: TempDir,
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) port: u16,
    child: Child,
    log: PathBuf,
}

/// The programs of a server, or `None` after saying that they are not there.
fn programs<const N: usize>(names: [&str; N], package: &str) -> Option<[PathBuf; N]> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = debian.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let find = |name| folders.iter().map(|folder| folder.join(name)).find(|path: &PathBuf| path.is_file());
    let found: Vec<_> = names.iter().filter_map(find).collect();
    if let Ok(found) = found.try_into() {
        return Some(found);
    }
    let is = |name, value| std::env::var(name).is_ok_and(|set| set == value);
    let excused = !is("DR_LAB_REQUIRED", "1") || is("DR_DATABASES", "none");
    assert!(excused, "no {} (Debian: {package})", names.join(", "));
    #[expect(clippy::print_stderr, reason = "a test that did not run says so")]
    {
        eprintln!("not run: no {} (Debian: {package})", names.join(", "));
    }
    None
}

impl Place {
    pub(crate) fn new() -> Option<Self> {
        programs(["openssl", "setpriv"], "openssl util-linux")?;
        let place = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let script = r#"set -e; cd "$1"
            key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
            for ca in ca other; do openssl req -x509 $key -keyout $ca.key -out $ca.pem -days 2 -subj /CN=$ca; done
            openssl req $key -keyout server.key -out server.csr -subj "/CN=$2"
            echo "subjectAltName=DNS:$2" > names
            openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names
            if [ "$(id -u)" = 0 ]; then chown -R nobody .; fi"#;
        run(Command::new("sh").args(["-c", script, "sh"]).arg(place.folder.path()).arg(NAME));
        Some(place)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// PostgreSQL with an administrator, TLS and passwords, the data in a folder of this name.
    pub(crate) fn postgres(&self, data: &str) -> Option<Server> {
        let [initdb, postgres] = programs(["initdb", "postgres"], "postgresql")?;
        let data = self.path(data);
        if !data.exists() {
            let password = self.path("password");
            fs::write(&password, ADMIN).expect("a file");
            let mut made = unprivileged(&initdb, "KILL");
            made.arg("-D").arg(&data).arg(format!("--pwfile={}", password.display()));
            run(made.args(["-U", ADMIN, "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync"]));
        }
        let (cert, key) = (self.path("server.pem"), self.path("server.key"));
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\nmax_wal_senders = 2\n\
             ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
            cert.display(),
            key.display()
        );
        fs::write(data.join("postgresql.conf"), settings).expect("a file");
        Some(Server::start(&self.path("log"), |port| {
            let mut command = unprivileged(&postgres, "INT");
            command.arg("-D").arg(&data).arg("-p").arg(port.to_string());
            command
        }))
    }

    /// Another PostgreSQL that follows `server`.
    pub(crate) fn standby(&self, server: &Server) -> Option<Server> {
        let [basebackup] = programs(["pg_basebackup"], "postgresql")?;
        let from = format!("host=127.0.0.1 port={} user={ADMIN} password={ADMIN}", server.port);
        let mut copy = unprivileged(&basebackup, "KILL");
        copy.arg("-D").arg(self.path("standby"));
        run(copy.args(["-d", &from, "-R", "-c", "fast", "--no-sync"]));
        self.postgres("standby")
    }

    /// MariaDB with an administrator; with TLS or without.
    pub(crate) fn mariadb(&self, tls: bool) -> Option<Server> {
        let [mariadbd] = programs(["mariadbd"], "mariadb-server-core")?;
        let (data, first) = (self.path("data"), self.path("first.sql"));
        let base = |command: &mut Command| {
            command.args(["--no-defaults", "--lc-messages-dir=/usr/share/mysql", "--innodb-log-file-size=8M"]);
            command.arg(format!("--datadir={}", data.display()));
        };
        if data.exists() {
            fs::write(&first, "").expect("a file");
        } else {
            fs::create_dir(&data).expect("a folder");
            let made = format!(
                "CREATE USER '{ADMIN}'@'%' IDENTIFIED BY '{ADMIN}'; GRANT ALL ON *.* TO '{ADMIN}'@'%' WITH GRANT OPTION;"
            );
            fs::write(&first, made.replace("; ", ";\n")).expect("a file");
            let tables = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n".to_owned()
                + &read(Path::new("/usr/share/mysql/mysql_system_tables.sql"))
                + &read(Path::new("/usr/share/mysql/mysql_system_tables_data.sql"));
            let script = self.path("tables.sql");
            fs::write(&script, tables).expect("a file");
            give(&data);
            let mut made = unprivileged(&mariadbd, "KILL");
            base(&mut made);
            run(made.arg("--bootstrap").stdin(fs::File::open(script).expect("the script")));
        }
        Some(Server::start(&self.path("log"), |port| {
            let mut command = unprivileged(&mariadbd, "TERM");
            base(&mut command);
            let file = |option: &str, name: &str| format!("--{option}={}", self.path(name).display());
            command.args(["--bind-address=127.0.0.1", &format!("--port={port}"), "--skip-log-bin"]);
            command.args([file("socket", "socket"), file("pid-file", "pid"), file("init-file", "first.sql")]);
            if tls {
                command.args([file("ssl-cert", "server.pem"), file("ssl-key", "server.key")]);
            }
            command
        }))
    }
}

impl Server {
    fn start(log: &Path, command: impl Fn(u16) -> Command) -> Self {
        // Somebody else may take the port in between: then there is another one.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
            let out = fs::File::create(log).expect("a log");
            let mut command = command(port);
            command.stdin(Stdio::null()).stdout(out.try_clone().expect("a log")).stderr(out);
            let child = command.spawn().expect("the server starts");
            let mut server = Self { port, child, log: log.to_owned() };
            if server.is_up() {
                return server;
            }
        }
        panic!("the server does not start: {}", read(log));
    }

    /// Waits until somebody listens; false when it ended.
    fn is_up(&mut self) -> bool {
        for _ in 0..1_000 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            if self.child.try_wait().expect("it is our child").is_some() {
                return false;
            }
            pause();
        }
        panic!("nobody listens: {}", read(&self.log));
    }

    /// Ends it, and waits until nobody listens any more.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Asked, it takes its workers along; PostgreSQL does so at once by INT, MariaDB by TERM.
        for signal in [Signal::INT, Signal::TERM] {
            kill_process(Pid::from_child(&self.child), signal).ok();
        }
        self.child.wait().ok();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A little while.
#[expect(clippy::disallowed_methods, reason = "a process of its own is waited for, by nobody's clock")]
pub(crate) fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

/// A program that is nobody's where the tests are root's, and ends with this thread.
fn unprivileged(program: &Path, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--pdeathsig={signal}"));
    if getuid().is_root() {
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    }
    command.arg(program).current_dir("/");
    command
}

/// Gives a folder to who runs the servers.
fn give(folder: &Path) {
    if getuid().is_root() {
        run(Command::new("chown").args(["-R", "nobody"]).arg(folder));
    }
}

fn run(command: &mut Command) {
    let done = command.output().expect("it starts");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
