//! How a cluster ends, from outside: it starts one itself, so it is not run inside of another.

// Tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use moorline_e2e::cluster::Layout;
use moorline_e2e::process::Process;

const WITHIN: Duration = Duration::from_mins(1);

/// A cluster of the built program, and its folder.
fn up() -> (Process, Layout) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moorline-cluster"));
    command.arg("up").env_remove("KUBECONFIG");
    let mut process = Process::start("moorline-cluster", &mut command).unwrap();
    let root = process.wait_for("ready", |line| line.strip_prefix("ready ").map(PathBuf::from)).unwrap();
    (process, Layout::new(root))
}

/// What a cluster left on the host: processes, mounts, devices need no list of their own, they go with processes.
fn left_of(layout: &Layout) -> Vec<String> {
    let root = layout.root().to_string_lossy().into_owned();
    let mut left = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&root) {
            left.push(format!("process {}: {command}", entry.file_name().to_string_lossy()));
        }
    }
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let cgroups = hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]).map(|folder| folder.join(layout.cgroup()));
    left.extend(
        cgroups.chain([PathBuf::from(&root)]).filter(|path| path.exists()).map(|path| path.display().to_string()),
    );
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(&root)).map(str::to_owned));
    left
}

fn wait_until_nothing_is_left_of(layout: &Layout) {
    let deadline = Instant::now() + WITHIN;
    loop {
        let left = left_of(layout);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still there: {left:#?}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A pod, so that there are containers to end.
fn run_a_pod(layout: &Layout) {
    let kubectl = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moorline-cluster"));
        command.args(["exec", "--state"]).arg(layout.root()).args(["--", "kubectl"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    kubectl(&["run", "idle", "--image=moorline.dev/pause:1", "--image-pull-policy=Never"]);
    kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", "pod/idle"]);
}

#[test]
#[ignore = "starts a cluster, which takes root and half a minute"]
fn nothing_is_left_of_a_cluster_whose_owner_is_killed() {
    let (cluster, layout) = up();
    run_a_pod(&layout);
    assert!(!left_of(&layout).is_empty(), "a test that sees nothing of a living cluster proves nothing");
    // Dropped is killed, by SIGKILL.
    drop(cluster);
    wait_until_nothing_is_left_of(&layout);
}

#[test]
#[ignore = "starts a cluster, which takes root and half a minute"]
fn what_a_killed_process_1_leaves_is_swept_by_the_next_cluster() {
    let (cluster, layout) = up();
    run_a_pod(&layout);
    let process_1 = process_1_of(layout.root());
    let killed = Command::new("kill").args(["-KILL", &process_1]).status().unwrap();
    assert!(killed.success());
    cluster.finish().unwrap_err();
    assert!(layout.root().exists(), "nobody was there to remove it");
    let (next, _) = up();
    wait_until_nothing_is_left_of(&layout);
    drop(next);
}

/// The process, as an id outside, that everything in the cluster ends with.
fn process_1_of(root: &Path) -> String {
    let root = root.to_string_lossy();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let mut found = entries.filter(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        command.contains(&format!("init --state {root}")) && !command.starts_with("unshare")
    });
    found.next().expect("a living process 1").file_name().to_string_lossy().into_owned()
}
