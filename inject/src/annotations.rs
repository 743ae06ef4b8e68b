//! The annotations by which a pod tunes its sidecar.
//!
//! A mistake never keeps a pod from starting: the default is used, and a warning names the annotation, the value and the
//! rule. The list of names is closed, so that a misspelt one is noticed and not ignored.

use std::time::Duration;

use moorline_crds::names;
use moorline_crds::v1alpha1::DurationText;
use serde_json::Value;

use crate::pod;
use crate::quantity::Quantity;

/// Annotations of users, without [`names::PREFIX`].
const TUNING: [&str; 11] = [
    "access-log",
    "app-pre-stop",
    "cpu-limit",
    "cpu-request",
    "drain-grace",
    "drain-window",
    "log-level",
    "max-connections",
    "memory-limit",
    "memory-request",
    "service-account-token",
];

/// Annotations of ours that a pod may come with.
const STAMPED: [&str; 4] = [
    names::SIDECAR_VERSION_ANNOTATION,
    names::SERVICES_ANNOTATION,
    names::DOCUMENTS_ANNOTATION,
    names::RESTARTED_AT_ANNOTATION,
];

const DRAIN_GRACE: Duration = Duration::from_secs(5);
const DRAIN_WINDOW: Duration = Duration::from_secs(20);
/// Longer drains hold up the draining of nodes without end, and are more likely a wrong unit.
const MAX_DRAIN: Duration = Duration::from_hours(24);
/// Less, and the sidecar does not start; a unit was forgotten.
const MIN_MEMORY: Quantity = Quantity::units(16 << 20);
const MIN_CPU: Quantity = Quantity::millis(1);
/// More, and no node takes the pod; an `m` was forgotten.
const MAX_CPU: Quantity = Quantity::units(16);
/// As much as a warning shows of a value.
const SHOWN_CHARS: usize = 40;

/// What keeps the app alive while clients are let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppPreStop {
    /// A hook that lasts as long as the drain does.
    Drained,
    /// A hook that lasts as long as the drain may.
    Sleep,
    /// No hook.
    Disabled,
}

/// An amount as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) text: String,
    pub(crate) quantity: Quantity,
}

impl Amount {
    /// Reads a text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Quantity::parse(text).map(|quantity| Self { text: text.to_owned(), quantity })
    }
}

/// What a pod wants of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) request: Option<Amount>,
    pub(crate) limit: Option<Amount>,
}

/// What a pod wants of its sidecar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tuning {
    pub(crate) drain_grace: Duration,
    pub(crate) drain_window: Duration,
    pub(crate) app_pre_stop: AppPreStop,
    pub(crate) cpu: Share,
    pub(crate) memory: Share,
    pub(crate) max_connections: Option<u64>,
    pub(crate) log_level: Option<String>,
    pub(crate) access_log: Option<String>,
    pub(crate) wants_token: bool,
}

impl Tuning {
    /// Reads the annotations of a pod.
    pub(crate) fn read(pod: &Value, warnings: &mut Vec<String>) -> Self {
        let annotations = pod::annotations(pod);
        for name in annotations.keys() {
            warnings.extend(name.strip_prefix(names::PREFIX).and_then(|short| unknown(name, short)));
        }
        if let Some(value) = pod::label(pod, names::INJECT_LABEL)
            && value != names::ENABLED
            && value != names::DISABLED
        {
            let label = names::INJECT_LABEL;
            warnings.push(format!("label {label}: \"{}\": is `enabled` or `disabled`; ignored", shown(value)));
        }
        let mut reader = Reader { annotations: &annotations, warnings };
        Self {
            drain_grace: reader.read("drain-grace", duration, "5s").unwrap_or(DRAIN_GRACE),
            drain_window: reader.read("drain-window", duration, "20s").unwrap_or(DRAIN_WINDOW),
            app_pre_stop: reader.read("app-pre-stop", app_pre_stop, "enabled").unwrap_or(AppPreStop::Drained),
            cpu: Share {
                request: reader.read("cpu-request", cpu, "the default"),
                limit: reader.read("cpu-limit", cpu, "the default"),
            },
            memory: Share {
                request: reader.read("memory-request", memory, "the default"),
                limit: reader.read("memory-limit", memory, "the default"),
            },
            max_connections: reader.read("max-connections", count, "the default"),
            log_level: reader.read("log-level", log_level, "info"),
            access_log: reader.read("access-log", on_off, "off"),
            wants_token: reader.read("service-account-token", switch, "disabled").unwrap_or(false),
        }
    }

