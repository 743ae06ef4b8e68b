//! What holds of every pod, also of those nobody thought of.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_inject::{Asked, InjectSettings, Outcome, Request, RoutedService, inject};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::support::{assert_is_injected, keeps};

/// A member that may be absent, `null`, or a value.
fn maybe(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![2 => Just(None), 1 => Just(Some(Value::Null)), 4 => value.prop_map(Some)].boxed()
}

/// A member that may be absent or a value: maps of amounts and texts have no `null`.
fn absent_or(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    option::of(value).boxed()
}

fn object(members: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    values
        .prop_map(move |values| {
            let members = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
            Value::Object(members.collect::<Map<_, _>>())
        })
        .boxed()
}

fn one_of(values: &[Value]) -> BoxedStrategy<Value> {
    select(values.to_vec()).boxed()
}

fn list(element: impl Strategy<Value = Value> + 'static, most: usize) -> BoxedStrategy<Value> {
    vec(element, 0..=most).prop_map(Value::Array).boxed()
}

fn resources() -> BoxedStrategy<Value> {
    let amounts = || {
        object(vec![
            ("cpu", absent_or(one_of(&[json!("1"), json!(1), json!("1000m"), json!("0"), json!("?")]))),
            ("memory", absent_or(one_of(&[json!("1Gi"), json!("1024Mi"), json!("128974848")]))),
        ])
    };
    object(vec![("limits", maybe(amounts())), ("requests", maybe(amounts()))])
}

fn container() -> BoxedStrategy<Value> {
    let port = object(vec![
        ("containerPort", one_of(&[json!(80), json!(3000), json!(8803), json!(8802)]).prop_map(Some).boxed()),
        ("name", maybe(one_of(&[json!("http"), json!("ws"), json!("moorline-ws")]))),
        ("protocol", maybe(one_of(&[json!("TCP"), json!("UDP"), json!("UDP")]))),
    ]);
    let hook = one_of(&[json!({"exec": {"command": ["/x"]}}), json!({"sleep": {"seconds": 3}})]);
    object(vec![
        ("name", one_of(&[json!("app"), json!("web"), json!("istio-proxy")]).prop_map(Some).boxed()),
        ("image", maybe(one_of(&[json!("orders:1"), json!("a.example:5000/orders@sha256:00")]))),
        ("restartPolicy", maybe(Just(json!("Always")))),
        ("ports", maybe(list(port, 2))),
        ("resources", maybe(resources())),
        ("lifecycle", maybe(object(vec![("preStop", maybe(hook.clone())), ("postStart", maybe(hook))]))),
        ("futureField", maybe(one_of(&[json!({"a": [1, 2]}), json!(7)]))),
    ])
}

fn annotations() -> BoxedStrategy<Value> {
    let names = [
        "drain-window",
        "drain-grace",
        "app-pre-stop",
        "cpu-limit",
        "memory-request",
        "memory-limit",
        "colour",
        "service-account-token",
    ];
    let values = ["0s", "90m", "1", "1Gi", "300Mi", "enabled", "disabled", "sleep", ""];
    btree_map(select(names.to_vec()), select(values.to_vec()), 0..4)
        .prop_map(|map| map.into_iter().map(|(name, value)| (format!("moorline.dev/{name}"), json!(value))).collect())
        .boxed()
}

fn pod() -> BoxedStrategy<Value> {
    let volume =
        one_of(&[json!({"name": "data", "emptyDir": {}}), json!({"name": "config", "configMap": {"name": "c"}})]);
    let labels = one_of(&[json!({}), json!({"app": "orders"}), json!({"moorline.dev/injected": "true"})]);
    let metadata = object(vec![
        ("name", maybe(Just(json!("orders")))),
        ("labels", maybe(labels)),
        ("annotations", maybe(annotations())),
    ]);
    let spec = object(vec![
        ("containers", vec(container(), 1..4).prop_map(|list| Some(Value::Array(list))).boxed()),
        ("initContainers", maybe(list(container(), 3))),
        ("volumes", maybe(list(volume, 3))),
        ("imagePullSecrets", maybe(list(one_of(&[json!({"name": "pull"}), json!({"name": "other"})]), 2))),
        ("terminationGracePeriodSeconds", maybe(one_of(&[json!(0), json!(30), json!(3600)]))),
        ("resources", maybe(resources())),
        ("futureField", maybe(Just(json!([{"x": null}])))),
    ]);
    object(vec![("metadata", metadata.prop_map(Some).boxed()), ("spec", spec.prop_map(Some).boxed())])
}

fn request() -> impl Strategy<Value = Request> {
    let names = btree_map(select(vec!["orders", "users", "admin"]), any::<bool>(), 0..=3);
    (any::<bool>(), names).prop_map(|(by_pod, names)| Request {
        asked: if by_pod { Asked::Pod } else { Asked::Namespace },
        namespace: "shop".to_owned(),
        services: names
            .into_iter()
            .map(|(name, named)| RoutedService {
                name: name.to_owned(),
                target_ports: vec![if named { IntOrString::String("http".to_owned()) } else { IntOrString::Int(3000) }],
            })
            .collect(),
    })
}

fn settings() -> InjectSettings {
    InjectSettings { pull_secrets: vec!["pull".to_owned()], ..InjectSettings::default() }
}

/// Values of the wrong kind, for any place.
fn junk() -> BoxedStrategy<Value> {
    one_of(&[
        json!(null),
        json!(true),
        json!(-1),
        json!("text"),
        json!([]),
        json!([null, 1]),
        json!({}),
        json!({"name": []}),
    ])
}

/// Puts a value to the place that `at` leads to.
fn spoil(value: &mut Value, at: &mut impl Iterator<Item = usize>, spoilt: Value) {
    let Some(step) = at.next() else {
        *value = spoilt;
        return;
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let chosen = step % map.len();
            if let Some(member) = map.values_mut().nth(chosen) {
                spoil(member, at, spoilt);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let chosen = step % items.len();
            spoil(&mut items[chosen], at, spoilt);
        }
        other => *other = spoilt,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_injected_pod_is_whole_keeps_what_it_had_and_is_unchanged_at_a_second_look(
        pod in pod(), request in request(), secret in option::of(Just("pull")),
    ) {
        let settings = InjectSettings { pull_secrets: secret.into_iter().map(str::to_owned).collect(), ..settings() };
        if let Outcome::Injected { patch, .. } = inject(&pod, &request, &settings) {
            let mut injected = pod.clone();
            json_patch::patch(&mut injected, &patch).unwrap();
            assert_is_injected(&injected);
            prop_assert!(keeps(&pod, &injected), "{pod:#}\n{injected:#}");
            prop_assert_eq!(inject(&injected, &request, &settings), Outcome::Unchanged);
        }
    }

    #[test]
    fn whatever_is_given_there_is_an_answer_and_its_patch_applies(
        pod in pod(), at in vec(0_usize..8, 0..5), spoilt in junk(), request in request(),
    ) {
        let mut pod = pod;
        spoil(&mut pod, &mut at.into_iter(), spoilt);
        if let Outcome::Injected { patch, .. } = inject(&pod, &request, &settings()) {
            let mut injected = pod.clone();
            json_patch::patch(&mut injected, &patch).unwrap();
            prop_assert_eq!(inject(&injected, &request, &settings()), Outcome::Unchanged);
        }
    }
}
