//! What the tests of pods share: how a difference is shown, and what must hold of every injected pod.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

/// Compares files with what they should be, all before it complains, or writes them when `UPDATE_GOLDEN` is set.
pub(crate) struct Differences {
    update: bool,
    text: String,
}

impl Differences {
    pub(crate) fn new() -> Self {
        Self { update: std::env::var_os("UPDATE_GOLDEN").is_some(), text: String::new() }
    }

    /// `None` is for a file that should not be there.
    pub(crate) fn check(&mut self, file: &Path, found: Option<String>) {
        let expected = fs::read_to_string(file).ok();
        if expected == found {
            return;
        }
        if self.update {
            match found {
                Some(text) => fs::write(file, text).unwrap(),
                None => fs::remove_file(file).unwrap(),
            }
            return;
        }
        let lines = diff(&expected.unwrap_or_default(), &found.unwrap_or_default());
        let place = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(file).display();
        write!(self.text, "\n{place}  (- as it is kept, + as it is now)\n{lines}").unwrap();
    }

    pub(crate) fn assert_none(self) {
        let Self { text, .. } = self;
        assert!(text.is_empty(), "{text}\nIf this is meant: UPDATE_GOLDEN=1 cargo test -p moorline-inject");
    }
}

/// Two texts line by line: `-` is only in the first, `+` only in the second, with two lines around each difference.
fn diff(expected: &str, found: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    // Lengths of the longest common subsequences of all suffixes. Golden files have hundreds of lines, not millions.
    let mut longest = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i][j] =
                if a[i] == b[j] { longest[i + 1][j + 1] + 1 } else { longest[i + 1][j].max(longest[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            lines.push(('-', a[i]));
            i += 1;
        } else {
            lines.push(('+', b[j]));
            j += 1;
        }
    }
    let near = |at: usize| lines[at.saturating_sub(2)..(at + 3).min(lines.len())].iter().any(|(mark, _)| *mark != ' ');
    let shown = lines.iter().enumerate().filter(|(at, _)| near(*at));
    shown.fold(String::new(), |text, (_, (mark, line))| text + &format!("{mark} {line}\n"))
}

/// Whether everything of `before` is still there: members of objects, and elements of lists in their order.
pub(crate) fn keeps(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Object(before), Value::Object(after)) => before.iter().all(|(key, value)| {
            after
                .get(key)
                .map_or(value.is_null(), |other| key == "terminationGracePeriodSeconds" || keeps(value, other))
        }),
        (Value::Array(before), Value::Array(after)) => {
            let mut rest = after.iter();
            before.iter().all(|value| rest.any(|other| keeps(value, other)))
        }
        (before, after) => before == after,
    }
}

/// What holds of every injected pod, whatever it was before.
pub(crate) fn assert_is_injected(pod: &Value) {
    let typed: Pod = serde_json::from_value(pod.clone()).expect("a pod of the oldest Kubernetes that is supported");
    assert_eq!(typed.metadata.labels.unwrap()["moorline.dev/injected"], "true");
    let spec = typed.spec.unwrap();
    let sidecar = &spec.init_containers.as_ref().unwrap()[0];
    assert_eq!((sidecar.name.as_str(), sidecar.restart_policy.as_deref()), ("moorline", Some("Always")));
    for probe in [&sidecar.startup_probe, &sidecar.readiness_probe, &sidecar.liveness_probe] {
        assert!(probe.as_ref().unwrap().http_get.is_some());
    }
    let hook = sidecar.lifecycle.as_ref().unwrap().pre_stop.as_ref().unwrap();
    assert_eq!(hook.exec.as_ref().unwrap().command.as_ref().unwrap(), &["moorline", "drain"]);

    // Pod Security, `restricted`, and what goes beyond it.
    let security = sidecar.security_context.as_ref().unwrap();
    assert_eq!(security.allow_privilege_escalation, Some(false));
    assert_eq!(security.privileged, Some(false));
    assert_eq!(security.read_only_root_filesystem, Some(true));
    assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65532)));
    assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
    let capabilities = security.capabilities.as_ref().unwrap();
    assert_eq!((capabilities.drop.as_deref(), &capabilities.add), (Some(&["ALL".to_owned()][..]), &None));

    let volumes = spec.volumes.as_ref().unwrap();
    for mount in sidecar.volume_mounts.as_ref().unwrap() {
        assert_eq!(mount.read_only, Some(true));
        assert_eq!(volumes.iter().filter(|volume| volume.name == mount.name).count(), 1, "{}", mount.name);
    }
    let config = volumes.iter().find(|volume| volume.name == "moorline-config").unwrap();
    for source in config.projected.as_ref().unwrap().sources.as_ref().unwrap() {
        let of_config_map = source.config_map.as_ref().and_then(|source| source.optional);
        let of_secret = source.secret.as_ref().and_then(|source| source.optional);
        assert_eq!(of_config_map.or(of_secret), Some(true), "a pod would wait for {source:?}");
    }
    let numbers: Vec<i32> = sidecar.ports.as_ref().unwrap().iter().map(|port| port.container_port).collect();
    assert_eq!(numbers, [8800, 8802]);
}
