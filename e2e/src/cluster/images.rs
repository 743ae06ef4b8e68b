//! Images without a registry: built from static binaries, loaded into the node.
//!
//! `buildah` packs (it needs no daemon), containerd takes the archive. A pod names the image with `imagePullPolicy:
//! Never`, so that a missing one fails at once instead of asking a registry that cannot be reached.

use std::path::Path;
use std::process::Command;

use super::error::{ClusterError, Result};
use super::host::run;
use super::inside::Inside;
use super::layout::SNAPSHOTTER;

/// Compiles one source file without dependencies to a static program. By `rustc` alone: `cargo` would build the whole
/// crate a second time for the sake of one flag.
pub fn compile(source: &Path, program: &Path) -> Result<()> {
    let (source, program) = (source.to_string_lossy(), program.to_string_lossy());
    let flags = ["--edition=2024", "-Copt-level=s", "-Cstrip=symbols", "-Ctarget-feature=+crt-static", "-o", &program];
    run("rustc", &[&flags[..], &[&source]].concat()).map(drop)
}

/// Packs one static program as `/NAME` of an otherwise empty image that runs as a user without rights.
pub fn pack(image: &str, program: &Path, archive: &Path) -> Result<()> {
    let folder = tempfile::tempdir().map_err(ClusterError::file(Path::new("a temporary folder")))?;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let copy = folder.path().join(&*name);
    std::fs::copy(program, &copy).map_err(ClusterError::file(program))?;
    let recipe = folder.path().join("Containerfile");
    let text = format!("FROM scratch\nCOPY {name} /{name}\nUSER 65532:65532\nENTRYPOINT [\"/{name}\"]\n");
    std::fs::write(&recipe, text).map_err(ClusterError::file(&recipe))?;

    // A store of its own: nothing to clean up, and no lock shared with another build.
    let store = folder.path().join("store");
    let (root, run_root) = (store.join("root"), store.join("run"));
    let (root, run_root) = (root.to_string_lossy(), run_root.to_string_lossy());
    let buildah = |arguments: &[&str]| {
        let common = ["--root", &root, "--runroot", &run_root, "--storage-driver", "vfs"];
        run("buildah", &[&common[..], arguments].concat())
    };
    buildah(&["build", "--quiet", "--isolation", "chroot", "--tag", image, &folder.path().to_string_lossy()])?;
    let target = format!("docker-archive:{}:{image}", archive.display());
    buildah(&["push", "--quiet", image, &target]).map(drop)
}

/// Loads an archive into the node of a cluster.
pub fn load(inside: &Inside, archive: &Path) -> Result<()> {
    let archive = archive.canonicalize().map_err(ClusterError::file(archive))?;
    import(&mut inside.command("ctr"), &archive)
}

/// Ends the command line of a `ctr` that has the socket in its environment, and runs it.
pub(super) fn import(ctr: &mut Command, archive: &Path) -> Result<()> {
    let failed =
        |output| ClusterError::RunCommand { command: format!("ctr images import {}", archive.display()), output };
    ctr.args(["images", "import", "--snapshotter", SNAPSHOTTER]).arg(archive);
    let output = ctr.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
