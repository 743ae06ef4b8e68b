//! An ordinary REST service: orders, and who is signed in. It stands for the one the reader already has.
//!
//! Nothing in here knows of WebSocket, of Moorline or of the demo; it is an app as one would write it with warp, and
//! that is its point. State is in memory.
//!
//! | Request | Answer |
//! |---|---|
//! | `POST /tenants/{tenant}/sessions` | 201, and who is signed in; 401 without credentials |
//! | `DELETE /sessions/{id}` | 204 |
//! | `GET /orders?state=` | 200, the orders |
//! | `POST /orders` | 201, the order; 400 when it makes no sense |
//! | `GET /orders/{id}`, `PATCH /orders/{id}` | 200, the order; 404 |

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter as _, Rejection, Reply as _};

/// The largest body it reads.
const MAX_BODY_BYTES: u64 = 16 * 1024;

/// What the service keeps.
#[derive(Debug, Default)]
pub(super) struct Store {
    orders: Mutex<BTreeMap<u64, Order>>,
    sessions: Mutex<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Serialize)]
struct Order {
    id: u64,
    item: String,
    quantity: u32,
    state: State,
    by: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Open,
    Ready,
    Served,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOrder {
    item: String,
    quantity: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    item: Option<String>,
    quantity: Option<u32>,
    state: Option<State>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    state: Option<State>,
}

#[derive(Debug, Deserialize)]
struct NewSession {
    session: String,
}

#[derive(Debug, Serialize)]
struct SignedIn<'a> {
    user: &'a str,
    tenant: &'a str,
}

/// What goes wrong, as an answer.
#[derive(Debug)]
struct Problem(StatusCode, String);

/// A status and JSON, serialised at once: a tree would lose the order of the fields.
type Answer = Result<(StatusCode, String), Problem>;

/// The service.
pub(super) fn service(store: &Arc<Store>) -> BoxedFilter<(Response,)> {
    let kept = {
        let store = Arc::clone(store);
        warp::any().map(move || Arc::clone(&store))
    };
    let user = || warp::header::optional::<String>("authorization").map(|value: Option<String>| user_of(value));
    let body = || warp::body::content_length_limit(MAX_BODY_BYTES).and(warp::body::bytes());

    // Each boxed: the type of a filter grows with every `or`, and error messages and compile times with it.
    let sign_in = warp::path!("tenants" / String / "sessions")
        .and(warp::post().and(kept.clone()).and(user()).and(body()))
        .map(|tenant: String, store: Arc<Store>, user, body: Bytes| answer(store.sign_in(&tenant, user, &body)))
        .boxed();
    let sign_out = warp::path!("sessions" / String)
        .and(warp::delete().and(kept.clone()))
        .map(|id: String, store: Arc<Store>| answer(store.sign_out(&id)))
        .boxed();
    let create = warp::path!("orders")
        .and(warp::post().and(kept.clone()).and(user()).and(body()))
        .map(|store: Arc<Store>, user, body: Bytes| answer(store.create(user, &body)))
        .boxed();
    let list = warp::path!("orders")
        .and(warp::get().and(kept.clone()).and(warp::query()))
        .map(|store: Arc<Store>, listed| answer(Ok(store.list(&listed))))
        .boxed();
    let read = warp::path!("orders" / u64)
        .and(warp::get().and(kept.clone()))
        .map(|id, store: Arc<Store>| answer(store.read(id)))
        .boxed();
    let patch = warp::path!("orders" / u64)
        .and(warp::patch().and(kept).and(body()))
        .map(|id, store: Arc<Store>, body: Bytes| answer(store.patch(id, &body)))
        .boxed();
    let all = [sign_in, sign_out, create, list, read, patch].into_iter();
    let none = warp::any().and_then(|| async { Err::<Response, _>(warp::reject::not_found()) }).boxed();
    all.fold(none, |any, route| any.or(route).unify().boxed()).recover(recover).unify().boxed()
}

