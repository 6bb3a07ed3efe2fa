//! A billing service of the tests' own, over real HTTP, that does what a real one may do wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

mod authority;

pub use authority::Authority;

/// What the service does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bills {
    /// It does what is asked and says so.
    Well,
    /// It answers 503 and does nothing.
    NotNow,
    /// It answers 429 and does nothing.
    TooMany,
    /// It does what is asked and closes the connection without an answer.
    Unheard,
    /// It closes the connection and does nothing.
    Gone,
    /// It does what is asked and never answers.
    Hanging,
    /// It does what is asked and answers twice.
    Twice,
    /// It does what is asked, and the answer is not JSON.
    Garbled,
    /// It will not pay.
    Declining,
    /// It does not understand the request: 400.
    Refusing,
    /// It does what is asked, and says that it is still at it: 409.
    Busy,
    /// It does nothing, and answers with this status.
    Says(u16),
}

/// One payment: every key is good for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The operation that it was asked for.
    pub operation: String,
    /// The delivery that it was asked for.
    pub delivery: String,
    /// Its name.
    pub authorization: String,
    /// The keys that it was taken back under.
    pub voided_under: BTreeSet<String>,
}

impl Charge {
    /// It was taken back.
    #[must_use]
    pub fn is_voided(&self) -> bool {
        !self.voided_under.is_empty()
    }
}

/// A request that came in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// POST or DELETE.
    pub method: String,
    /// What its address ends with.
    pub path: String,
    /// The key that it was made under.
    pub key: String,
}

#[derive(Debug)]
struct Books {
    charges: BTreeMap<String, Charge>,
    /// What each key stands for once something was done under it.
    keys: BTreeMap<String, Asked>,
    asked: Vec<Asked>,
    hanging: usize,
    planned: VecDeque<Bills>,
    then: Bills,
}

/// The running service. Dropped, it is gone.
#[derive(Debug)]
pub struct Billing {
    url: String,
    books: Arc<Mutex<Books>>,
    serving: JoinHandle<()>,
}

impl Drop for Billing {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Bills {
    /// What it may do wrong and is good for another try.
    pub const TROUBLES: [Self; 7] = [
        Self::NotNow,
        Self::TooMany,
        Self::Unheard,
        Self::Gone,
        Self::Hanging,
        Self::Twice,
        Self::Garbled,
    ];
}

impl Billing {
    /// A service on a free port, which does what is planned with the requests to come, one after
    /// the other, and then `then` with all others.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(planned: impl IntoIterator<Item = Bills>, then: Bills) -> Self {
        Self::begin(planned.into_iter().collect(), then, None).await
    }

    /// The same over https, where this authority vouches for it.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start_over_tls(authority: &Authority, then: Bills) -> Self {
        Self::begin(VecDeque::new(), then, Some(authority.acceptor())).await
    }

    async fn begin(planned: VecDeque<Bills>, then: Bills, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port of this machine can be had");
        let address = listener.local_addr().expect("a bound port has an address");
        let books = Arc::new(Mutex::new(Books {
            charges: BTreeMap::new(),
            keys: BTreeMap::new(),
            asked: Vec::new(),
            hanging: 0,
            planned,
            then,
        }));
        let url = url(tls.is_some(), address);
        let serving = tokio::spawn(serve(listener, tls, Arc::clone(&books)));
        Self {
            url,
            books,
            serving,
        }
    }

    /// Where authorizations are asked for.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on it does this with every request.
    pub fn now(&self, then: Bills) {
        self.plan([], then);
    }

    /// From now on it does what is planned, and then `then`, as after [`start`](Self::start).
    pub fn plan(&self, planned: impl IntoIterator<Item = Bills>, then: Bills) {
        let mut books = books(&self.books);
        books.planned = planned.into_iter().collect();
        books.then = then;
    }

    /// Every payment that was ever authorized.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        books(&self.books).charges.values().cloned().collect()
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> usize {
        books(&self.books).asked.len()
    }

    /// All of them, in the order in which they came in.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        books(&self.books).asked.clone()
    }

    /// How many wait for an answer that never comes.
    #[must_use]
    pub fn hanging(&self) -> usize {
        books(&self.books).hanging
    }
}

fn books(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

fn url(is_tls: bool, address: SocketAddr) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    format!("{scheme}://{address}/authorizations")
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, books: Arc<Mutex<Books>>) {
    while let Ok((connection, _)) = listener.accept().await {
        let (tls, books) = (tls.clone(), Arc::clone(&books));
        // Ends with its connection, and that with the client or the runtime.
        tokio::spawn(async move {
            match tls {
                Some(tls) => converse(tls.accept(connection).await.ok()?, books).await,
                None => converse(connection, books).await,
            }
        });
    }
}

