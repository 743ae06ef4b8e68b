//! SRV queries to the cluster's DNS, which alone know the ports of a headless Service's replicas.
//!
//! The operating system's resolver looks up hosts only. Of the libraries, hickory-resolver brings forty crates for a
//! cache and protocols that are not needed here; `domain` brings the messages, `resolv.conf` and an exchange over UDP in
//! three. Its own stub resolver is not used: it spawns tasks that nobody could await, and its patience is longer than a
//! call. An answer that was cut because it is too long names enough replicas, so TCP is not spoken.
//!
//! Invariant: a lookup ends, with an answer or without, within [`PATIENCE`] times the names and servers tried twice;
//! callers set a deadline that is shorter.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use domain::base::iana::Rcode;
use domain::base::name::Name;
use domain::base::{Message, MessageBuilder, Rtype};
use domain::net::client::dgram;
use domain::net::client::protocol::UdpConnect;
use domain::net::client::request::{RequestMessage, SendRequest as _};
use domain::rdata::{A, Aaaa, Srv};
use domain::resolv::stub::conf::ResolvConf;

/// How long one server may take. The cluster's DNS answers within milliseconds; a packet is lost now and then.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often each server is asked.
const ROUNDS: usize = 2;

type DnsName = Name<Vec<u8>>;

/// Which name servers are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NameServers {
    /// Those of the system, `/etc/resolv.conf`.
    #[default]
    System,
    /// These, with the names that short ones are completed by.
    At(Vec<SocketAddr>, Vec<String>),
}

/// Asks name servers.
#[derive(Debug)]
pub(crate) struct Resolver {
    servers: NameServers,
    /// Read when first asked: most pods never are.
    conf: OnceLock<Conf>,
}

#[derive(Debug)]
struct Conf {
    servers: Vec<SocketAddr>,
    search: Vec<DnsName>,
    dots: usize,
}

impl Resolver {
    /// A resolver that asks these.
    pub(crate) fn new(servers: NameServers) -> Self {
        Self { servers, conf: OnceLock::new() }
    }

    /// The addresses and ports of an SRV name; none is an answer too. Weights and priorities are not looked at: those
    /// of a cluster's Services are all the same.
    pub(crate) async fn srv(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let conf = self.conf.get_or_init(|| Conf::of(&self.servers));
        for name in conf.candidates(name)? {
            let answer = conf.query(&name, Rtype::SRV).await?;
            let (targets, mut addresses) = targets(&answer).map_err(io::Error::other)?;
            if targets.is_empty() {
                continue;
            }
            let mut found = Vec::new();
            for (target, port) in targets {
                let known = match addresses.remove(&target) {
                    Some(known) => known,
                    None => conf.hosts(&target).await?,
                };
                found.extend(known.into_iter().map(|ip| SocketAddr::new(ip, port)));
            }
            return Ok(found);
        }
        Ok(Vec::new())
    }
}

impl Conf {
    fn of(servers: &NameServers) -> Self {
        match servers {
            // A file that is missing or cannot be read counts as an empty one, as it does for the C library.
            NameServers::System => {
                let conf = ResolvConf::default();
                Self {
                    servers: conf.servers.iter().map(|server| server.addr).collect(),
                    search: conf.options.search.as_slice().iter().map(vec_name).collect(),
                    dots: conf.options.ndots,
                }
            }
            NameServers::At(servers, search) => Self {
                servers: servers.clone(),
                search: search.iter().filter_map(|name| DnsName::from_str(name).ok()).collect(),
                dots: 5,
            },
        }
    }

    /// The names that a name may stand for, in the order in which they are tried: one with many dots first as it is.
    fn candidates(&self, name: &str) -> io::Result<Vec<DnsName>> {
        let parse = |name: &str| {
            DnsName::from_str(name).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "is no name of DNS"))
        };
        let whole = parse(name)?;
        if name.ends_with('.') {
            return Ok(vec![whole]);
        }
        let completed = self.search.iter().filter(|suffix| !suffix.is_root()).filter_map(|suffix| {
            // One that is too long with its suffix cannot be meant.
            parse(&format!("{name}.{suffix}")).ok()
        });
        let mut candidates: Vec<DnsName> = completed.collect();
        let at = if name.matches('.').count() >= self.dots { 0 } else { candidates.len() };
        candidates.insert(at, whole);
        Ok(candidates)
    }

    async fn hosts(&self, name: &DnsName) -> io::Result<Vec<IpAddr>> {
        let mut found = Vec::new();
        for rtype in [Rtype::A, Rtype::AAAA] {
            let answer = self.query(name, rtype).await?;
            let records = answer.answer().map_err(io::Error::other)?;
            found.extend(records.filter_map(Result::ok).filter_map(|record| address(&record)));
        }
        Ok(found)
    }

    /// The answer of the first server that has one.
    async fn query(&self, name: &DnsName, rtype: Rtype) -> io::Result<Message<Bytes>> {
        let mut config = dgram::Config::new();
        config.set_read_timeout(PATIENCE);
        config.set_max_retries(0);
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "no name server is known");
        for server in std::iter::repeat_n(&self.servers, ROUNDS).flatten() {
            let mut builder = MessageBuilder::new_vec();
            builder.header_mut().set_rd(true);
            let mut question = builder.question();
            question.push((name, rtype)).map_err(io::Error::other)?;
            let request = RequestMessage::new(question.into_message()).map_err(|error| other(&error))?;
            let connection = dgram::Connection::with_config(UdpConnect::new(*server), config.clone());
            match connection.send_request(request).get_response().await {
                // That there is no such name is an answer.
                Ok(answer) if matches!(answer.header().rcode(), Rcode::NOERROR | Rcode::NXDOMAIN) => return Ok(answer),
                Ok(answer) => failure = other(&answer.header().rcode()),
                Err(error) => failure = io::Error::new(io::ErrorKind::TimedOut, error.to_string()),
            }
        }
        Err(failure)
    }
}

/// The targets of an SRV answer with their ports, and the addresses it has for them.
#[allow(clippy::type_complexity)] // two lists, used where they are made
fn targets(
    answer: &Message<Bytes>,
) -> Result<(Vec<(DnsName, u16)>, HashMap<DnsName, Vec<IpAddr>>), domain::base::wire::ParseError> {
    let records = answer.answer()?.limit_to_in::<Srv<_>>().filter_map(Result::ok);
    let targets = records.map(|record| (vec_name(record.data().target()), record.data().port())).collect();
    let mut addresses: HashMap<DnsName, Vec<IpAddr>> = HashMap::new();
    for record in answer.additional()?.filter_map(Result::ok) {
        if let Some(ip) = address(&record) {
            addresses.entry(vec_name(&record.owner())).or_default().push(ip);
        }
    }
    Ok((targets, addresses))
}

fn address(record: &domain::base::record::ParsedRecord<'_, Bytes>) -> Option<IpAddr> {
    if let Ok(Some(record)) = record.to_record::<A>() {
        return Some(record.data().addr().into());
    }
    record.to_record::<Aaaa>().ok().flatten().map(|record| record.data().addr().into())
}

fn vec_name(name: &impl domain::base::ToName) -> DnsName {
    // Lower case, so that answers that spell a name differently find each other.
    let mut name = name.to_name::<Vec<u8>>();
    name.make_canonical();
    name
}

fn other(error: &impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}
