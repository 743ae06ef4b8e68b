//! Builds the selectors of a route and gives every body path its slot.
//!
//! Done once, after a route is compiled or decoded, and not by each template for itself: all paths of a
//! route share one selector, so that a message is walked once whatever its action reads.

use super::{Action, ReplyTo, Route};
use crate::expression::{BodyPath, Source};
use crate::select::Selector;
use crate::template::{BodyPlan, BodyTemplate};

impl Route {
    /// Builds the selectors and gives every body path its slot.
    pub(crate) fn link(mut self) -> Self {
        self.selector = Selector::link(true, |link| {
            self.visit_sources(&mut |source| {
                if let Source::Body(path) = source {
                    link(path);
                }
            });
        });
        for action in self.actions_mut() {
            let selector = Selector::link(false, |link: &mut dyn FnMut(&mut BodyPath)| {
                action.visit_sources(&mut |source| {
                    if let Source::ResponseBody(path) = source {
                        link(path);
                    }
                });
            });
            action.response_selector = (!selector.is_empty()).then_some(selector);
        }
        self
    }

    fn actions_mut(&mut self) -> impl Iterator<Item = &mut Action> {
        [&mut self.connect, &mut self.disconnect, &mut self.default]
            .into_iter()
            .flatten()
            .chain(self.keyed.values_mut())
    }

    fn visit_sources(&mut self, visit: &mut dyn FnMut(&mut Source)) {
        self.selection.sources_mut().for_each(&mut *visit);
        for header in &mut self.headers {
            header.value.sources_mut().for_each(&mut *visit);
        }
        if let Some(body) = &mut self.errors.body {
            body.visit_mut(visit);
        }
        for action in self.actions_mut() {
            action.visit_sources(visit);
        }
    }
}

impl Action {
    fn visit_sources(&mut self, visit: &mut dyn FnMut(&mut Source)) {
        if let Some(request) = &mut self.request {
            request.path.sources_mut().for_each(&mut *visit);
            let headers = request.headers.iter_mut().map(|header| &mut header.value);
            for expression in request.query.parameters.values_mut().chain(headers) {
                expression.sources_mut().for_each(&mut *visit);
            }
            match &mut request.body {
                BodyPlan::Message | BodyPlan::None => {}
                BodyPlan::Text(text) => text.sources_mut().for_each(&mut *visit),
                BodyPlan::Json(json) => json.visit_mut(visit),
            }
        }
        if let ReplyTo::Group(name) | ReplyTo::User(name) = &mut self.reply.to {
            name.sources_mut().for_each(&mut *visit);
        }
        if let Some(body) = &mut self.reply.body {
            body.visit_mut(visit);
        }
        for name in self.join.iter_mut().chain(&mut self.leave).chain(&mut self.user) {
            name.sources_mut().for_each(&mut *visit);
        }
    }
}

impl BodyTemplate {
    fn visit_mut(&mut self, visit: &mut dyn FnMut(&mut Source)) {
        match self {
            Self::Text(text) => text.sources_mut().for_each(visit),
            Self::Json(json) => json.visit_mut(visit),
        }
    }
}
