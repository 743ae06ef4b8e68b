//! Speaking first: an HTTP request to the address that came with every call, in `Moorline-Callback-Url`.
//!
//! Any HTTP client does. Here it is hyper's, one connection per push, because the service has hyper anyway.

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;

/// The address of the callback API, in the pod of this replica.
#[derive(Debug)]
pub(crate) struct Callback(Mutex<String>);

/// Any error; who pushes can do nothing about it but say so.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

impl Default for Callback {
    fn default() -> Self {
        Self(Mutex::new("http://127.0.0.1:8801".to_owned()))
    }
}

impl Callback {
    /// Remembers what a call said.
    pub(crate) fn is(&self, url: String) {
        *self.0.lock() = url;
    }

    /// Sends JSON to everyone of a group, and gives what the callback API answers: `{"reached":3}`.
    pub(crate) async fn publish(&self, group: &str, json: String) -> Result<String, Error> {
        let base = self.0.lock().clone();
        let url: Uri = format!("{base}/@groups/{group}").parse()?;
        let authority = url.authority().ok_or("no host")?.as_str().to_owned();
        let stream = TcpStream::connect(&authority).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::post(url.path())
            .header(header::HOST, &authority)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(json)))?;
        let exchange = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            drop(sender);
            if status.is_success() {
                Ok(String::from_utf8(body.to_vec())?)
            } else {
                Err(Error::from(format!("{url} answered {status}")))
            }
        };
        // Joined and not raced: a connection that ends right after the answer must not take the answer with it.
        tokio::join!(exchange, connection).0
    }
}
