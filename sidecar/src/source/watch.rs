//! Notices that a source has changed, by its content.
//!
//! File events alone are not enough: a projected volume swaps a symlink two levels up, editors replace a file by
//! renaming another one over it, a network file system sends no events at all, and a directory that does not exist
//! cannot be watched. Polling alone makes a developer wait. So events only wake the poll early, and what counts is
//! whether the content differs from the last one handed out.
//!
//! A directory's own subdirectories are watched with it, as they come and go. Links are not followed: those of a
//! volume are swapped together, which the directory itself tells.
//!
//! Invariant: content is handed out only after it was read twice the same, so that a file that is being written is not
//! taken for a bad one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// How long content must stay the same. An editor writes a file within milliseconds.
const SETTLE: Duration = Duration::from_millis(40);

/// A source whose content can be compared.
pub struct Watch<T> {
    read: Arc<dyn Fn() -> T + Send + Sync>,
    last: T,
    directories: Vec<PathBuf>,
    watched: HashSet<PathBuf>,
    events: Arc<Notify>,
    /// None where the platform's events are not to be had; the poll remains.
    watcher: Option<RecommendedWatcher>,
    poll: Duration,
}

impl<T: Clone + PartialEq + Send + 'static> Watch<T> {
    /// Watches what `read` reads, starting from content that was read already. `directories` are those whose events
    /// are worth a look; they need not exist yet. Without events, changes are seen after `poll`.
    pub fn new(
        start: T,
        directories: Vec<PathBuf>,
        poll: Duration,
        read: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        let events = Arc::new(Notify::new());
        let wake = Arc::clone(&events);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the files is itself an event, and would wake the poll for ever.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                wake.notify_one();
            }
        })
        .inspect_err(|error| tracing::info!(%error, "no file events here: changes are noticed by polling"))
        .ok();
        let watched = HashSet::new();
        let mut watch = Self { read: Arc::new(read), last: start, directories, watched, events, watcher, poll };
        watch.arm();
        watch
    }

    /// The next content that differs from the last one. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> T {
        loop {
            // Also after the wait: a directory may have come into being meanwhile.
            let _ = tokio::time::timeout(self.poll, self.events.notified()).await;
            // Before the look: what changes after it is then an event.
            self.arm();
            let Some(mut content) = self.read().await else { continue };
            if content == self.last {
                continue;
            }
            loop {
                tokio::time::sleep(SETTLE).await;
                let Some(again) = self.read().await else { break };
                if again == content {
                    break;
                }
                content = again;
            }
            // It may have settled on what it was.
            if content != self.last {
                self.last = content.clone();
                return content;
            }
        }
    }

    async fn read(&self) -> Option<T> {
        let read = Arc::clone(&self.read);
        // None when the runtime is going away.
        tokio::task::spawn_blocking(move || read()).await.ok()
    }

    /// Watches what is there and not watched yet. A directory that was removed and made again between two looks is seen
    /// by the poll.
    fn arm(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let there: HashSet<PathBuf> =
            self.directories.iter().flat_map(|directory| with_subdirectories(directory)).collect();
        // The system forgets the watch of what is removed.
        self.watched.retain(|directory| there.contains(directory));
        for directory in there {
            if !self.watched.contains(&directory) && watcher.watch(&directory, RecursiveMode::NonRecursive).is_ok() {
                self.watched.insert(directory);
            }
        }
    }
}

/// A directory that is there, and the directories in it.
fn with_subdirectories(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let subdirectories = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| entry.path());
    std::iter::once(directory.to_owned()).chain(subdirectories).collect()
}

