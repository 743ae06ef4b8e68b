//! What goes back: the reply of an entry and the frame of an error.
//!
//! A reply that could never be sent (to nobody, of nothing, to a sender who is gone) is a mistake and not a
//! silent nothing.

use super::place::{Event, Place};
use super::report::Report;
use crate::document::{Reply, ReplyTo};
use crate::expression::Expression;
use crate::template::{BodyTemplate, JsonTemplate};
use crate::v1alpha1::{ReplyTarget, RouteEntry};

/// Compiles the reply of an entry, at `field` (`spec.routes[2].reply`).
pub(super) fn compile(field: &str, entry: &RouteEntry, place: Place<'_>, report: &mut Report) -> Reply {
    let Some(reply) = &entry.reply else {
        let answers = place.event == Event::Message && entry.request.is_some();
        return Reply { to: if answers { ReplyTo::Sender } else { ReplyTo::None }, envelope: false, body: None };
    };
    let target = reply.to.unwrap_or(ReplyTarget::Sender);
    let group =
        named(&format!("{field}.group"), "Group", target == ReplyTarget::Group, reply.group.as_deref(), place, report);
    let user =
        named(&format!("{field}.user"), "User", target == ReplyTarget::User, reply.user.as_deref(), place, report);
    let envelope = reply.envelope.unwrap_or(false);
    if envelope && place.event != Event::Message {
        report.add(format!("{field}.envelope"), "is possible only for messages");
    } else if envelope && target != ReplyTarget::Sender {
        report.add(format!("{field}.envelope"), "is possible only when the reply goes to the sender");
    }
    if place.event == Event::Disconnect && target == ReplyTarget::Sender {
        report.add(format!("{field}.to"), "is not Sender on $disconnect: the sender is gone");
    }
    let body = reply.body.as_ref().filter(|body| !body.is_null());
    match (body, target) {
        (Some(_), ReplyTarget::None) => {
            report.add(format!("{field}.body"), "goes to nobody: to is None");
        }
        (None, target) if entry.request.is_none() && target != ReplyTarget::None => {
            report.add(format!("{field}.body"), "is needed, because this entry makes no call");
        }
        _ => {}
    }
    let body = body.and_then(|body| body_template(&format!("{field}.body"), body, place, report));
    let to = match target {
        ReplyTarget::Sender => ReplyTo::Sender,
        ReplyTarget::Group => group.map_or(ReplyTo::None, ReplyTo::Group),
        ReplyTarget::User => user.map_or(ReplyTo::None, ReplyTo::User),
        ReplyTarget::All => ReplyTo::All,
        ReplyTarget::None => ReplyTo::None,
    };
    Reply { to, envelope, body }
}

/// The name that belongs to a target of a reply, which is there exactly when the target is chosen.
fn named(
    field: &str,
    target: &str,
    chosen: bool,
    name: Option<&str>,
    place: Place<'_>,
    report: &mut Report,
) -> Option<Expression> {
    if chosen && name.is_none() {
        report.add(field, format!("is needed when to is {target}"));
    }
    if !chosen && name.is_some() {
        report.add(field, format!("is possible only when to is {target}"));
    }
    report.name(field, name?, place)
}

/// The body of a reply or an error frame.
pub(super) fn body_template(
    field: &str,
    body: &serde_json::Value,
    place: Place<'_>,
    report: &mut Report,
) -> Option<BodyTemplate> {
    let serde_json::Value::String(text) = body else {
        return report.structure(field, body, place).map(BodyTemplate::Json);
    };
    let expression = report.expression(field, text, place)?;
    Some(if expression.lone().is_some() {
        BodyTemplate::Json(JsonTemplate::Text(expression))
    } else {
        BodyTemplate::Text(expression)
    })
}
