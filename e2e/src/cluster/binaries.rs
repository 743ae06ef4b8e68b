//! The components' programs: built by `hack/kube.sh`, found in its cache.
//!
//! The script is asked each time, since it alone knows whether what is cached fits this clone, and its answer takes a
//! tenth of a second when it does.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::error::{ClusterError, Result};
use crate::process::repository;

/// The folder with the programs and `pause.tar`. Builds them if needed, with progress on standard error.
pub fn components() -> Result<PathBuf> {
    let failed = |why: String| ClusterError::BuildComponents(why);
    let output = Command::new("bash")
        .arg(repository().join("hack/kube.sh"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let folder = printed.lines().last().ok_or_else(|| failed("it named no folder".to_owned()))?;
    Ok(PathBuf::from(folder))
}

/// The search path inside a cluster: the components first, then the caller's, then where Debian keeps `runc`.
pub(super) fn search_path(components: &std::path::Path) -> String {
    let of_caller = std::env::var("PATH").unwrap_or_default();
    format!("{}:{of_caller}:/usr/sbin:/usr/bin:/sbin:/bin", components.display())
}
