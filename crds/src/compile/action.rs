//! One entry of `spec.routes` to one action.
//!
//! The three special keys differ from messages in what they can read and to whom they can reply; these
//! differences are all here, so that the data plane runs every action the same way.

use std::collections::BTreeMap;
use std::time::Duration;

use super::place::{Event, Moment, Place};
use super::report::Report;
use crate::document::{Action, Limits};
use crate::expression::Expression;
use crate::template::{
    BodyPlan, HeaderTemplate, JsonTemplate, PathTemplate, QueryTemplate, RequestPlan, normalized_header_name,
};
use crate::v1alpha1::{Request, RouteEntry};

/// Compiles the entry at `field` (`spec.routes[2]`).
pub(super) fn compile(
    field: &str,
    entry: &RouteEntry,
    captures: Option<&[String]>,
    limits: &Limits,
    report: &mut Report,
) -> Action {
    let event = Event::of(&entry.key);
    let default_timeout = if event == Event::Connect { limits.connect_timeout } else { limits.call_timeout };
    let place = Place { event, moment: Moment::Request, captures };
    let call = entry.request.as_ref();
    let request = call.and_then(|call| request(&format!("{field}.request"), call, place, default_timeout, report));
    let after = Place { moment: if call.is_some() { Moment::Answered } else { Moment::NoCall }, ..place };
    let reply = super::reply::compile(&format!("{field}.reply"), entry, after, report);
    let join = groups(&format!("{field}.join"), &entry.join, after, report);
    let leave = groups(&format!("{field}.leave"), &entry.leave, after, report);
    let user = entry.user.as_ref().and_then(|user| {
        let field = format!("{field}.user");
        if event != Event::Connect {
            report.broken(&field, user, "is possible only on $connect");
        }
        report.name(&field, user, after)
    });
    Action::new(entry.key.clone(), request, reply, join, leave, user)
}

fn groups(field: &str, names: &[String], place: Place<'_>, report: &mut Report) -> Vec<Expression> {
    if place.event == Event::Disconnect && !names.is_empty() {
        report.add(field, "is not possible on $disconnect: the connection has left every group");
    }
    names
        .iter()
        .enumerate()
        .filter_map(|(index, name)| report.name(&format!("{field}[{index}]"), name, place))
        .collect()
}

fn request(
    field: &str,
    call: &Request,
    place: Place<'_>,
    default_timeout: Duration,
    report: &mut Report,
) -> Option<RequestPlan> {
    let path = path(&format!("{field}.path"), &call.path, place, report);
    let query = query(&format!("{field}.query"), &call.query, place, report);
    let headers = headers(&format!("{field}.headers"), &call.headers, false, place, report);
    let content_type = headers.iter().find(|header| header.name == "content-type");
    let literal = content_type.map(|header| header.value.literal());
    if literal == Some(None) {
        let name = named(&call.headers, "content-type");
        report.add(format!("{field}.headers.{name}"), "holds no values: the body is made to fit it");
    }
    let body = body(&format!("{field}.body"), call, literal.flatten(), place, report);
    let timeout = report.timeout(&format!("{field}.timeout"), call.timeout.as_ref(), default_timeout);
    Some(RequestPlan { method: call.method, path: path?, query, headers, body: body?, timeout })
}

/// The name of a header as the user wrote it.
pub(super) fn named<'h>(headers: &'h BTreeMap<String, String>, name: &'h str) -> &'h str {
    headers.keys().find(|given| given.eq_ignore_ascii_case(name)).map_or(name, String::as_str)
}

fn path(field: &str, text: &str, place: Place<'_>, report: &mut Report) -> Option<PathTemplate> {
    report.doubt(field, text);
    match PathTemplate::parse(text) {
        Ok(path) => report.sources(field, text, path.sources(), place).then_some(path),
        Err(error) => {
            report.broken(field, text, error);
            None
        }
    }
}

fn query(field: &str, query: &BTreeMap<String, String>, place: Place<'_>, report: &mut Report) -> QueryTemplate {
    let mut parameters = BTreeMap::new();
    for (name, text) in query {
        if name.is_empty() {
            report.add(field, "the name of a parameter is not empty");
        }
        if let Some(value) = report.expression(&format!("{field}.{name}"), text, place) {
            parameters.insert(name.clone(), value);
        }
    }
    QueryTemplate { parameters }
}

/// Compiles headers; `required` ones are left out when any value is missing.
pub(super) fn headers(
    field: &str,
    headers: &BTreeMap<String, String>,
    required: bool,
    place: Place<'_>,
    report: &mut Report,
) -> Vec<HeaderTemplate> {
    let mut templates = Vec::with_capacity(headers.len());
    let mut names = Vec::with_capacity(headers.len());
    for (name, text) in headers {
        let field = format!("{field}.{name}");
        if text.contains(char::is_control) {
            report.broken(&field, text, "holds no control characters");
        }
        let normalized = normalized_header_name(name);
        if names.contains(&normalized) {
            report.add(&field, "is there twice (case does not matter, and `_` counts as `-`)");
        }
        names.push(normalized);
        let value = report.expression(&field, text, place).unwrap_or_default();
        match HeaderTemplate::new(name, value, required) {
            Ok(template) => templates.push(template),
            Err(error) => report.add(&field, error.to_string()),
        }
    }
    templates
}

fn body(
    field: &str,
    call: &Request,
    content_type: Option<&str>,
    place: Place<'_>,
    report: &mut Report,
) -> Option<BodyPlan> {
    let text = match &call.body {
        None | Some(serde_json::Value::Null) => {
            let has_message = place.event == Event::Message && call.method.carries_message();
            return Some(if has_message { BodyPlan::Message } else { BodyPlan::None });
        }
        Some(serde_json::Value::String(text)) => text,
        Some(structure) => {
            return report.structure(field, structure, place).map(BodyPlan::Json);
        }
    };
    let json_type = content_type.map(is_json);
    let expression = report.expression(field, text, place)?;
    if expression.lone().is_some() && json_type != Some(false) {
        return Some(BodyPlan::Json(JsonTemplate::Text(expression)));
    }
    if expression.sources().next().is_some() {
        // Without a type this would go out as text/plain, which nobody wants of a text in braces.
        let meant_as_json = json_type.unwrap_or_else(|| text.trim().starts_with('{') && text.trim().ends_with('}'));
        if meant_as_json {
            report.broken(field, text, "text with values in it is not sent as JSON; write a structure");
            return None;
        }
    }
    Some(BodyPlan::Text(expression))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}
