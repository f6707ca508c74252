//! The HL7 door: listens for orders and patients over MLLP, answers each message.
//!
//! Owns the acceptor's side of MLLP. Invariants: what is acknowledged with AA is durable; a sender that is not
//! configured is turned away before a word of it is read, and every message that can be answered is answered, with
//! a sentence that names the field at fault. The log has verdicts and places, never content.

mod section;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub use section::{Hl7Section, ListenerSection};

use crate::clock::Clock;
use crate::dimse::{self, Slot, Waiting};
use crate::hl7::{self, Code, Fault, Frame, Head, Link, Message, Patience, Verdict};
use crate::metrics::{Kind, Metrics, Value};
use crate::tls;
use crate::worklist::hl7::Book;

/// Interface engines keep one connection a feed; a site has a handful. One more ends the one that was silent for
/// longest, for senders that lost theirs without a word open another.
const CONNECTIONS: usize = 32;

/// Those that end beside those that are served.
const ENDING: usize = 32;

/// How long a message under way is waited for when the gateway stops.
const GRACE: Duration = Duration::from_secs(10);

/// What all listeners share.
pub struct Door {
    book: Arc<Book>,
    clock: Clock,
    zone: jiff::tz::TimeZone,
    patience: Patience,
    counted: Counted,
}

/// Messages by the answer that they got.
struct Counted {
    accepted: Value,
    erroneous: Value,
    rejected: Value,
}

impl Counted {
    fn new(metrics: &Metrics) -> Self {
        let count = |verdict: Verdict| {
            let label = Some(("verdict", verdict.as_str()));
            let help = "HL7 messages by the acknowledgement that they got.";
            metrics.value(Kind::Counter, "lotse_mllp_messages_total", label, help)
        };
        Self {
            accepted: count(Verdict::Accept),
            erroneous: count(Verdict::Error),
            rejected: count(Verdict::Reject),
        }
    }

    fn count(&self, verdict: Verdict) {
        match verdict {
            Verdict::Accept => self.accepted.add(1),
            Verdict::Error => self.erroneous.add(1),
            Verdict::Reject => self.rejected.add(1),
        }
    }
}

impl Door {
    pub fn new(
        book: Arc<Book>,
        clock: Clock,
        zone: jiff::tz::TimeZone,
        metrics: &Metrics,
    ) -> Arc<Self> {
        Self::with_patience(book, clock, zone, metrics, Patience::default())
    }

    /// [`Door::new`] with other deadlines, for tests.
    pub fn with_patience(
        book: Arc<Book>,
        clock: Clock,
        zone: jiff::tz::TimeZone,
        metrics: &Metrics,
        patience: Patience,
    ) -> Arc<Self> {
        Arc::new(Self { book, clock, zone, patience, counted: Counted::new(metrics) })
    }
}

/// Serves one listener until `stop`. The listener is bound already, so that its address is known and its failure
/// the caller's.
pub async fn serve(
    listener: TcpListener,
    section: ListenerSection,
    transport: tls::Transport,
    door: Arc<Door>,
    stop: CancellationToken,
) {
    let section = Arc::new(section);
    let waiting = Waiting::new(CONNECTIONS);
    let connection = |stream, from: SocketAddr| {
        let (tls, stop, section) = (transport.get(), stop.clone(), Arc::clone(&section));
        let (door, waiting) = (Arc::clone(&door), waiting.clone());
        converse(door, section, waiting, tls, stop, stream, from)
    };
    dimse::listen(listener, stop.clone(), GRACE, CONNECTIONS + ENDING, connection).await;
}

