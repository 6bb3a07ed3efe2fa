//! What lies between a program and a server, and can be cut.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How much is passed on at once, bytes.
const CHUNK: usize = 64 * 1024;

/// A line to a server on this machine. Dropped, it is cut for good.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<Line>>,
    accepting: AbortHandle,
}

/// What the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    state: State,
    /// How often it was cut: a connection ends at the next one, however soon it is open again.
    cuts: u64,
}

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is passed on.
    Open,
    /// It is kept, and nobody is told.
    Held,
    /// Connections are closed, and new ones as soon as they are made.
    Cut,
}

impl Proxy {
    /// A line to a port of 127.0.0.1, on a port of its own.
    ///
    /// # Panics
    /// When no port is left.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a port is left");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(watch::Sender::new(Line {
            state: State::Open,
            cuts: 0,
        }));
        let accepting = tokio::spawn(accept(listener, port, Arc::clone(&state)));
        Self {
            address,
            state,
            accepting: accepting.abort_handle(),
        }
    }

    /// Where it begins.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes its connections, and every new one, until [`Proxy::open`].
    pub fn cut(&self) {
        self.state.send_modify(|line| {
            line.state = State::Cut;
            line.cuts += 1;
        });
    }

    /// Passes nothing on any more, and says so to nobody, until [`Proxy::open`].
    pub fn hold(&self) {
        self.state.send_modify(|line| line.state = State::Held);
    }

    /// Passes on what comes, and what was held.
    pub fn open(&self) {
        self.state.send_modify(|line| line.state = State::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, port: u16, state: Arc<watch::Sender<Line>>) {
    while let Ok((near, _)) = listener.accept().await {
        let Line { state: now, cuts } = *state.borrow();
        if now == State::Cut {
            continue;
        }
        let state = state.subscribe();
        tokio::spawn(async move {
            // Whoever connects to a server that is down is told so by a connection that closes.
            if let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await {
                join(near, far, state, cuts).await;
            }
        });
    }
}

async fn join(near: TcpStream, far: TcpStream, state: watch::Receiver<Line>, cuts: u64) {
    let mut cut = state.clone();
    let (near_reads, near_writes) = near.into_split();
    let (far_reads, far_writes) = far.into_split();
    tokio::select! {
        () = pass_on(near_reads, far_writes, state.clone()) => {}
        () = pass_on(far_reads, near_writes, state) => {}
        _ = cut.wait_for(|line| line.cuts != cuts) => {}
    }
}

/// Until either side ends.
async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<Line>,
) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let Ok(length @ 1..) = from.read(&mut chunk).await else {
            return;
        };
        let is_held = |line: &Line| line.state == State::Held;
        if state.wait_for(|line| !is_held(line)).await.is_err() {
            return;
        }
        let read = chunk.get(..length).unwrap_or_default();
        if to.write_all(read).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    //! That a cut is one, however short.

    use super::*;

    #[tokio::test]
    async fn a_line_that_is_open_again_at_once_was_cut() {
        let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let line = Proxy::to(server.local_addr().unwrap().port()).await;
        for _ in 0..100 {
            let mut near = TcpStream::connect(line.address()).await.unwrap();
            let (mut far, _) = server.accept().await.unwrap();
            near.write_all(b"!").await.unwrap();
            assert_eq!(far.read_u8().await.unwrap(), b'!');
            line.cut();
            line.open();
            assert_eq!(near.read(&mut [0]).await.unwrap_or(0), 0, "it is open");
        }
    }
}
