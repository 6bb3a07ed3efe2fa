//! Where the NATS servers are, and as whom they are spoken to.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};

/// How long a server is given to accept a connection, and to answer one question.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// How often a silent server is asked whether it lives; after two questions
/// without an answer another one is turned to.
const PING_EVERY: Duration = Duration::from_secs(1);
/// The pause before the second try to connect; it grows by as much with every try.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two tries to connect.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);
/// In how much of a file a first certificate or key has to begin, bytes: longer than the text that
/// some put before each of them.
const PEM_BYTES_MAX: u64 = 1024 * 1024;
/// The largest file of credentials or of a seed, bytes: a JWT with every permission spelled out.
const SECRET_BYTES_MAX: u64 = 256 * 1024;

/// Where the NATS servers are, whom to believe that they are, and who says so.
///
/// What is secret in it is never shown, not even by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsAccess {
    /// The servers, as URLs with commas between them: `nats://host:4222`, or
    /// `tls://` where the connection must be encrypted. A user and a password
    /// may be in the first of them (`nats://user:password@host:4222`), or a
    /// token (`nats://token@host:4222`), without commas and characters that a
    /// URL would have to escape.
    pub servers: String,
    /// A credentials file: a user's JWT and the seed that it is signed with.
    pub credentials: Option<PathBuf>,
    /// A file with the seed of an nkey, where users are known by these.
    pub nkey: Option<PathBuf>,
    /// A PEM file of the authorities that are believed about servers, instead
    /// of those that this machine believes.
    pub authorities: Option<PathBuf>,
    /// Who this program is, where servers ask for a certificate.
    pub certificate: Option<NatsCertificate>,
}

/// A certificate that is shown to servers. PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsCertificate {
    /// The certificate, and those between it and the authority.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why servers cannot be spoken to as was asked. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// No server is named.
    #[error("no NATS server is named: give URLs such as nats://127.0.0.1:4222")]
    NoServer,
    /// That is no address of a server.
    #[error(
        "{server} is no address of a NATS server ({why}): give a URL such as nats://127.0.0.1:4222"
    )]
    Address {
        /// What was given, without a password.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// Before the `@` of a user and a password there is a comma, which ends a URL.
    #[error(
        "a comma stands between servers, and {server} is behind one and an @: write each URL with its \
         nats:// or tls://, and choose a user, a password or a token without a comma"
    )]
    Comma {
        /// The server behind it.
        server: String,
    },
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("{} holds no {what}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl fmt::Debug for NatsAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsAccess")
            .field("servers", &self.shown())
            .field("credentials", &self.credentials)
            .field("nkey", &self.nkey)
            .field("authorities", &self.authorities)
            .field("certificate", &self.certificate)
            .finish()
    }
}

