//! A Redis of the test's own.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `redis-server` on a free port of the loopback interface. It ends with the value.
pub(crate) struct Server {
    port: u16,
    folder: PathBuf,
    child: Option<Child>,
    settings: Vec<String>,
}

impl Server {
    /// One that has on its disk what it has acknowledged.
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let settings = vec!["--port".to_owned(), port.to_string()];
        let mut server = Self { port, folder, child: None, settings };
        server.run();
        server
    }

    /// One that speaks nothing but TLS, with this certificate and this key in PEM.
    #[cfg(feature = "redis-tls")]
    #[allow(dead_code, reason = "not every test that shares this file has a use for it")]
    pub(crate) fn start_with_tls(certificate: &str, key: &str) -> Self {
        let mut server = Self::start();
        server.kill();
        let mut settings: Vec<String> =
            ["--port", "0", "--tls-auth-clients", "no"].map(str::to_owned).into();
        settings.extend(["--tls-port".to_owned(), server.port.to_string()]);
        for (option, name, pem) in
            [("--tls-cert-file", "certificate", certificate), ("--tls-key-file", "key", key)]
        {
            let file = server.folder.join(name);
            std::fs::write(&file, pem).unwrap();
            settings.extend([option.to_owned(), file.to_string_lossy().into_owned()]);
        }
        server.settings = settings;
        server.run();
        server
    }

    #[allow(dead_code, reason = "not every test that shares this file has a use for it")]
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Starts it where it was: on the same port, with what is on its disk.
    pub(crate) fn run(&mut self) {
        let safe = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--dir"])
            .arg(&self.folder)
            .args(safe)
            .args(&self.settings)
            .stdout(Stdio::null())
            .spawn();
        self.child = Some(child.expect("redis-server (Debian: apt-get install redis-server)"));
        let patience = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < patience, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
