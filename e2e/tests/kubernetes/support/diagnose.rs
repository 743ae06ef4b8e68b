//! What a person would look at after a failure, printed before the failure itself.

use super::command::output;
use super::install::NAMESPACE;

const LOOKS: [&[&str]; 5] = [
    &["get", "wsr", "-A", "-o", "wide"],
    &["get", "pods", "-A", "-o", "wide"],
    &["get", "deploy,rs", "-A"],
    &["get", "events", "-A", "--sort-by=.lastTimestamp"],
    &["logs", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=moorline", "--tail=60", "--prefix"],
];

/// Prints it.
pub(crate) async fn print(_client: &kube::Client) {
    for look in LOOKS {
        println!("\n$ kubectl {}", look.join(" "));
        match output("kubectl", look, "").await {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout);
                let lines: Vec<&str> = text.lines().collect();
                // The newest are last.
                println!("{}", lines[lines.len().saturating_sub(120)..].join("\n"));
            }
            Err(error) => println!("{error:#}"),
        }
    }
}
