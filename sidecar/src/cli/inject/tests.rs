#![allow(clippy::unwrap_used)] // tests fail by panicking

use clap::Parser as _;
use serde_json::Value;

use super::*;

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: orders}
spec:
  selector: {app: orders}
  ports: [{port: 80, targetPort: http}]
";
const ROUTE: &str = "\
apiVersion: moorline.dev/v1alpha1
kind: WebSocketRoute
metadata: {name: orders}
spec: {serviceRef: {name: orders, port: 80}}
";
const DEPLOYMENT: &str = "\
# The service of orders.
kind: Deployment
apiVersion: apps/v1
metadata:
  name: orders
spec:
  selector: {matchLabels: {app: orders}}
  template:
    metadata:
      labels: {app: orders}
    spec:
      containers:
      - name: app
        image: orders:1
        env:
        - name: DEBUG
          value: \"yes\"
        ports:
        - {name: http, containerPort: 3000}
";

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: InjectArgs,
}

fn args(more: &[&str]) -> InjectArgs {
    Line::try_parse_from([&["inject", "-f", "unused"], more].concat()).unwrap().args
}

fn injected(texts: &[&str], more: &[&str]) -> Injected {
    let file = |text: &&str| File { name: "a.yaml".to_owned(), text: Ok((*text).to_owned()) };
    inject(&texts.iter().map(file).collect::<Vec<_>>(), &args(more)).unwrap()
}

/// The documents that were printed.
fn documents(result: &Injected) -> Vec<Value> {
    read_text(&result.manifests).unwrap()
}

fn notes(result: &Injected) -> Vec<&str> {
    result.notes.iter().map(|(_, note)| note.as_str()).collect()
}

#[test]
fn a_workload_that_a_routed_service_selects_gets_the_sidecar_and_the_rest_stays_as_it_was() {
    let result = injected(&[SERVICE, &format!("{ROUTE}---\n{DEPLOYMENT}")], &[]);
    assert!(!result.is_bad, "{:?}", result.notes);
    assert_eq!(notes(&result), ["a.yaml: Deployment default/orders: gets the sidecar"]);
    assert!(
        result
            .manifests
            .starts_with(&format!("{SERVICE}---\n{ROUTE}---\n# The service of orders.\nkind: Deployment\n"))
    );
    assert!(result.manifests.contains("        - name: DEBUG\n          value: \"yes\"\n"), "{}", result.manifests);
    let pod = &documents(&result)[2]["spec"]["template"];
    assert_eq!(pod["metadata"]["annotations"]["moorline.dev/services"], "orders");
    let sidecar = &pod["spec"]["initContainers"][0];
    assert_eq!(sidecar["name"], "moorline");
    let ports = sidecar["env"].as_array().unwrap().iter().find(|env| env["name"] == "MOORLINE_APP_PORTS").unwrap();
    assert_eq!(ports["value"], "http=3000");
}

#[test]
fn what_is_printed_is_what_the_injection_gives() {
    let text = format!("{SERVICE}---\n{ROUTE}---\n{DEPLOYMENT}");
    let result = injected(&[&text], &[]);
    let manifest = read_text(DEPLOYMENT).unwrap().remove(0);
    let services = |_: &str, _: &_| {
        let http = k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String("http".to_owned());
        vec![moorline_inject::RoutedService { name: "orders".to_owned(), target_ports: vec![http] }]
    };
    let settings = moorline_inject::InjectSettings::default();
    let request =
        ManifestRequest { asked: Asked::Namespace, namespace: "default", services: &services, settings: &settings };
    assert_eq!(documents(&result)[2], moorline_inject::inject_manifest(&manifest, &request).0);
}

#[test]
fn twice_is_the_same_as_once() {
    let once = injected(&[SERVICE, ROUTE, DEPLOYMENT], &[]);
    let twice = injected(&[&once.manifests], &[]);
    assert_eq!(twice.manifests, once.manifests);
    assert_eq!(notes(&twice), ["a.yaml: Deployment default/orders: has the sidecar"]);
}

#[test]
fn the_flags_say_which_service_and_how_the_sidecar_is_run() {
    let more = ["--service", "orders=http", "--image", "registry.test/m:9", "--pull-policy", "Never", "-n", "shop"];
    let result = injected(&[DEPLOYMENT], &[&more[..], &["--run-as-user", "cluster", "--pull-secret", "key"]].concat());
    assert!(notes(&result)[0].contains("Deployment shop/orders: gets the sidecar"), "{:?}", result.notes);
    let pod = &documents(&result)[0]["spec"]["template"]["spec"];
    let sidecar = &pod["initContainers"][0];
    assert_eq!((&sidecar["image"], &sidecar["imagePullPolicy"]), (&"registry.test/m:9".into(), &"Never".into()));
    assert_eq!(pod["imagePullSecrets"][0]["name"], "key");
    assert!(sidecar["securityContext"]["runAsUser"].is_null());
}

#[test]
fn a_workload_that_nobody_selects_is_printed_as_it_is() {
    let other = DEPLOYMENT.replace("orders", "users");
    let result = injected(&[SERVICE, ROUTE, &other], &[]);
    assert!(!result.is_bad && result.manifests.ends_with(&other), "{}", result.manifests);
    assert!(notes(&result)[0].contains("gets no sidecar (NotSelected)"), "{:?}", result.notes);
}

#[test]
fn a_workload_that_cannot_have_the_sidecar_makes_the_command_fail() {
    let taken = DEPLOYMENT.replace("3000", "8800");
    let result = injected(&[SERVICE, ROUTE, &taken], &[]);
    assert!(result.is_bad);
    assert!(notes(&result)[0].contains("gets no sidecar (PortTaken)"), "{:?}", result.notes);
    assert!(injected(&[SERVICE], &[]).is_bad, "there is no workload");
}

#[test]
fn without_services_the_workloads_get_a_sidecar_that_serves_nothing_and_a_warning() {
    let result = injected(&[DEPLOYMENT], &[]);
    assert!(!result.is_bad && notes(&result)[1].contains("serve nothing"), "{:?}", result.notes);
}

#[test]
fn a_file_that_cannot_be_read_fails_as_a_whole_with_its_line() {
    let file = |text: Result<String, String>| File { name: "a.yaml".to_owned(), text };
    let broken = inject(&[file(Ok(format!("{SERVICE}---\na: [\n")))], &args(&[])).unwrap_err().to_string();
    assert!(broken.starts_with("a.yaml:9: "), "{broken}");
    let missing = inject(&[file(Err("there is no such file".to_owned()))], &args(&[])).unwrap_err().to_string();
    assert_eq!(missing, "a.yaml: there is no such file");
}
