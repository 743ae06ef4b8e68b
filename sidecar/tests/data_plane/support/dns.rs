//! A name server that knows one SRV name, written byte by byte (RFC 1035, RFC 2782).

use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

const A: u16 = 1;
const SRV: u16 = 33;

/// The running name server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl NameServer {
    /// Knows these replicas under this name, and says their addresses along with their names.
    pub(crate) async fn start(name: &str, replicas: Vec<SocketAddr>) -> Self {
        Self::with(name, replicas, true).await
    }

    /// As [`NameServer::start`]; without `along` the addresses have to be asked for.
    pub(crate) async fn with(name: &str, replicas: Vec<SocketAddr>, along: bool) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("a bound address");
        let name = name.to_owned();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut query = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut query).await {
                let _ = socket.send_to(&answer(&query[..length], &name, &replicas, along), peer).await;
            }
        });
        Self { address, _tasks: tasks }
    }
}

fn answer(query: &[u8], name: &str, replicas: &[SocketAddr], along: bool) -> Vec<u8> {
    let (asked, end) = read_name(query, 12);
    let rtype = u16::from_be_bytes([query[end], query[end + 1]]);
    let (mut answers, mut additional) = (Vec::new(), Vec::new());
    let replica = |number: usize| format!("Replica-{number}.test");
    if asked == name && rtype == SRV {
        for (number, address) in replicas.iter().enumerate() {
            let target = labels(&replica(number));
            let mut data = [0, 0, 0, 0].to_vec();
            data.extend(address.port().to_be_bytes());
            data.extend(&target);
            answers.push(record(&[0xc0, 12], SRV, &data));
            if along {
                additional.push(record(&target, A, &octets(address.ip())));
            }
        }
    }
    for (number, address) in replicas.iter().enumerate() {
        if asked.eq_ignore_ascii_case(&replica(number)) && rtype == A {
            answers.push(record(&[0xc0, 12], A, &octets(address.ip())));
        }
    }
    let known = asked == name || asked.starts_with("replica-");
    let counts = [1, answers.len(), 0, additional.len()].map(|count| u16::try_from(count).expect("few records"));
    let mut message = query[..2].to_vec();
    message.extend([0x81, if known { 0x80 } else { 0x83 }]);
    message.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    message.extend(&query[12..end + 4]);
    message.extend(answers.concat());
    message.extend(additional.concat());
    message
}

/// A name in lower case, and where it ends.
fn read_name(message: &[u8], mut at: usize) -> (String, usize) {
    let mut labels = Vec::new();
    while message[at] > 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    (labels.join("."), at + 1)
}

fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn record(owner: &[u8], rtype: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend(rtype.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 5]);
    bytes.extend(u16::try_from(data.len()).expect("short data").to_be_bytes());
    bytes.extend(data);
    bytes
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(_) => panic!("only IPv4 is answered"),
    }
}
