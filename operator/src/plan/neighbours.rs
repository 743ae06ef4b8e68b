//! Which Services select which pods, and which Services meet in a pod.
//!
//! Selectors are compared as well as pods, because two Services of which one selects all that the other does will meet,
//! and a route that loses only when the first pod starts would be a surprise. Selectors that merely could meet are left
//! to the pods: labels of two unrelated teams could always be on one pod, and never are.

use std::collections::BTreeMap;

pub use moorline_inject::selects;

type Labels = BTreeMap<String, String>;

/// The names, sorted, of those Services of `routed` (name and selector) that select a pod with these labels.
pub fn services_selecting<'a>(labels: &Labels, routed: impl IntoIterator<Item = (&'a str, &'a Labels)>) -> Vec<String> {
    let mut names: Vec<String> =
        routed.into_iter().filter(|(_, selector)| selects(selector, labels)).map(|(name, _)| name.to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// Whether two Services of one namespace share pods: one selects all that the other does, or one of `pods`, given by
/// their labels, is selected by both.
pub fn shares_pods<'a>(a: &Labels, b: &Labels, pods: impl IntoIterator<Item = &'a Labels>) -> bool {
    selects(a, b) || selects(b, a) || pods.into_iter().any(|labels| selects(a, labels) && selects(b, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_services_of_a_pod_are_named_in_order_whatever_order_they_come_in() {
        let (orders, web, users) =
            (labels(&[("app", "orders")]), labels(&[("tier", "web")]), labels(&[("app", "users")]));
        let pod = labels(&[("app", "orders"), ("tier", "web")]);
        let routed = [("web", &web), ("users", &users), ("orders", &orders)];
        assert_eq!(services_selecting(&pod, routed), ["orders", "web"]);
        assert_eq!(services_selecting(&pod, routed.into_iter().rev()), ["orders", "web"]);
        assert!(services_selecting(&labels(&[]), routed).is_empty());
    }

    #[test]
    fn services_share_pods_when_a_selector_holds_the_other_or_a_pod_has_both() {
        let (app, both, tier) =
            (labels(&[("app", "a")]), labels(&[("app", "a"), ("tier", "t")]), labels(&[("tier", "t")]));
        let none: [&Labels; 0] = [];
        assert!(shares_pods(&app, &both, none) && shares_pods(&both, &app, none));
        assert!(!shares_pods(&app, &tier, none));
        assert!(shares_pods(&app, &tier, [&both]));
        assert!(!shares_pods(&app, &labels(&[]), [&both]));
    }
}
