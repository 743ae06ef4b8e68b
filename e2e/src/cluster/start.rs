//! Starting a cluster and ending it, from outside.
//!
//! Only root can: namespaces of the kernel, mounts and cgroups are not for users, and a rootless kubelet is another
//! project. The caller's end of the pipe to process 1 is what keeps the cluster alive, see [`super::init`].

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use super::binaries::{components, search_path};
use super::control::Control;
use super::error::{ClusterError, Result};
use super::images;
use super::inside::Inside;
use super::layout::{Layout, PREFIX};
use super::supervise::{FAILED, READY};
use super::sweep::{place, sweep};

/// What a cluster is to be like.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Archives with images that the node has from the start.
    pub images: Vec<PathBuf>,
    /// Leave the folder with the logs when the cluster ends.
    pub keep: bool,
    /// The program that serves `init` and `supervise`: this one if it is `moorline-cluster`, or the one beside it.
    pub program: Option<PathBuf>,
}

/// A running cluster. Ends when dropped, or when this process does.
#[derive(Debug)]
pub struct Cluster {
    inside: Inside,
    holder: Child,
    pipe: Option<ChildStdin>,
    echo: Option<JoinHandle<()>>,
}

impl Cluster {
    /// Starts a cluster and waits until it is ready. `progress` is told what it waits for, and later of components that
    /// end.
    pub fn start(config: &Config, progress: impl Fn(&str) + Send + 'static) -> Result<Self> {
        let components = components()?;
        let place = place();
        sweep();
        let root = tempfile::Builder::new().prefix(PREFIX).rand_bytes(6).tempdir_in(&place);
        // From here on process 1 removes it, or the next sweep does.
        let layout = Layout::new(root.map_err(ClusterError::file(&place))?.keep());
        for folder in layout.folders() {
            fs::create_dir(&folder).map_err(ClusterError::file(&folder))?;
        }
        if config.keep {
            fs::write(layout.kept(), "").map_err(ClusterError::file(&layout.kept()))?;
        }

        let mut command = Command::new("unshare");
        command.args(["--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "--"]);
        command.arg(program(config)?).arg("init").arg("--state").arg(layout.root());
        command.arg("--image").arg(components.join("pause.tar"));
        for image in &config.images {
            let image = image.canonicalize().map_err(ClusterError::file(image))?;
            command.arg("--image").arg(image);
        }
        command.env("PATH", search_path(&components)).env_remove("KUBECONFIG");
        // Out of the terminal's group: ctrl-c is for whoever started the cluster, who then ends it in order.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().map_err(|error| ClusterError::MakeNamespaces(error.to_string()))?;
        let inside = Inside::of_holder(layout, holder.id(), components);
        let (pipe, lines) = (holder.stdin.take(), holder.stdout.take());
        let mut cluster = Self { inside, holder, pipe, echo: None };
        let Some(lines) = lines else { return Err(ClusterError::MakeNamespaces("no standard output".to_owned())) };
        cluster.wait(lines, progress)?;
        cluster.inside.save()?;
        Ok(cluster)
    }

    fn wait(&mut self, lines: ChildStdout, progress: impl Fn(&str) + Send + 'static) -> Result<()> {
        let mut lines = BufReader::new(lines).lines().map_while(std::result::Result::ok);
        for line in &mut lines {
            if line == READY {
                self.echo = Some(std::thread::spawn(move || lines.for_each(|line| progress(&line))));
                return Ok(());
            }
            if let Some(why) = line.strip_prefix(FAILED) {
                let why = why.replace('\u{b}', "\n");
                return Err(ClusterError::BecomeReady { what: "the cluster".to_owned(), why });
            }
            progress(&line);
        }
        Err(ClusterError::MakeNamespaces("process 1 ended".to_owned()))
    }

    /// The way in.
    pub fn inside(&self) -> &Inside {
        &self.inside
    }

    /// A command that will run inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.inside.command(program)
    }

    /// A thread that ends when the cluster does, for whoever wants to know that it ended by itself.
    pub fn end(&mut self) -> Option<JoinHandle<()>> {
        self.echo.take()
    }

    /// Stops and starts its parts.
    pub fn control(&self) -> Control {
        Control::new(self.inside.layout().clone())
    }

    /// Loads an image from an archive.
    pub fn load(&self, archive: &Path) -> Result<()> {
        images::load(&self.inside, archive)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Process 1 sees the end of its input, ends everything and cleans up.
        self.pipe = None;
        let _ = self.holder.wait();
        if let Some(echo) = self.echo.take() {
            let _ = echo.join();
        }
    }
}

/// `moorline-cluster`, from itself or from a test that was built together with it.
fn program(config: &Config) -> Result<PathBuf> {
    if let Some(program) = &config.program {
        return Ok(program.clone());
    }
    let failed = |why: String| ClusterError::MakeNamespaces(why);
    let this = env::current_exe().map_err(|error| failed(error.to_string()))?;
    let names = this.ancestors().skip(1).take(2).map(|folder| folder.join("moorline-cluster"));
    let found = names.into_iter().find(|program| program.exists());
    found.ok_or_else(|| failed("moorline-cluster is not built: run `cargo build -p moorline-e2e`".to_owned()))
}