    /// How long a drain may take, in whole seconds.
    pub(crate) fn drain_seconds(&self) -> u64 {
        let total = self.drain_grace.saturating_add(self.drain_window);
        total.as_secs() + u64::from(total.subsec_nanos() > 0)
    }
}

struct Reader<'a> {
    annotations: &'a std::collections::BTreeMap<String, String>,
    warnings: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn read<T>(&mut self, short: &str, parse: fn(&str) -> Result<T, String>, default: &str) -> Option<T> {
        let name = format!("{}{short}", names::PREFIX);
        let text = self.annotations.get(&name)?;
        match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(rule) => {
                self.warnings.push(format!("annotation {name}: \"{}\": {rule}; using {default}", shown(text)));
                None
            }
        }
    }
}

/// What is wrong with the name of an annotation of ours.
fn unknown(name: &str, short: &str) -> Option<String> {
    if TUNING.contains(&short) || STAMPED.contains(&name) {
        return None;
    }
    if name == names::INJECT_LABEL || name == names::INJECTED_LABEL {
        return Some(format!("annotation {name} does nothing: it is a label"));
    }
    let nearest = TUNING
        .into_iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(&short.to_ascii_lowercase(), known), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(similarity, _)| *similarity >= 0.5);
    let hint = match nearest {
        Some((_, known)) => format!("did you mean {}{known}?", names::PREFIX),
        None => format!("there are {}", TUNING.join(", ")),
    };
    Some(format!("annotation {} is unknown and ignored; {hint}", shown(name)))
}

fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        short.push_str("...");
    }
    short
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = DurationText(text.to_owned()).parse().map_err(|error| error.to_string())?;
    if duration > MAX_DRAIN { Err("is at most 24h".to_owned()) } else { Ok(duration) }
}

fn app_pre_stop(text: &str) -> Result<AppPreStop, String> {
    match text {
        "enabled" => Ok(AppPreStop::Drained),
        "sleep" => Ok(AppPreStop::Sleep),
        "disabled" => Ok(AppPreStop::Disabled),
        _ => Err("is `enabled`, `sleep` or `disabled`".to_owned()),
    }
}

fn cpu(text: &str) -> Result<Amount, String> {
    amount(text, |amount| (MIN_CPU..=MAX_CPU).contains(&amount))
        .ok_or_else(|| "is CPU from 1m to 16, as 100m".to_owned())
}

fn memory(text: &str) -> Result<Amount, String> {
    amount(text, |amount| amount >= MIN_MEMORY).ok_or_else(|| "is memory of at least 16Mi, as 256Mi".to_owned())
}

fn amount(text: &str, fits: impl Fn(Quantity) -> bool) -> Option<Amount> {
    Amount::parse(text).filter(|amount| fits(amount.quantity))
}

fn count(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "is a whole number over 0".to_owned())
}

/// Only levels, though the sidecar takes filters too: one with a mistake would keep it, and so the pod, from starting.
fn log_level(text: &str) -> Result<String, String> {
    if ["error", "warn", "info", "debug", "trace"].contains(&text) {
        Ok(text.to_owned())
    } else {
        Err("is `error`, `warn`, `info`, `debug` or `trace`".to_owned())
    }
}