impl Store {
    /// A store with two orders in it.
    pub(super) fn with_orders() -> Arc<Self> {
        let order = |id, item: &str, quantity| Order {
            id,
            item: item.to_owned(),
            quantity,
            state: State::Open,
            by: "house".to_owned(),
        };
        let orders = BTreeMap::from([(1, order(1, "coffee", 1)), (2, order(2, "scone", 4))]);
        Arc::new(Self { orders: Mutex::new(orders), sessions: Mutex::default() })
    }

    fn sign_in(&self, tenant: &str, user: Option<String>, body: &Bytes) -> Answer {
        let user = user.ok_or_else(signed_out)?;
        let NewSession { session } = parse(body)?;
        self.sessions.lock().insert(session, user.clone());
        Ok((StatusCode::CREATED, json_text(&SignedIn { user: &user, tenant })))
    }

    fn sign_out(&self, id: &str) -> Answer {
        match self.sessions.lock().remove(id) {
            Some(_) => Ok((StatusCode::NO_CONTENT, String::new())),
            None => Err(Problem(StatusCode::NOT_FOUND, "there is no such session".to_owned())),
        }
    }

    fn create(&self, user: Option<String>, body: &Bytes) -> Answer {
        let by = user.ok_or_else(signed_out)?;
        let NewOrder { item, quantity } = parse(body)?;
        check(&item, quantity)?;
        let mut orders = self.orders.lock();
        let id = orders.last_key_value().map_or(1, |(id, _)| id + 1);
        let order = Order { id, item, quantity, state: State::Open, by };
        orders.insert(id, order.clone());
        Ok((StatusCode::CREATED, json_text(&order)))
    }

    fn list(&self, listed: &Listed) -> (StatusCode, String) {
        let orders = self.orders.lock();
        let matching: Vec<&Order> =
            orders.values().filter(|order| listed.state.is_none_or(|state| state == order.state)).collect();
        (StatusCode::OK, json_text(&matching))
    }

    fn read(&self, id: u64) -> Answer {
        self.orders.lock().get(&id).map(|order| (StatusCode::OK, json_text(&order))).ok_or_else(|| no_order(id))
    }

    fn patch(&self, id: u64, body: &Bytes) -> Answer {
        let change: Change = parse(body)?;
        let mut orders = self.orders.lock();
        let order = orders.get_mut(&id).ok_or_else(|| no_order(id))?;
        let item = change.item.unwrap_or_else(|| order.item.clone());
        let quantity = change.quantity.unwrap_or(order.quantity);
        check(&item, quantity)?;
        *order = Order { item, quantity, state: change.state.unwrap_or(order.state), ..order.clone() };
        Ok((StatusCode::OK, json_text(&order)))
    }
}

/// Who sends `Authorization: Bearer NAME`. A real service would check a signature here.
fn user_of(authorization: Option<String>) -> Option<String> {
    authorization?.strip_prefix("Bearer ").filter(|name| !name.is_empty()).map(str::to_owned)
}

fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem(StatusCode::BAD_REQUEST, error.to_string()))
}

fn check(item: &str, quantity: u32) -> Result<(), Problem> {
    let rule = if item.trim().is_empty() || item.len() > 60 {
        "item: is a text of 1 to 60 bytes"
    } else if !(1..=99).contains(&quantity) {
        "quantity: is between 1 and 99"
    } else {
        return Ok(());
    };
    Err(Problem(StatusCode::BAD_REQUEST, rule.to_owned()))
}

fn signed_out() -> Problem {
    Problem(StatusCode::UNAUTHORIZED, "sign in first".to_owned())
}

fn no_order(id: u64) -> Problem {
    Problem(StatusCode::NOT_FOUND, format!("there is no order {id}"))
}