async fn converse(
    connection: impl AsyncRead + AsyncWrite + Unpin,
    books: Arc<Mutex<Books>>,
) -> Option<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let (asked, body) = read(&mut connection).await?;
        let (bills, status, body) = answer(&books, asked, &body);
        let text = if bills == Bills::Garbled {
            "{\"status\": \"autho".to_owned()
        } else {
            body.to_string()
        };
        let retry = if status == 503 {
            "retry-after: 1\r\n"
        } else {
            ""
        };
        let length = text.len();
        let answer = format!(
            "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\n{retry}content-length: {length}\r\n\r\n{text}"
        );
        match bills {
            Bills::Unheard | Bills::Gone => return None,
            Bills::Hanging => {
                self::books(&books).hanging += 1;
                // The client gives up and closes.
                let mut rest = Vec::new();
                let closed = connection.read_to_end(&mut rest).await;
                self::books(&books).hanging -= 1;
                closed.ok()?;
                return None;
            }
            Bills::Twice => {
                let twice = [answer.as_bytes(), answer.as_bytes()].concat();
                connection.write_all(&twice).await.ok()?;
            }
            Bills::Well
            | Bills::NotNow
            | Bills::TooMany
            | Bills::Garbled
            | Bills::Declining
            | Bills::Refusing
            | Bills::Busy
            | Bills::Says(_) => connection.write_all(answer.as_bytes()).await.ok()?,
        }
    }
}

async fn read(connection: &mut BufReader<impl AsyncRead + Unpin>) -> Option<(Asked, Vec<u8>)> {
    let mut line = String::new();
    connection.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        connection.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("idempotency-key") {
            value.trim().clone_into(&mut key);
        } else if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    let asked = Asked { method, path, key };
    Some((asked, body))
}

fn answer(shared: &Mutex<Books>, asked: Asked, order: &[u8]) -> (Bills, u16, Value) {
    let mut books = books(shared);
    books.asked.push(asked.clone());
    let bills = books.planned.pop_front().unwrap_or(books.then);
    let (status, body) = match bills {
        Bills::NotNow => (503, json!({ "error": "later" })),
        Bills::TooMany => (429, json!({ "error": "slower" })),
        Bills::Refusing => (400, json!({ "error": "what?" })),
        Bills::Says(status) => (status, json!({ "error": "no" })),
        Bills::Busy => {
            books.act(asked, order);
            (409, json!({ "error": "still at it" }))
        }
        Bills::Gone => (500, json!(null)),
        Bills::Declining if asked.method == "POST" => (
            200,
            json!({ "authorization_id": null, "status": "declined" }),
        ),
        Bills::Declining
        | Bills::Well
        | Bills::Unheard
        | Bills::Hanging
        | Bills::Twice
        | Bills::Garbled => books.act(asked, order),
    };
    (bills, status, body)
}

impl Books {
    fn act(&mut self, asked: Asked, order: &[u8]) -> (u16, Value) {
        if asked.key.is_empty() {
            return (400, json!({ "error": "an Idempotency-Key is missing" }));
        }
        let first = self.keys.entry(asked.key.clone()).or_insert(asked.clone());
        if *first != asked {
            return (422, json!({ "error": "this key is another request's" }));
        }
        if asked.method == "DELETE" {
            let name = asked.path.rsplit('/').next().unwrap_or_default();
            let mut charges = self.charges.values_mut();
            return match charges.find(|charge| charge.authorization == name) {
                Some(charge) => {
                    charge.voided_under.insert(asked.key);
                    (200, json!({ "status": "voided" }))
                }
                None => (404, json!({ "error": "unknown" })),
            };
        }
        let order: Value = serde_json::from_slice(order).unwrap_or_default();
        let named = |name: &str| {
            let text = order.get(name).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let (operation, delivery) = (named("operation_id"), named("delivery_id"));
        let authorization = format!("auth-{}", self.charges.len() + 1);
        let charge = self.charges.entry(asked.key).or_insert(Charge {
            operation: operation.clone(),
            delivery: delivery.clone(),
            authorization,
            voided_under: BTreeSet::new(),
        });
        if charge.operation != operation || charge.delivery != delivery {
            return (422, json!({ "error": "this key is another payment's" }));
        }
        let id = &charge.authorization;
        (
            200,
            json!({ "authorization_id": id, "status": "authorized" }),
        )
    }
}
