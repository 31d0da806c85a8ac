//! A name server on loopback, in the test's own process: honest, or wrong in one of the ways that occur.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, NAPTR, SOA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// What it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Manner {
    /// What its records say.
    #[default]
    Honest,
    /// Nothing.
    Silent,
    /// Nothing about AAAA.
    SilentAboutIpv6,
    /// That it failed.
    Failing,
    /// What its records say, under another number than that of the question.
    OtherId,
    /// To another question than was asked.
    OtherQuestion,
    /// Bytes that are no message.
    Garbage,
    /// Half of the message.
    CutShort,
    /// For every name, that it is another name of another.
    EndlessAliases,
}

/// Its records, with the time to live of all of them.
#[derive(Clone, Default)]
pub(crate) struct Records {
    list: Vec<(Name, RData)>,
    /// How long they are valid, and how long it is that there are none.
    pub(crate) ttl: u32,
    pub(crate) manner: Manner,
}

impl Records {
    pub(crate) fn new() -> Self {
        Self { ttl: 300, ..Self::default() }
    }

    fn with(mut self, owner: &str, data: RData) -> Self {
        self.list.push((name(owner), data));
        self
    }

    pub(crate) fn naptr(
        self,
        owner: &str,
        of: (u16, u16),
        service: &str,
        replacement: &str,
    ) -> Self {
        self.naptr_with(owner, of, ["s", service, ""], replacement)
    }

    /// With flags, service and regular expression.
    pub(crate) fn naptr_with(
        self,
        owner: &str,
        (order, preference): (u16, u16),
        texts: [&str; 3],
        replacement: &str,
    ) -> Self {
        let [flags, service, regexp] = texts.map(|text| text.as_bytes().into());
        let record = NAPTR::new(order, preference, flags, service, regexp, name(replacement));
        self.with(owner, RData::NAPTR(record))
    }

    pub(crate) fn srv(
        self,
        owner: &str,
        (priority, weight, port): (u16, u16, u16),
        host: &str,
    ) -> Self {
        self.with(owner, RData::SRV(SRV::new(priority, weight, port, name(host))))
    }

    pub(crate) fn host(self, owner: &str, address: &str) -> Self {
        let data = match address.parse().unwrap() {
            std::net::IpAddr::V4(ip) => RData::A(A(ip)),
            std::net::IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
        };
        self.with(owner, data)
    }

    pub(crate) fn alias(self, owner: &str, of: &str) -> Self {
        self.with(owner, RData::CNAME(CNAME(name(of))))
    }

    pub(crate) fn manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    pub(crate) fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = seconds;
        self
    }

    /// The answer as a server gives it that asks others for its clients: aliases followed.
    fn answer(&self, query: &Message) -> Option<Vec<u8>> {
        let question = query.queries.first()?.clone();
        let id = query.metadata.id;
        let mut message = Message::response(id, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.metadata.recursion_available = true;
        message.add_query(question.clone());
        let kind = question.query_type();
        let mut wanted = question.name().clone();
        let mut seen = BTreeSet::new();
        while seen.insert(wanted.clone()) {
            let of_name = || self.list.iter().filter(|(owner, _)| *owner == wanted);
            for (owner, data) in of_name().filter(|(_, data)| data.record_type() == kind) {
                message.add_answer(Record::from_rdata(owner.clone(), self.ttl, data.clone()));
            }
            let alias = of_name().find_map(|(_, data)| match data {
                RData::CNAME(CNAME(target)) => Some(target.clone()),
                _ => None,
            });
            let Some(alias) = alias else { break };
            let data = RData::CNAME(CNAME(alias.clone()));
            message.add_answer(Record::from_rdata(wanted, self.ttl, data));
            wanted = alias;
        }
        match self.manner {
            Manner::Silent => return None,
            Manner::SilentAboutIpv6 if kind == RecordType::AAAA => return None,
            Manner::Failing => message.metadata.response_code = ResponseCode::ServFail,
            Manner::OtherId => message.metadata.id = id.wrapping_add(1),
            Manner::OtherQuestion => {
                message.queries[0].set_name(name("other.example"));
            }
            Manner::Garbage => return Some(b"SIP/2.0 200 OK\r\n\r\n".to_vec()),
            Manner::EndlessAliases => {
                let alias = format!("a{id}.example");
                let data = RData::CNAME(CNAME(name(&alias)));
                message.answers.clear();
                message.add_answer(Record::from_rdata(question.name().clone(), self.ttl, data));
            }
            Manner::Honest | Manner::SilentAboutIpv6 | Manner::CutShort => {
                self.say_nothing(&mut message, &wanted);
            }
        }
        let bytes = message.to_vec().unwrap();
        let half = bytes.len() / 2;
        Some(if self.manner == Manner::CutShort { bytes[..half].to_vec() } else { bytes })
    }

    /// Where there is no record: whether there is the name, and for how long that is so.
    fn say_nothing(&self, message: &mut Message, wanted: &Name) {
        if !message.answers.is_empty() {
            return;
        }
        if !self.list.iter().any(|(owner, _)| wanted.zone_of(owner)) {
            message.metadata.response_code = ResponseCode::NXDomain;
        }
        let soa = SOA::new(name("ns.example"), name("admin.example"), 1, 60, 60, 60, self.ttl);
        message.add_authority(Record::from_rdata(wanted.base_name(), self.ttl, RData::SOA(soa)));
    }
}

