//! One call of the API, from its head to its answer.

use std::sync::Arc;

use bytes::Buf;
use futures_util::Stream;
use http::{HeaderMap, Method, StatusCode};
use warp::reply::Response;

use super::answer::{Answer, ListBody, StatusBody, failure, request_id, success};
use super::batch::{Batch, Outcome, Results};
use super::error::ApiError;
use super::path::{Id, Operation, Path, Resource};
use super::{CallbackState, Push, body, guard, message, query};
use crate::connection::ConnectionId;
use crate::hub::{Backplane, SendError, Target};

/// Ids and escapes come on top of the message in a batch, and base64 makes it a third longer.
const BATCH_EXTRA_BYTES: usize = 64 * 1024;

/// A request as warp hands it over.
pub(super) struct Request<S> {
    pub(super) method: Method,
    pub(super) path: warp::path::FullPath,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: S,
}

/// What is learnt of a call on the way to its answer, for metrics and observers.
#[derive(Default)]
struct Seen {
    operation: Option<&'static str>,
    target: String,
    body_bytes: usize,
    reached: Option<usize>,
}

/// Answers a request. Never fails: a failure is an answer too.
pub(super) async fn handle<S, B, E>(state: Arc<CallbackState>, request: Request<S>) -> Response
where
    S: Stream<Item = Result<B, E>> + Send,
    B: Buf + Send,
    E: Send,
{
    let id = request_id();
    let mut seen = Seen::default();
    let result = Call { state: &state, seen: &mut seen }.run(request).await;
    let error = result.as_ref().err().map(ApiError::reason);
    let response = match result {
        Ok(answer) => success(answer, &id),
        Err(error) => failure(&error, &id),
    };
    let status = response.status().as_u16();
    // What names no call of ours shares one label: anybody can make up paths.
    let operation = seen.operation.unwrap_or("none");
    state.metrics.pushed(operation, status);
    if let Some(observer) = &state.observer {
        observer.pushed(&Push {
            operation,
            target: &seen.target,
            status,
            reached: seen.reached,
            body_bytes: seen.body_bytes,
            request_id: &id,
            error,
        });
    }
    response
}

struct Call<'a> {
    state: &'a CallbackState,
    seen: &'a mut Seen,
}

impl Call<'_> {
    async fn run<S, B, E>(&mut self, request: Request<S>) -> Result<Answer, ApiError>
    where
        S: Stream<Item = Result<B, E>> + Send,
        B: Buf + Send,
        E: Send,
    {
        guard::check(&request.headers)?;
        let path = Path::parse(request.path.as_str())?;
        let operation = path
            .resource
            .operation(&request.method)
            .ok_or_else(|| ApiError::Method { allow: path.resource.allow() })?;
        self.seen.operation = Some(path.resource.label(operation));
        path.resource.target().clone_into(&mut self.seen.target);
        if operation == Operation::Drain {
            self.state.control.drain().await;
            return Ok(Answer::json(&serde_json::json!({ "drained": true })));
        }
        let service = self.service(&path.prefix)?;
        let service = &*service;
        match (operation, path.resource) {
            (Operation::SendMany, _) => {
                let limit_bytes = self.state.max_body_bytes * 2 + BATCH_EXTRA_BYTES;
                let body = body::read(&request.headers, request.body, limit_bytes, &self.state.budget).await?;
                self.seen.body_bytes = body.len();
                let batch = Batch::parse(&body, self.state.max_body_bytes, &self.state.budget)?;
                drop(body);
                self.send_many(service, batch).await
            }
            (Operation::Send | Operation::Publish, resource) => {
                let limit_bytes = self.state.max_body_bytes;
                let body = body::read(&request.headers, request.body, limit_bytes, &self.state.budget).await?;
                self.seen.body_bytes = body.len();
                let frame = message::frame(&request.headers, body)?;
                if let Resource::Connection(id) = resource {
                    service.send(known(&id)?, frame).await?;
                    return Ok(Answer::Empty(StatusCode::OK));
                }
                let published = service.publish(target(resource), frame).await;
                self.seen.reached = Some(published.reached);
                Ok(Answer::json(&published))
            }
            (Operation::List, resource) => {
                let page = query::page(&request.query)?;
                Ok(Answer::json(&ListBody::from(service.list(target(resource), page).await)))
            }
            (operation, resource) => one(service, operation, resource, &request.query).await,
        }
    }

    /// The Service a path is about. With one Service a prefix is the stage of an AWS endpoint, whatever it says; with
    /// several, its first two segments name one of them and a stage may follow.
    fn service(&self, prefix: &[String]) -> Result<Arc<dyn Backplane>, ApiError> {
        if let Some(only) = self.state.directory.only() {
            return Ok(only);
        }
        let [namespace, name, ..] = prefix else { return Err(ApiError::Service) };
        self.state.directory.find(namespace, name).ok_or(ApiError::Service)
    }

    async fn send_many(&mut self, service: &dyn Backplane, batch: Batch) -> Result<Answer, ApiError> {
        let mut results = Vec::with_capacity(batch.ids.len());
        for id in batch.ids {
            let sent = match id.parse() {
                Ok(known) => service.send(known, batch.frame.clone()).await,
                Err(_) => Err(SendError::Gone),
            };
            let status = sent.map_or_else(|error| ApiError::from(error).status(), |()| StatusCode::OK);
            results.push(Outcome { id, status: status.as_u16() });
        }
        self.seen.reached = Some(results.iter().filter(|outcome| outcome.status == 200).count());
        Ok(Answer::json(&Results { results }))
    }
}

/// The calls for one connection that carry no body.
async fn one(
    service: &dyn Backplane,
    operation: Operation,
    resource: Resource,
    query: &str,
) -> Result<Answer, ApiError> {
    match (operation, resource) {
        (Operation::Status, Resource::Connection(id)) => {
            Ok(Answer::json(&StatusBody::from(service.status(known(&id)?).await?)))
        }
        (Operation::Close, Resource::Connection(id)) => {
            let order = query::close(query)?;
            service.close(known(&id)?, order).await?;
            Ok(Answer::Empty(StatusCode::NO_CONTENT))
        }
        (Operation::Join, Resource::GroupConnection(group, id)) => {
            service.join(known(&id)?, group).await?;
            Ok(Answer::Empty(StatusCode::NO_CONTENT))
        }
        (Operation::Leave, Resource::GroupConnection(group, id)) => {
            service.leave(known(&id)?, group).await?;
            Ok(Answer::Empty(StatusCode::NO_CONTENT))
        }
        // The table in `Resource::operations` pairs no other call with a resource.
        (_, resource) => Err(ApiError::Method { allow: resource.allow() }),
    }
}

fn known(id: &Id) -> Result<ConnectionId, ApiError> {
    id.id.ok_or(ApiError::Gone)
}

fn target(resource: Resource) -> Target {
    match resource {
        Resource::Group(name) | Resource::GroupConnections(name) => Target::Group(name),
        Resource::User(name) | Resource::UserConnections(name) => Target::User(name),
        _ => Target::All,
    }
}
