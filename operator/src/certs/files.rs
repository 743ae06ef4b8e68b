//! Certificates from files: cert-manager's, or your own.
//!
//! Read again and again, not watched: the kubelet replaces a mounted Secret by swapping a link of the directory, which
//! a watch on the files does not see, and ten seconds do not matter to a certificate renewed days before its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::error::CertificateError;
use super::keeper::tell;
use super::metrics::Metrics;
use super::served::Served;
use super::stored::{CERTIFICATE, KEY, Leaf};

const POLL: Duration = Duration::from_secs(10);
/// How often as long as there is nothing to present.
const FIRST_POLL: Duration = Duration::from_secs(1);

/// A directory with `tls.crt` and `tls.key`.
pub struct Files {
    /// The directory.
    pub directory: PathBuf,
}

impl Files {
    /// Presents what the files hold, until `shutdown`. Files that cannot be used leave the certificate before in place.
    pub async fn run(self, served: Arc<Served>, metrics: Metrics, shutdown: CancellationToken) {
        let mut failing = None;
        loop {
            let result = load(self.directory.clone()).await.map(|leaf| {
                if served.present(&leaf) {
                    tracing::info!(names = leaf.names.join(","), until = %leaf.valid.until, "presenting a certificate");
                }
                metrics.serving_until(leaf.valid.until);
            });
            tell(&metrics, &mut failing, result);
            let pause = if served.is_present() { POLL } else { FIRST_POLL };
            tokio::select! {
                () = sleep(pause) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }
}

async fn load(directory: PathBuf) -> Result<Arc<Leaf>, CertificateError> {
    let path = directory.display().to_string();
    // A volume can be slow, and a worker of the runtime is not to wait for it.
    let read = tokio::task::spawn_blocking(move || {
        let (certificate, key) = (read(&directory, CERTIFICATE)?, read(&directory, KEY)?);
        // Between the two the link may have been swapped. Then they do not match, and the next round has both.
        Leaf::read(&certificate, &key).map(Arc::new)
    });
    read.await.unwrap_or_else(|error| {
        Err(CertificateError::ReadFile { path, source: std::io::Error::other(error.to_string()) })
    })
}

fn read(directory: &Path, name: &str) -> Result<Vec<u8>, CertificateError> {
    let path = directory.join(name);
    std::fs::read(&path).map_err(|source| CertificateError::ReadFile { path: path.display().to_string(), source })
}