impl<T> std::fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("directories", &self.directories).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use std::fs;

    use super::*;

    type Content = Option<String>;

    fn read(path: &Path) -> Content {
        fs::read_to_string(path).ok()
    }

    fn watch(path: &Path, poll: Duration) -> Watch<Content> {
        let directory = path.parent().unwrap().to_owned();
        let file = path.to_owned();
        Watch::new(read(path), vec![directory], poll, move || read(&file))
    }

    async fn next(watch: &mut Watch<Content>) -> Content {
        tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.unwrap()
    }

    /// Long enough that only an event can be the reason.
    const EVENTS_ONLY: Duration = Duration::from_hours(1);
    const POLL: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn a_file_written_in_place_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "one").unwrap();
        let mut watch = watch(&path, EVENTS_ONLY);
        fs::write(&path, "two").unwrap();
        assert_eq!(next(&mut watch).await.as_deref(), Some("two"));
    }

    #[tokio::test]
    async fn a_file_that_an_editor_renames_over_the_old_one_is_noticed_every_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "one").unwrap();
        let mut watch = watch(&path, EVENTS_ONLY);
        for content in ["two", "three"] {
            let temporary = directory.path().join(".file.swp");
            fs::write(&temporary, content).unwrap();
            fs::rename(&temporary, &path).unwrap();
            assert_eq!(next(&mut watch).await.as_deref(), Some(content));
        }
    }

    #[tokio::test]
    async fn the_symlink_swap_of_a_projected_volume_is_noticed_every_time() {
        use std::os::unix::fs::symlink;

        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let publish = |version: &str| {
            let data = root.join(format!("..{version}"));
            fs::create_dir(&data).unwrap();
            fs::write(data.join("file"), version).unwrap();
            symlink(format!("..{version}"), root.join("..data_tmp")).unwrap();
            fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        };
        publish("one");
        symlink("..data/file", root.join("file")).unwrap();
        let mut watch = watch(&root.join("file"), EVENTS_ONLY);
        for version in ["two", "three"] {
            publish(version);
            assert_eq!(next(&mut watch).await.as_deref(), Some(version));
        }
    }

    #[tokio::test]
    async fn a_link_and_a_directory_that_come_later_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        let source = root.clone();
        let read = move || (read(&source.join("real/file")), read(&source.join("linked/file")));
        let mut watch = Watch::new(read(), vec![root.clone()], EVENTS_ONLY, read);
        let mut next = async || tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.unwrap();
        // As the kubelet adds a source to a volume: the versions first, the link that users see last.
        fs::create_dir_all(root.join("..one/linked")).unwrap();
        fs::write(root.join("..one/linked/file"), "one").unwrap();
        std::os::unix::fs::symlink("..one", root.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/linked", root.join("linked")).unwrap();
        assert_eq!(next().await, (None, Some("one".to_owned())));
        fs::create_dir(root.join("real")).unwrap();
        fs::write(root.join("real/file"), "a").unwrap();
        assert_eq!(next().await.0.as_deref(), Some("a"));
        fs::write(root.join("real/file"), "b").unwrap();
        assert_eq!(next().await.0.as_deref(), Some("b"));
    }

    #[tokio::test]
    async fn a_directory_that_comes_later_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("later").join("file");
        let mut watch = watch(&path, POLL);
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, "one").unwrap();
        assert_eq!(next(&mut watch).await.as_deref(), Some("one"));
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert_eq!(next(&mut watch).await, None);
    }

    #[tokio::test]
    async fn a_file_that_is_being_written_is_handed_out_when_it_is_complete() {
        let parts = Arc::new(parking_lot::Mutex::new(vec!["whole", "whole", "ha", "h", ""]));
        let source = Arc::clone(&parts);
        let mut watch = Watch::new("start", Vec::new(), POLL, move || {
            let mut parts = source.lock();
            let last = parts.last().copied().unwrap_or("whole");
            if parts.len() > 1 {
                parts.pop();
            }
            last
        });
        assert_eq!(watch.changed().await, "whole");
    }

    #[tokio::test]
    async fn content_that_is_the_same_is_no_change() {
        let contents = Arc::new(parking_lot::Mutex::new(vec!["b", "b", "a", "a", "b", "a"]));
        let source = Arc::clone(&contents);
        let mut watch = Watch::new("a", Vec::new(), POLL, move || source.lock().pop().unwrap_or("b"));
        // The same, then a change that settles on what it was, and only then a real one.
        assert_eq!(watch.changed().await, "b");
        assert!(contents.lock().is_empty());
    }
}