pub(crate) fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

/// What fits into a datagram.
const DATAGRAM: usize = 1_232;

/// A name server that ends with the test.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    records: Arc<Mutex<Records>>,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(records: Records) -> Self {
        let (udp, tcp) = sockets().await;
        let addr = udp.local_addr().unwrap();
        let (records, asked) = (Arc::new(Mutex::new(records)), Arc::default());
        let mut tasks = JoinSet::new();
        let desk = Desk { records: Arc::clone(&records), asked: Arc::clone(&asked) };
        tasks.spawn(desk.clone().datagrams(udp));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = tcp.accept().await {
                connections.spawn(desk.clone().stream(stream));
            }
        });
        Self { addr, records, asked, _tasks: tasks }
    }

    /// From now on these.
    pub(crate) fn set(&self, records: Records) {
        *self.records.lock().unwrap() = records;
    }

    /// What was asked since this was called last, each once, sorted: `A example.com.`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked.dedup();
        asked
    }

    /// How many questions came since this was called last.
    pub(crate) fn count(&self) -> usize {
        std::mem::take(&mut *self.asked.lock().unwrap()).len()
    }
}

/// The same port for datagrams and streams.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

#[derive(Clone)]
struct Desk {
    records: Arc<Mutex<Records>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Desk {
    async fn datagrams(self, socket: UdpSocket) {
        let mut buffer = [0; 4_096];
        loop {
            let Ok((len, from)) = socket.recv_from(&mut buffer).await else { continue };
            let Some(mut answer) = self.answer(&buffer[..len]) else { continue };
            if answer.len() > DATAGRAM
                && let Ok(message) = Message::from_vec(&answer)
            {
                answer = message.truncate().to_vec().unwrap();
            }
            // Whoever asked may be gone.
            let _ = socket.send_to(&answer, from).await;
        }
    }

    async fn stream(self, mut stream: TcpStream) {
        let limit = Duration::from_secs(60);
        // Until the far end closes.
        while let Ok(Ok(len)) = tokio::time::timeout(limit, stream.read_u16()).await {
            let mut query = vec![0; usize::from(len)];
            if stream.read_exact(&mut query).await.is_err() {
                return;
            }
            let Some(answer) = self.answer(&query) else { continue };
            let len = u16::try_from(answer.len()).unwrap();
            let framed = [&len.to_be_bytes()[..], &answer].concat();
            if stream.write_all(&framed).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).unwrap();
        let question = query.queries.first().unwrap();
        let words = format!("{} {}", question.query_type(), question.name());
        self.asked.lock().unwrap().push(words);
        self.records.lock().unwrap().answer(&query)
    }
}
