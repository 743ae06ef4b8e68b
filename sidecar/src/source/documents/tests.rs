#![allow(clippy::unwrap_used)] // tests fail by panicking

use std::sync::Arc;

use super::*;

fn json(service: &str) -> String {
    format!(r#"{{"formatVersion":1,"service":{{"namespace":"shop","name":"{service}"}},"routes":[]}}"#)
}

fn plain(text: &str) -> File {
    File::Plain(text.as_bytes().into())
}

fn content<const N: usize>(files: [(&str, File); N]) -> Content {
    files.into_iter().map(|(name, file)| (name.to_owned(), file)).collect()
}

fn names_of(update: &Update) -> Vec<&str> {
    update.documents.iter().map(|loaded| loaded.document.service.name.as_str()).collect()
}

fn documents() -> Documents {
    Documents::new("/config")
}

#[test]
fn nothing_is_served_as_long_as_there_is_nothing() {
    let update = documents().take(&Content::new());
    assert!(update.documents.is_empty() && !update.changed && update.newly_gone.is_empty());
}

#[test]
fn the_documents_of_several_services_are_served_together() {
    let mut documents = documents();
    let both = content([("orders", plain(&json("orders"))), ("users", plain(&json("users")))]);
    let update = documents.take(&both);
    assert_eq!((names_of(&update), update.changed), (vec!["orders", "users"], true));
    let again = documents.take(&both);
    assert_eq!((names_of(&again), again.changed), (vec!["orders", "users"], false));
}

#[test]
fn a_bad_document_keeps_the_last_good_one_of_its_service_and_holds_up_no_other() {
    let mut documents = documents();
    documents.take(&content([("orders", plain(&json("orders")))]));
    let update = documents.take(&content([("orders", plain("{")), ("users", plain(&json("users")))]));
    assert_eq!((names_of(&update), update.changed), (vec!["orders", "users"], true));
    let refused = &update.refused[0];
    assert_eq!((refused.service.to_string().as_str(), refused.reason), ("shop/orders", "unreadable"));
    assert!(refused.message.starts_with("/config/orders/document.json: "), "{}", refused.message);
    assert_eq!(update.newly_refused, update.refused);

    let same = documents.take(&content([("orders", plain("{")), ("users", plain(&json("users")))]));
    assert_eq!((same.refused.len(), same.newly_refused.len(), same.changed), (1, 0, false));

    let mended = documents.take(&content([("orders", plain(&json("orders"))), ("users", plain(&json("users")))]));
    assert!(mended.refused.is_empty() && !mended.changed);
}

#[test]
fn a_document_that_is_gone_is_served_on_and_told_once() {
    let mut documents = documents();
    documents.take(&content([("orders", plain(&json("orders"))), ("users", plain(&json("users")))]));
    let update = documents.take(&content([("users", plain(&json("users")))]));
    assert_eq!((names_of(&update), update.changed), (vec!["orders", "users"], false));
    assert_eq!(update.newly_gone, [Path::new("/config/orders/document.json")]);
    assert_eq!(update.gone[0].to_string(), "shop/orders");
    let later = documents.take(&Content::new());
    assert_eq!((later.gone.len(), later.newly_gone.len()), (2, 1));
    let back = documents.take(&content([("orders", plain(&json("orders")))]));
    assert_eq!(back.gone.len(), 1);
}

#[test]
fn a_document_without_routes_replaces_one_with_routes() {
    let mut documents = documents();
    documents.take(&content([("orders", plain(&json("orders")))]));
    let other = json("orders").replace(":[]", ": [ ]");
    assert!(documents.take(&content([("orders", plain(&other))])).changed);
}

#[test]
fn a_bad_first_document_is_named_by_what_it_says_or_by_its_directory() {
    let unknown = r#"{"formatVersion":1,"service":{"namespace":"shop","name":"orders"},"routes":[],"new":1}"#;
    let newer = json("users").replace(":1,", ":2,");
    let update = documents().take(&content([
        ("a", plain(unknown)),
        ("b", plain("{")),
        ("c", File::Unreadable(std::io::ErrorKind::PermissionDenied)),
        ("d", plain(&newer)),
        ("e", File::TooLarge),
    ]));
    let told: Vec<_> = update.refused.iter().map(|r| (r.service.to_string(), r.reason)).collect();
    let told: Vec<_> = told.iter().map(|(service, reason)| (service.as_str(), *reason)).collect();
    assert_eq!(
        told,
        [
            ("shop/orders", "unreadable"),
            ("/b", "unreadable"),
            ("/c", "unreadable"),
            ("shop/users", "format_version"),
            ("/e", "too_large")
        ]
    );
    assert!(update.documents.is_empty() && !update.changed);
}

#[test]
fn of_two_documents_of_one_service_the_first_by_directory_is_served() {
    let mut documents = documents();
    let update = documents.take(&content([("", plain(&json("orders"))), ("orders", plain(&json("orders")))]));
    assert_eq!(names_of(&update), ["orders"]);
    assert_eq!(update.newly_refused[0].reason, "second_of_service");
    assert!(update.newly_refused[0].message.contains("the one of /config/document.json is served"));
}

#[test]
fn the_hash_is_that_of_the_bytes_however_they_were_packed() {
    let text = json("orders");
    let expected = codec::decode(text.as_bytes()).unwrap().hash();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    let archive: Arc<[u8]> = encoder.finish().unwrap().into();
    for file in [plain(&text), plain(&format!("{text}\n")), File::Compressed(archive)] {
        assert_eq!(documents().take(&content([("orders", file)])).documents[0].hash, expected);
    }
    let broken = documents().take(&content([("orders", File::Compressed(Arc::from(*b"no")))]));
    assert_eq!(broken.refused[0].reason, "archive");
}
