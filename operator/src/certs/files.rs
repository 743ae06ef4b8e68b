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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use std::os::unix::fs::symlink;

    use super::super::testing::Made;
    use super::*;

    /// As the kubelet mounts a Secret: the files are links through `..data`, which is a link that is replaced.
    struct Mounted(tempfile::TempDir);

    impl Mounted {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            for name in [CERTIFICATE, KEY] {
                symlink(Path::new("..data").join(name), directory.path().join(name)).unwrap();
            }
            Self(directory)
        }

        fn hold(&self, version: &str, certificate: &[u8], key: &[u8]) {
            let folder = self.0.path().join(version);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join(CERTIFICATE), certificate).unwrap();
            std::fs::write(folder.join(KEY), key).unwrap();
            let next = self.0.path().join("..next");
            symlink(version, &next).unwrap();
            std::fs::rename(next, self.0.path().join("..data")).unwrap();
        }

        async fn load(&self) -> Result<Arc<Leaf>, CertificateError> {
            load(self.0.path().to_owned()).await
        }
    }

    #[tokio::test]
    async fn a_mounted_certificate_is_read_again_after_the_kubelet_has_swapped_it() {
        let (mounted, served) = (Mounted::new(), Served::default());
        assert_eq!(mounted.load().await.unwrap_err().reason(), "ReadFile");
        let (first, second) = (Made::pems(), Made::pems());
        mounted.hold("..1", first.0.as_bytes(), first.1.as_bytes());
        assert!(served.present(&mounted.load().await.unwrap()));
        assert!(!served.present(&mounted.load().await.unwrap()), "nothing has changed");
        mounted.hold("..2", second.0.as_bytes(), second.1.as_bytes());
        assert!(served.present(&mounted.load().await.unwrap()));
    }

    #[tokio::test]
    async fn a_certificate_with_the_key_of_another_is_not_used() {
        let mounted = Mounted::new();
        let (first, second) = (Made::pems(), Made::pems());
        mounted.hold("..1", first.0.as_bytes(), second.1.as_bytes());
        assert_eq!(mounted.load().await.unwrap_err().reason(), "MatchKey");
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_named_without_the_key() {
        let mounted = Mounted::new();
        let (certificate, _) = Made::pems();
        mounted.hold(
            "..1",
            certificate.as_bytes(),
            b"-----BEGIN PRIVATE KEY-----\nsecret!\n-----END PRIVATE KEY-----\n",
        );
        let error = mounted.load().await.unwrap_err();
        assert_eq!(error.reason(), "ReadKey");
        assert!(!error.to_string().contains("secret"));
        mounted.hold("..2", b"", b"");
        assert_eq!(mounted.load().await.unwrap_err().reason(), "ReadCertificate");
    }

    #[tokio::test]
    async fn the_task_presents_what_it_finds_and_ends_when_told() {
        let mounted = Mounted::new();
        let (certificate, key) = Made::pems();
        mounted.hold("..1", certificate.as_bytes(), key.as_bytes());
        let (served, shutdown) = (Served::new(), CancellationToken::new());
        let files = Files { directory: mounted.0.path().to_owned() };
        let run = files.run(Arc::clone(&served), Metrics::default(), shutdown.clone());
        let stop = async {
            while !served.is_present() {
                tokio::task::yield_now().await;
            }
            shutdown.cancel();
        };
        tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(run, stop) }).await.unwrap();
    }
}