fn on_off(text: &str) -> Result<String, String> {
    if text == "on" || text == "off" { Ok(text.to_owned()) } else { Err("is `on` or `off`".to_owned()) }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "enabled" => Ok(true),
        "disabled" => Ok(false),
        _ => Err("is `enabled` or `disabled`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(annotations: &Value) -> (Tuning, Vec<String>) {
        let mut warnings = Vec::new();
        let tuning = Tuning::read(&json!({"metadata": {"annotations": annotations}}), &mut warnings);
        (tuning, warnings)
    }

    #[test]
    fn every_documented_annotation_is_read() {
        let (tuning, warnings) = read(&json!({
            "moorline.dev/drain-window": "1m30s", "moorline.dev/drain-grace": "500ms", "moorline.dev/app-pre-stop": "sleep",
            "moorline.dev/cpu-request": "0.1", "moorline.dev/cpu-limit": "1", "moorline.dev/memory-request": "128Mi",
            "moorline.dev/memory-limit": "1Gi", "moorline.dev/max-connections": "20000", "moorline.dev/log-level": "debug",
            "moorline.dev/access-log": "on", "moorline.dev/service-account-token": "enabled",
        }));
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(tuning.drain_seconds(), 91);
        assert_eq!(tuning.app_pre_stop, AppPreStop::Sleep);
        assert_eq!(tuning.cpu.request.unwrap().text, "0.1");
        assert_eq!(tuning.max_connections, Some(20000));
        assert_eq!(tuning.access_log.as_deref(), Some("on"));
        assert!(tuning.wants_token);
    }

    #[test]
    fn every_annotation_is_in_the_documentation() {
        let page = include_str!("../../docs/injection.md");
        for name in TUNING {
            assert!(page.contains(&format!("\n| `{name}` |")), "{name}");
        }
    }

    #[test]
    fn a_bad_value_is_told_with_its_rule_and_the_default_is_used() {
        let (tuning, warnings) = read(&json!({"moorline.dev/drain-window": "20", "moorline.dev/memory-limit": "256"}));
        assert_eq!(tuning.drain_window, DRAIN_WINDOW);
        assert_eq!(tuning.memory.limit, None);
        assert_eq!(
            warnings,
            [
                "annotation moorline.dev/drain-window: \"20\": is a duration of up to four whole numbers with units, as \
                 30s, 500ms or 1h30m; using 20s",
                "annotation moorline.dev/memory-limit: \"256\": is memory of at least 16Mi, as 256Mi; using the default",
            ]
        );
    }

    #[test]
    fn an_unknown_annotation_is_told_with_the_nearest_known_one() {
        let (_, warnings) = read(&json!({
            "moorline.dev/drainWindow": "20s", "moorline.dev/colour": "red", "moorline.dev/inject": "enabled",
            "other.example/drain": "x",
        }));
        assert_eq!(
            warnings,
            [
                "annotation moorline.dev/colour is unknown and ignored; there are access-log, app-pre-stop, cpu-limit, \
                 cpu-request, drain-grace, drain-window, log-level, max-connections, memory-limit, memory-request, \
                 service-account-token",
                "annotation moorline.dev/drainWindow is unknown and ignored; did you mean moorline.dev/drain-window?",
                "annotation moorline.dev/inject does nothing: it is a label",
            ]
        );
    }

    #[test]
    fn annotations_that_the_operator_writes_are_known() {
        let (_, warnings) = read(&json!({
            "moorline.dev/restartedAt": "2026-01-01T00:00:00Z", "moorline.dev/documents": "orders=00", "moorline.dev/services": "orders",
            "moorline.dev/sidecar-version": "0.1.0",
        }));
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn a_label_with_another_value_is_told() {
        let mut warnings = Vec::new();
        Tuning::read(&json!({"metadata": {"labels": {"moorline.dev/inject": "true"}}}), &mut warnings);
        assert_eq!(warnings, ["label moorline.dev/inject: \"true\": is `enabled` or `disabled`; ignored"]);
    }

    #[test]
    fn a_long_value_is_shown_in_part() {
        let (_, warnings) = read(&json!({"moorline.dev/drain-grace": "x".repeat(5000)}));
        assert!(warnings[0].len() < 220, "{}", warnings[0]);
    }
}
