#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

use clap::CommandFactory as _;

use super::*;

const REQUIRED: &str = "--namespace m --pod-name m-0 --sidecar-image i";

fn parse(flags: &str) -> Result<RunArgs, String> {
    let line = format!("moorline-operator run {flags}");
    match Cli::try_parse_from(line.split_whitespace()) {
        Ok(Cli { command: Command::Run(args) }) => Ok(*args),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn run_has_the_defaults_of_the_chart() {
    let args = parse(REQUIRED).unwrap();
    assert_eq!(args.watch_namespaces, Vec::<String>::new());
    assert_eq!(args.webhook_listen.port(), 9443);
    assert_eq!(args.http_listen.port(), 8080);
    assert_eq!(args.certificates, Certificates::OwnAuthority);
    assert_eq!(args.lease, "moorline-operator");
    assert_eq!((args.nudges_per_second, args.poll_concurrency), (100, 64));
    assert_eq!(args.rollout, Rollout::Allowed);
    assert_eq!(args.sidecar_pull_policy, PullPolicy::IfNotPresent);
    assert_eq!(args.sidecar_run_as_user, RunAsUser(moorline_inject::InjectSettings::default().run_as_user));
    assert_eq!(args.log_format, LogFormat::Text);
    assert!(args.expose_hosts.is_empty());
}

#[test]
fn lists_are_separated_by_commas() {
    let args = parse(&format!(
        "{REQUIRED} --watch-namespaces a,b --sidecar-pull-secrets s,t --expose-hosts *.example.com,shop.test"
    ))
    .unwrap();
    assert_eq!(args.watch_namespaces, ["a", "b"]);
    assert_eq!(args.sidecar_pull_secrets, ["s", "t"]);
    assert_eq!(args.expose_hosts.len(), 2);
}

#[test]
fn a_directory_of_certificates_is_taken_as_one() {
    let args = parse(&format!("{REQUIRED} --certificates /certs")).unwrap();
    assert_eq!(args.certificates, Certificates::Directory("/certs".into()));
}

#[test]
fn what_is_wrong_is_named() {
    for (flags, named) in [
        ("--namespace m --pod-name m-0", "--sidecar-image"),
        (&format!("{REQUIRED} --nudges-per-second 0"), "--nudges-per-second"),
        (&format!("{REQUIRED} --poll-concurrency 100000"), "--poll-concurrency"),
        (&format!("{REQUIRED} --expose-hosts *"), "--expose-hosts"),
        (&format!("{REQUIRED} --rollout sometimes"), "--rollout"),
        (&format!("{REQUIRED} --sidecar-pull-policy Sometimes"), "--sidecar-pull-policy"),
        (&format!("{REQUIRED} --sidecar-run-as-user 0"), "--sidecar-run-as-user"),
        (&format!("{REQUIRED} --webhook-listen nowhere"), "--webhook-listen"),
    ] {
        let error = parse(flags).unwrap_err();
        assert!(error.contains(named), "{flags}: {error}");
    }
}
