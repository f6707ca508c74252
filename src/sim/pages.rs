//! Portals without DLX over real HTTP, on loopback: pages with forms, a JSON interface, share links.
//!
//! One server shows all of them at different paths, each as the shipped recipe of its kind expects it, and
//! misbehaves on request. It counts how often credentials came, and keeps what was asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

mod forms;
mod interfaces;
mod proxy;

pub use proxy::Proxy;

/// The share that every kind of link leads to.
pub const SHARE: &str = "QX7AB3C94D2E";

/// What the SMS says; another one each time it is sent.
pub const CODES: [&str; 3] = ["481516", "234200", "108731"];

/// What is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Twist {
    #[default]
    None,
    /// An ordinary login page with status 200 in the place of everything.
    LoginPage,
    Locked,
    Expired,
    /// The form has other names than the recipe says.
    Changed,
    /// Whatever carries credentials is passed on to this address, keeping the method.
    Away(String),
    /// The form itself leads to this address.
    FormTo(String),
    /// A login is taken, then the connection is cut.
    Cut,
    /// So many downloads are still being packed.
    Packing(u32),
    /// So many downloads break in the middle.
    CutDownloads(u32),
    Down,
    /// Packing fails.
    Failed,
    /// The list of files shows this patient.
    Shows(String),
}

/// What the portal holds.
#[derive(Clone)]
pub struct Config {
    pub zip: Bytes,
    /// `YYYY-MM-DD`
    pub birth_date: String,
    pub twist: Twist,
    /// Looks at a package until it is ready.
    pub packing: u32,
}

#[derive(Default)]
struct Book {
    /// `METHOD /path` of every request.
    requests: Vec<String>,
    /// Requests that carried credentials.
    logins: u32,
    /// Wrong ones among them.
    wrong: u32,
    polls: u32,
    /// SMS sent.
    codes: usize,
    /// Sessions by cookie: how far they came.
    sessions: Vec<(String, bool)>,
}

#[derive(Clone)]
struct Shared {
    config: Arc<Mutex<Config>>,
    book: Arc<Mutex<Book>>,
}

impl Shared {
    fn config(&self) -> Config {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn twist(&self) -> Twist {
        self.config().twist
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a login and says whether it is right.
    fn login(&self, right: bool) -> bool {
        let mut book = self.book();
        book.logins = book.logins.saturating_add(1);
        if !right {
            book.wrong = book.wrong.saturating_add(1);
        }
        right
    }
}

/// A running portal. It stops when this is dropped.
pub struct Pages {
    shared: Shared,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Pages {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(config: Config) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Shared { config: Arc::new(Mutex::new(config)), book: Arc::default() };
        let stop = CancellationToken::new();
        let routes: Router =
            forms::routes(shared.clone()).merge(interfaces::routes(shared.clone()));
        let noted = shared.clone();
        let routes = routes.layer(axum::middleware::from_fn(
            move |request: axum::extract::Request, next: axum::middleware::Next| {
                let line = format!("{} {}", request.method(), request.uri().path());
                noted.book().requests.push(line);
                next.run(request)
            },
        ));
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                _ = axum::serve(listener, routes) => {}
            }
        });
        Ok(Self { shared, address, stop })
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what is wrong from now on.
    pub fn twist(&self, twist: Twist) {
        self.shared.config.lock().unwrap_or_else(PoisonError::into_inner).twist = twist;
    }

    /// `METHOD /path` of every request so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared.book().requests.clone()
    }

    /// Requests that carried credentials.
    pub fn logins(&self) -> u32 {
        self.shared.book().logins
    }

    /// SMS sent so far.
    pub fn codes(&self) -> usize {
        self.shared.book().codes
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