fn answer(answer: Answer) -> Response {
    let (status, body) = answer.unwrap_or_else(|Problem(status, error)| (status, json!({"error": error}).to_string()));
    let mut response = warp::reply::with_status(body, status).into_response();
    if status == StatusCode::NO_CONTENT {
        response.headers_mut().remove(header::CONTENT_TYPE);
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn json_text(value: &impl Serialize) -> String {
    // None of the types here can fail to be JSON.
    serde_json::to_string(value).unwrap_or_default()
}

/// What no route took, as JSON like everything else.
async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    // What a route found wrong before that another route wanted another method.
    let status = if rejection.find::<warp::reject::InvalidQuery>().is_some() {
        StatusCode::BAD_REQUEST
    } else if rejection.find::<warp::reject::PayloadTooLarge>().is_some() {
        StatusCode::PAYLOAD_TOO_LARGE
    } else if rejection.find::<warp::reject::LengthRequired>().is_some() {
        StatusCode::LENGTH_REQUIRED
    } else if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        StatusCode::METHOD_NOT_ALLOWED
    } else {
        StatusCode::NOT_FOUND
    };
    let words = status.canonical_reason().unwrap_or_default().to_lowercase();
    Ok(answer(Err(Problem(status, words))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;

    async fn call(service: &BoxedFilter<(Response,)>, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut request = warp::test::request().method(method).path(path).header("authorization", "Bearer alice");
        if !body.is_empty() {
            request = request.body(body);
        }
        let response = request.reply(service).await;
        (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn orders_are_created_read_listed_and_changed() {
        let service = service(&Store::with_orders());
        let order = r#"{"id":3,"item":"tea","quantity":2,"state":"open","by":"alice"}"#;
        for (method, path, body, status, expected) in [
            ("POST", "/orders", r#"{"item":"tea","quantity":2}"#, 201, order),
            ("GET", "/orders/3", "", 200, order),
            ("PATCH", "/orders/3", r#"{"state":"ready"}"#, 200, &order.replace("open", "ready")),
            ("GET", "/orders?state=ready", "", 200, &format!("[{}]", order.replace("open", "ready"))),
        ] {
            assert_eq!(call(&service, method, path, body).await, (status, expected.to_owned()), "{method} {path}");
        }
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused_as_json() {
        let service = service(&Store::with_orders());
        for (method, path, body, status, expected) in [
            ("GET", "/orders/99", "", 404, "there is no order 99"),
            ("PATCH", "/orders/99", "{}", 404, "there is no order 99"),
            ("POST", "/orders", r#"{"item":"tea","quantity":0}"#, 400, "quantity: is between 1 and 99"),
            ("POST", "/orders", r#"{"item":" ","quantity":1}"#, 400, "item: is a text of 1 to 60 bytes"),
            ("PATCH", "/orders/1", r#"{"status":"ready"}"#, 400, "unknown field `status`"),
            ("GET", "/orders?state=eaten", "", 400, "bad request"),
            ("DELETE", "/orders", "", 405, "method not allowed"),
            ("GET", "/nothing", "", 404, "not found"),
            ("DELETE", "/sessions/nobody", "", 404, "there is no such session"),
        ] {
            let (found, answer) = call(&service, method, path, body).await;
            assert_eq!(found, status, "{method} {path}: {answer}");
            assert!(answer.contains(expected), "{method} {path}: {answer}");
        }
    }

    #[tokio::test]
    async fn only_those_with_credentials_are_signed_in() {
        let store = Store::with_orders();
        let service = service(&store);
        let path = "/tenants/acme/sessions";
        let refused = warp::test::request().method("POST").path(path).body(r#"{"session":"s"}"#).reply(&service).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(refused.headers()[header::WWW_AUTHENTICATE], "Bearer");
        let (status, answer) = call(&service, "POST", path, r#"{"session":"s"}"#).await;
        assert_eq!((status, answer.as_str()), (201, r#"{"user":"alice","tenant":"acme"}"#));
        assert_eq!(call(&service, "DELETE", "/sessions/s", "").await, (204, String::new()));
        assert!(store.sessions.lock().is_empty());
    }
}
