//! The known name nearest to a misspelt one.
//!
//! An error that only lists what exists makes the reader compare; most mistakes are one or two letters.

/// The candidate with the smallest edit distance, if any is near enough to be meant.
pub(super) fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .filter_map(|candidate| {
            // A name cut short, as `request.query`, is nearer than any misspelling.
            let cut = found.len() > 3 && candidate.starts_with(found);
            let distance = if cut { 0 } else { distance(found, candidate) };
            (distance <= candidate.len().max(4) / 2).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, case ignored. The strings are names in a manifest, so quadratic time is fine;
/// the length is capped because a manifest may hold anything.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let b: Vec<char> = b.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
