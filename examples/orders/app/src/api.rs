//! What the service answers.
//!
//! | Request | Answer |
//! |---|---|
//! | `POST /tenants/{tenant}/sessions` | 201, and who is signed in; 401 without credentials |
//! | `DELETE /sessions/{id}` | 204 |
//! | `GET /sessions` | 200, how many were opened and closed at this replica |
//! | `GET /orders?state=` | 200, the orders |
//! | `POST /orders` | 201, the order; 400 when it makes no sense |
//! | `GET /orders/{id}`, `PATCH /orders/{id}` | 200, the order; 404 |
//! | `POST /tenants/{tenant}/announce?text=` | 200, how many clients of the tenant it reached |
//! | `GET /healthz` | 200, and which replica this is |
//! | `POST /debug/exit` | none: it ends at once, as a crash would have it |

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter as _, Rejection, Reply as _};

use crate::push::Callback;
use crate::store::{Refusal, State, Store};

/// The largest body it reads.
const MAX_BODY_BYTES: u64 = 16 * 1024;

/// What the handlers share.
#[derive(Debug, Default)]
pub(crate) struct App {
    store: Store,
    callback: Callback,
}

#[derive(Debug, Deserialize)]
struct Listed {
    state: Option<State>,
}

#[derive(Debug, Deserialize)]
struct Notice {
    text: String,
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

/// A status and JSON, as text: a tree would lose the order of the fields.
type Answer = (StatusCode, String);

/// The service.
pub(crate) fn service(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let kept = Arc::clone(app);
    let app = warp::any().map(move || Arc::clone(&kept));
    let user = warp::header::optional("authorization").map(user_of);
    let body = warp::body::content_length_limit(MAX_BODY_BYTES).and(warp::body::bytes());

    let sign_in = warp::path!("tenants" / String / "sessions")
        .and(warp::post().and(app.clone()).and(user).and(body))
        .and(warp::header::optional("moorline-callback-url"))
        .map(|tenant: String, app: Arc<App>, user, body: Bytes, callback| app.sign_in(&tenant, user, &body, callback))
        .boxed();
    let sign_out = warp::path!("sessions" / String)
        .and(warp::delete().and(app.clone()))
        .map(|id: String, app: Arc<App>| app.sign_out(&id))
        .boxed();
    let sessions = warp::path!("sessions")
        .and(warp::get().and(app.clone()))
        .map(|app: Arc<App>| (StatusCode::OK, text(&app.store.sessions())))
        .boxed();
    let list = warp::path!("orders")
        .and(warp::get().and(app.clone()).and(warp::query()))
        .map(|app: Arc<App>, listed: Listed| (StatusCode::OK, text(&app.store.list(listed.state))))
        .boxed();
    let create = warp::path!("orders")
        .and(warp::post().and(app.clone()).and(user).and(body))
        .map(|app: Arc<App>, user, body: Bytes| app.create(user, &body))
        .boxed();
    let read = warp::path!("orders" / u64)
        .and(warp::get().and(app.clone()))
        .map(|id, app: Arc<App>| app.store.read(id).map_or_else(refused, |order| (StatusCode::OK, text(&order))))
        .boxed();
    let patch = warp::path!("orders" / u64)
        .and(warp::patch().and(app.clone()).and(body))
        .map(|id, app: Arc<App>, body: Bytes| app.patch(id, &body))
        .boxed();
    let announce = warp::path!("tenants" / String / "announce")
        .and(warp::post().and(app).and(warp::query()))
        .then(|tenant: String, app: Arc<App>, notice: Notice| async move { app.announce(&tenant, &notice.text).await })
        .boxed();
    let health = warp::path!("healthz")
        .and(warp::get())
        .map(|| (StatusCode::OK, text(&json!({"replica": std::env::var("HOSTNAME").unwrap_or_default()}))))
        .boxed();
    let exit = warp::path!("debug" / "exit").and(warp::post()).map(|| -> Answer { std::process::exit(1) }).boxed();

    [sign_out, sessions, list, create, read, patch, announce, health, exit]
        .into_iter()
        .fold(sign_in, |all, route| all.or(route).unify().boxed())
        .map(answer)
        .recover(recover)
        .unify()
        .boxed()
}

impl App {
    fn sign_in(&self, tenant: &str, user: Option<String>, body: &Bytes, callback: Option<String>) -> Answer {
        let Some(user) = user else { return signed_out() };
        let NewSession { session } = match serde_json::from_slice(body) {
            Ok(session) => session,
            Err(error) => return senseless(&error),
        };
        println!("session-opened {session}");
        self.store.sign_in(session);
        if let Some(url) = callback {
            self.callback.is(url);
        }
        (StatusCode::CREATED, text(&SignedIn { user: &user, tenant }))
    }

    fn sign_out(&self, id: &str) -> Answer {
        println!("session-closed {id}");
        self.store.sign_out(id);
        (StatusCode::NO_CONTENT, String::new())
    }

    fn create(&self, user: Option<String>, body: &Bytes) -> Answer {
        let Some(by) = user else { return signed_out() };
        match serde_json::from_slice(body) {
            Ok(order) => self.store.create(by, order).map_or_else(refused, |order| (StatusCode::CREATED, text(&order))),
            Err(error) => senseless(&error),
        }
    }

    fn patch(&self, id: u64, body: &Bytes) -> Answer {
        match serde_json::from_slice(body) {
            Ok(change) => self.store.patch(id, change).map_or_else(refused, |order| (StatusCode::OK, text(&order))),
            Err(error) => senseless(&error),
        }
    }

    async fn announce(&self, tenant: &str, text: &str) -> Answer {
        // Nobody beside us, or not yet: the clients are not told, and the caller is.
        match self.callback.publish(&format!("tenant-{tenant}"), json!({"notice": text}).to_string()).await {
            Ok(reached) => (StatusCode::OK, reached),
            Err(error) => problem(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    }
}

/// Who sends `Authorization: Bearer NAME`. A real service would check a signature here.
fn user_of(authorization: Option<String>) -> Option<String> {
    authorization?.strip_prefix("Bearer ").filter(|name| !name.is_empty()).map(str::to_owned)
}

fn signed_out() -> Answer {
    problem(StatusCode::UNAUTHORIZED, "sign in first")
}

fn senseless(error: &serde_json::Error) -> Answer {
    problem(StatusCode::BAD_REQUEST, &error.to_string())
}

fn refused(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::NoSuchOrder(id) => problem(StatusCode::NOT_FOUND, &format!("there is no order {id}")),
        Refusal::Senseless(rule) => problem(StatusCode::BAD_REQUEST, rule),
    }
}

fn problem(status: StatusCode, error: &str) -> Answer {
    (status, text(&json!({"error": error})))
}

fn text(value: &impl Serialize) -> String {
    // None of the types here can fail to be JSON.
    serde_json::to_string(value).unwrap_or_default()
}

fn answer((status, body): Answer) -> Response {
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
    Ok(answer(problem(status, &status.canonical_reason().unwrap_or_default().to_lowercase())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests;
