//! Removes what clusters left that could not clean up: their folder and their cgroup.
//!
//! Only a cluster whose process 1 was itself killed leaves anything. Its lock is free then, and that is the test: a
//! process id in a file could be somebody else's by now.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::host;
use super::layout::{Layout, PREFIX};

/// A folder this young may belong to a cluster that has not come to lock it.
const YOUNG: Duration = Duration::from_mins(5);
/// A unix socket's path has at most 107 bytes; this is what the folder above a cluster's may take of them.
const LONGEST_PLACE: usize = 60;

/// Where folders of clusters are made.
pub(super) fn place() -> PathBuf {
    let place = env::temp_dir();
    if place.as_os_str().len() > LONGEST_PLACE { PathBuf::from("/tmp") } else { place }
}

/// The clusters that run on this machine.
pub fn running_clusters() -> Vec<Layout> {
    let mut found = folders();
    found.retain(|layout| layout.namespaces().exists() && !is_left_over(layout));
    found
}

/// Removes left-overs, except the logs that somebody wanted to keep.
pub(super) fn sweep() {
    for layout in folders() {
        if is_left_over(&layout) {
            host::remove_cgroup(&layout.cgroup());
            if !layout.kept().exists() {
                let _ = fs::remove_dir_all(layout.root());
            }
        }
    }
}

fn folders() -> Vec<Layout> {
    let entries = fs::read_dir(place()).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    ours.map(|entry| Layout::new(entry.path())).collect()
}

fn is_left_over(layout: &Layout) -> bool {
    let Ok(lock) = File::open(layout.lock()) else {
        let age =
            fs::metadata(layout.root()).and_then(|folder| folder.modified()).ok().and_then(|at| at.elapsed().ok());
        return age.is_some_and(|age| age > YOUNG);
    };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
}