impl NatsAccess {
    /// These servers, as the URLs say or as nobody in particular.
    #[must_use]
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            credentials: None,
            nkey: None,
            authorities: None,
            certificate: None,
        }
    }

    fn urls(&self) -> impl Iterator<Item = &str> {
        let urls = self.servers.split(',').map(str::trim);
        urls.filter(|url| !url.is_empty())
    }

    /// The last server of which it cannot be said where its URL begins: what is
    /// before it may be the first half of a password with a comma.
    fn behind_a_comma(&self) -> Option<&str> {
        let others = self.urls().skip(1);
        let unclear = others.filter(|url| url.contains('@') && !url.contains("://"));
        unclear.last()
    }

    /// The servers without what is secret in their URLs, to be shown.
    #[must_use]
    pub fn shown(&self) -> String {
        if let Some(url) = self.behind_a_comma() {
            return format!("…, {}", without_user(url));
        }
        let shown: Vec<_> = self.urls().map(without_user).collect();
        shown.join(", ")
    }

    /// The servers' addresses, one by one: the client takes a text with commas
    /// for one address.
    ///
    /// # Errors
    /// [`AccessError`]: none is named, one is no address, or it cannot be told
    /// where one begins.
    pub fn addresses(&self) -> Result<Vec<ServerAddr>, AccessError> {
        if let Some(url) = self.behind_a_comma() {
            return Err(AccessError::Comma {
                server: without_user(url),
            });
        }
        let parsed: Result<Vec<ServerAddr>, _> = self
            .urls()
            .map(|url| {
                url.parse()
                    .map_err(|error: std::io::Error| AccessError::Address {
                        server: without_user(url),
                        why: error.to_string(),
                    })
            })
            .collect();
        match parsed {
            Ok(addresses) if addresses.is_empty() => Err(AccessError::NoServer),
            parsed => parsed,
        }
    }

    /// How the client is to connect: as whom, with which certificates, and how
    /// patient it is. It mends a lost connection by itself.
    ///
    /// The one public signature of this crate that names the client's types:
    /// whoever speaks to the same servers about something else than the log
    /// does so in the same way.
    ///
    /// # Errors
    /// [`AccessError`] says which file is not what it should be.
    pub fn client_options(&self) -> Result<ConnectOptions, AccessError> {
        let mut options = ConnectOptions::new()
            .connection_timeout(ANSWER_WAIT)
            .request_timeout(Some(ANSWER_WAIT))
            .ping_interval(PING_EVERY)
            .reconnect_delay_callback(|attempts| {
                let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
                RECONNECT_PAUSE
                    .saturating_mul(attempts.saturating_sub(1))
                    .min(RECONNECT_PAUSE_MAX)
            });
        // The client itself leaves aside who is named in a URL.
        let addresses = self.addresses()?;
        let mut users = addresses.iter();
        let user = users.find_map(|address| Some((address.username()?, address.password())));
        options = match user {
            None => options,
            Some((user, Some(password))) => {
                options.user_and_password(user.to_owned(), password.to_owned())
            }
            Some((token, None)) => options.token(token.to_owned()),
        };
        if let Some(path) = &self.credentials {
            let credentials = read_secret(path)?;
            let taken = options.credentials(&credentials);
            options = taken.map_err(|error| AccessError::Content {
                path: path.clone(),
                what: "credentials (a user's JWT and the seed of its nkey)",
                why: error.to_string(),
            })?;
        }
        if let Some(path) = &self.nkey {
            options = options.nkey(read_seed(path)?);
        }
        if let Some(path) = &self.authorities {
            holds_pem(path, "CERTIFICATE", "certificate of an authority (PEM)")?;
            options = options.add_root_certificates(path.clone());
        }
        if let Some(NatsCertificate { chain, key }) = &self.certificate {
            holds_pem(chain, "CERTIFICATE", "certificate (PEM)")?;
            holds_pem(key, "PRIVATE KEY", "private key (PEM)")?;
            options = options.add_client_certificate(chain.clone(), key.clone());
        }
        Ok(options)
    }
}

/// A URL without a user and a password.
fn without_user(url: &str) -> String {
    match url.rsplit_once('@') {
        None => url.to_owned(),
        Some((before, host)) => {
            let scheme = before.split_once("://").map(|(scheme, _)| scheme);
            scheme.map_or_else(|| host.to_owned(), |scheme| format!("{scheme}://{host}"))
        }
    }
}

/// Refuses a file in which nothing of that kind begins: the client would believe
/// nobody, or connect as nobody, and the servers' words would be no help. Of a
/// key's label the kind is the end (`RSA PRIVATE KEY`), RFC 7468.
fn holds_pem(path: &Path, kind: &str, what: &'static str) -> Result<(), AccessError> {
    let unread = |source| AccessError::File {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unread)?;
    let mut text = Vec::new();
    let mut file = file.take(PEM_BYTES_MAX);
    file.read_to_end(&mut text).map_err(unread)?;
    let text = String::from_utf8_lossy(&text);
    let mut labels = text.lines().filter_map(|line| {
        let label = line.trim_end().strip_prefix("-----BEGIN ")?;
        label.strip_suffix("-----")
    });
    if labels.any(|label| label.ends_with(kind)) {
        return Ok(());
    }
    Err(AccessError::Content {
        path: path.to_owned(),
        what,
        why: format!("no line begins one (-----BEGIN {kind}-----)"),
    })
}

fn read_secret(path: &Path) -> Result<String, AccessError> {
    let unread = |source| AccessError::File {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unread)?;
    let mut text = String::new();
    // One byte more than is taken, so that what is too long does not seem whole.
    let mut file = file.take(SECRET_BYTES_MAX + 1);
    file.read_to_string(&mut text).map_err(unread)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(AccessError::Content {
            path: path.to_owned(),
            what: "credentials",
            why: format!("it has more than {SECRET_BYTES_MAX} bytes"),
        });
    }
    Ok(text)
}

