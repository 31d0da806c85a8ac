//! `--store`, `--keys` and `--node`: one of several servers that share their registrations.

use std::error::Error;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use sip_proxy::edge::{EdgeKey, EdgeKeys};
use sip_proxy::location::{Redis, RedisConfig};
use sip_proxy::{Server, ServerBuilder};

/// The variable that may hold the URL in place of `--store`: it is not for all to see that `ps` shows.
const STORE: &str = "SIP_STORE";

/// What servers that stand for one domain share.
#[derive(Args, Clone, Debug)]
pub struct Sharing {
    /// The Redis or Valkey where registrations are kept, shared with other servers of the domain:
    /// redis://HOST:PORT/DATABASE. One with a password belongs into the variable SIP_STORE instead
    #[arg(long, value_name = "URL", requires = "keys")]
    store: Option<String>,
    /// The roots to trust of a `rediss:` store, in PEM; by default the system's
    #[cfg(feature = "redis-tls")]
    #[arg(long, value_name = "FILE")]
    store_ca: Option<PathBuf>,
    /// The file of the keys that those servers share: one or two lines, each of 64 hexadecimal digits (openssl rand -hex
    /// 32). By the first all is made; what was made by the second is still known
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// The name of this server among them, which it keeps when it is started anew; by default another each time
    #[arg(long, value_name = "NAME", requires = "keys")]
    node: Option<String>,
}

impl Sharing {
    /// Starts the server, with its registrations where the command line says.
    ///
    /// # Errors
    ///
    /// If the keys cannot be read or are open to others, the URL is none, or the server does not start.
    pub async fn start(self, builder: ServerBuilder) -> Result<Server, Box<dyn Error>> {
        let url = self.store.or_else(|| std::env::var(STORE).ok());
        let Some(file) = self.keys else {
            return match url {
                Some(_) => Err(format!("with {STORE} there must be --keys").into()),
                None => Ok(builder.start().await?),
            };
        };
        let keys = keys(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut random = [0; 24];
        getrandom::fill(&mut random)?;
        let [new, seeds @ ..] = random.as_chunks::<8>().0 else { return Err("no seed".into()) };
        let new = format!("{:016x}", u64::from_be_bytes(*new));
        let node = self.node.unwrap_or_else(|| new.clone());
        let builder = builder.node(&node, keys);
        let Some(url) = url else { return Ok(builder.start().await?) };
        // Its connections end with it, and so does the name of its lease.
        let config = RedisConfig::default().node(&format!("{node}/{new}"));
        #[cfg(feature = "redis-tls")]
        let config = match self.store_ca {
            Some(file) => config.roots(
                std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?,
            ),
            None => config,
        };
        let mut seed = [0; 2];
        for (seed, bytes) in seed.iter_mut().zip(seeds) {
            *seed = u64::from_be_bytes(*bytes);
        }
        let store = Redis::open(&url, config, seed)?;
        Ok(builder.start_with_store(Arc::new(store)).await?)
    }
}

/// Reads the keys. A missing file is not made: each server would have other ones.
fn keys(file: &Path) -> Result<EdgeKeys, Box<dyn Error>> {
    if std::fs::metadata(file)?.permissions().mode() & 0o007 != 0 {
        return Err("everybody on this machine may use these keys: chmod o= it".into());
    }
    let text = std::fs::read_to_string(file)?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(key);
    let keys = EdgeKeys::new(lines.next().ok_or("there is no key")??);
    let keys = match lines.next() {
        Some(previous) => keys.or(previous?),
        None => keys,
    };
    match lines.next() {
        Some(_) => Err("there are more than two keys".into()),
        None => Ok(keys),
    }
}

fn key(line: &str) -> Result<EdgeKey, Box<dyn Error>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = |pair: &[u8; 2]| Some((digit(&pair[0])? << 4 | digit(&pair[1])?) as u8);
    let (pairs, rest) = line.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    let bytes = bytes.filter(|_| rest.is_empty()).ok_or("a key has hexadecimal digits alone")?;
    Ok(EdgeKey::new(&bytes)?)
}