async fn converse(
    door: Arc<Door>,
    section: Arc<ListenerSection>,
    waiting: Waiting,
    tls: Option<tls::Acceptor>,
    stop: CancellationToken,
    stream: TcpStream,
    from: SocketAddr,
) {
    let address = from.ip().to_canonical();
    if !section.admits(address) {
        tracing::warn!(%address, "HL7 sender turned away; name it in hl7.listeners.senders if it may send");
        return;
    }
    let mut slot = waiting.enter(address);
    // Without it an answer waits for the delayed acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let stream: Box<dyn dimse::Stream> = match tls {
        None => Box::new(stream),
        Some(acceptor) => {
            let shaken = tokio::select! {
                shaken = acceptor.accept(stream, door.patience.frame) => shaken,
                () = slot.evicted() => return,
            };
            match shaken {
                Ok((stream, _)) => Box::new(stream),
                Err(error) => {
                    tracing::warn!(%address, "HL7 sender turned away: TLS: {error}");
                    return;
                }
            }
        }
    };
    let mut link = Link::new(stream, door.patience);
    if let Err(error) = answer_all(&mut link, &door, &section, &stop, &mut slot, address).await {
        tracing::warn!(%address, %error, "HL7 connection ended");
    }
    link.close().await;
}

async fn answer_all(
    link: &mut Link<Box<dyn dimse::Stream>>,
    door: &Arc<Door>,
    section: &ListenerSection,
    stop: &CancellationToken,
    slot: &mut Slot,
    address: IpAddr,
) -> Result<(), hl7::Error> {
    loop {
        let frame = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            frame = link.next() => frame?,
            () = slot.evicted() => {
                tracing::warn!(
                    %address, limit = CONNECTIONS,
                    "HL7 connection ended: it was silent for longest, and another one needed its place; if the sender \
                     keeps so many on purpose, have it use fewer"
                );
                return Ok(());
            }
        };
        slot.touch();
        let now = door.clock.now().timestamp().to_zoned(door.zone.clone());
        let at = now.strftime("%Y%m%d%H%M%S%z").to_string();
        match frame {
            None => return Ok(()),
            Some(Frame::Whole(bytes)) => {
                let head = Head::peek(&bytes);
                let taken = take(door, section, bytes, now.date()).await;
                let fault = match &taken {
                    Ok(Taken::Done) => None,
                    // An answer is not answered, or two engines would never stop.
                    Ok(Taken::Answer) => continue,
                    Err(fault) => Some(fault),
                };
                if let Some(fault) = fault {
                    let verdict = fault.verdict.as_str();
                    tracing::warn!(%address, verdict, %fault, "HL7 message refused");
                }
                door.counted.count(fault.map_or(Verdict::Accept, |fault| fault.verdict));
                link.send(&hl7::reply(&head, fault, &at)).await?;
            }
            Some(Frame::TooLarge(begun)) => {
                let fault = Fault::not_now("the message is larger than 1 MiB, which no order is");
                tracing::warn!(%address, %fault, "HL7 message refused");
                door.counted.count(fault.verdict);
                link.send(&hl7::reply(&Head::peek(&begun), Some(&fault), &at)).await?;
                return Ok(());
            }
        }
    }
}

enum Taken {
    Done,
    /// It was an acknowledgement itself.
    Answer,
}

async fn take(
    door: &Arc<Door>,
    section: &ListenerSection,
    bytes: Vec<u8>,
    today: jiff::civil::Date,
) -> Result<Taken, Fault> {
    let message = Message::parse(&bytes, &door.book.rules().fallback)?;
    if message.kind().0 == "ACK" {
        return Ok(Taken::Answer);
    }
    if !section.knows(&message.head.application) {
        let sentence =
            "this sending application is not configured; name it in hl7.listeners.applications";
        return Err(Fault::header(Code::UnknownKey, 3, sentence));
    }
    let book = Arc::clone(&door.book);
    let work = tokio::task::spawn_blocking(move || book.take(&bytes, &message, today));
    match work.await {
        Ok(taken) => taken.map(|()| Taken::Done),
        Err(_) => Err(Fault::not_now(
            "the message could not be worked on; look at the log of the gateway",
        )),
    }
}

impl ListenerSection {
    fn admits(&self, address: IpAddr) -> bool {
        self.senders.is_empty() || self.senders.iter().any(|ip| ip.to_canonical() == address)
    }

    fn knows(&self, application: &str) -> bool {
        self.applications.is_empty() || self.applications.iter().any(|name| name == application)
    }
}

#[cfg(test)]
mod tests;