/// The seed of a user's nkey: the first line that is no comment.
fn read_seed(path: &Path) -> Result<String, AccessError> {
    let text = read_secret(path)?;
    let lines = text.lines().map(str::trim);
    let seed = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .find(|line| line.starts_with("SU"));
    seed.map(str::to_owned).ok_or_else(|| AccessError::Content {
        path: path.to_owned(),
        what: "seed of a user's nkey",
        why: "no line begins with SU".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::servers::Server;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn given_a_password_in_a_url_then_it_is_shown_nowhere() {
        let access = NatsAccess::new("nats://u:hunter2@a:4222, tls://b:4222,,c");
        assert_eq!(access.shown(), "nats://a:4222, tls://b:4222, c");
        assert!(!format!("{access:?}").contains("hunter2"));
        assert_eq!(access.addresses().unwrap().len(), 3);
    }

    #[test]
    fn given_no_server_or_none_that_could_be_one_then_it_is_said_before_anything_is_sent() {
        let refused = |servers: &str| {
            let error = NatsAccess::new(servers).client_options().unwrap_err();
            error.to_string()
        };
        assert!(refused(" , ").contains("no NATS server is named"));
        let why = refused("nats://a:4222,nats://u:hunter2@b:x");
        assert!(
            why.contains("nats://b:x") && !why.contains("hunter2"),
            "{why}"
        );
    }

    #[test]
    fn given_a_comma_in_a_password_then_it_is_refused_and_no_half_of_it_is_shown() {
        for servers in [
            "nats://u:hun,ter2@a:4222",
            "nats://u:h,un,ter2@a:4222,nats://b:4222",
            "nats://b:4222,u:hun,ter2@a:4222",
        ] {
            let access = NatsAccess::new(servers);
            let why = access.client_options().unwrap_err().to_string();
            assert!(
                why.contains("without a comma") && why.contains("a:4222"),
                "{why}"
            );
            for shown in [why, access.shown(), format!("{access:?}")] {
                assert!(!shown.contains("ter2") && !shown.contains("u:h"), "{shown}");
            }
        }
    }

    #[test]
    fn given_a_token_in_a_url_then_a_server_that_asks_for_it_lets_in() {
        let server = Server::alone("authorization { token: s3cret }");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let is_let_in = |url: &str| {
            let access = NatsAccess::new(url);
            assert!(!format!("{access:?}{}", access.shown()).contains("s3cret"));
            let (options, addresses) = (access.client_options(), access.addresses());
            let connecting = options.unwrap().connect(addresses.unwrap());
            runtime.block_on(connecting).is_ok()
        };
        let with = |token: &str| server.url().replace("nats://", &format!("nats://{token}@"));
        assert!(is_let_in(&with("s3cret")));
        assert!(!is_let_in(&with("another")));
        assert!(!is_let_in(&server.url()));
    }

    #[test]
    fn given_a_file_that_is_missing_or_holds_something_else_then_the_file_is_named() {
        let refused = |change: &dyn Fn(&mut NatsAccess)| {
            let mut access = NatsAccess::new("nats://a:4222");
            change(&mut access);
            access.client_options().unwrap_err().to_string()
        };
        let gone = PathBuf::from("gone.pem");
        let why = refused(&|access| access.authorities = Some(gone.clone()));
        assert!(why.contains("gone.pem cannot be read"), "{why}");
        let why = refused(&|access| access.credentials = Some(gone.clone()));
        assert!(why.contains("gone.pem cannot be read"), "{why}");
        let other = file("-----BEGIN SOMETHING-----\n");
        let why = refused(&|access| access.authorities = Some(other.path().to_owned()));
        assert!(
            why.contains("holds no certificate of an authority"),
            "{why}"
        );
        let certificate = file("of this node\n-----BEGIN CERTIFICATE-----\n");
        let why = refused(&|access| {
            access.certificate = Some(NatsCertificate {
                chain: certificate.path().to_owned(),
                key: certificate.path().to_owned(),
            });
        });
        assert!(why.contains("holds no private key"), "{why}");
        let why = refused(&|access| access.credentials = Some(other.path().to_owned()));
        assert!(why.contains("holds no credentials"), "{why}");
        let why = refused(&|access| access.nkey = Some(other.path().to_owned()));
        assert!(why.contains("no line begins with SU"), "{why}");
    }

    #[test]
    fn given_a_seed_behind_a_comment_then_it_is_found() {
        let seed = file("# of the node\n\n  SUABC  \n");
        assert_eq!(read_seed(seed.path()).unwrap(), "SUABC");
    }
}
