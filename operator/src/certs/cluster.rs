//! What the certificates ask of the API: one Secret and one webhook configuration, each by its name.
//!
//! By name and by polling, because a watch would need `list`, and with it every Secret of the namespace. Every write
//! names the version it is based on, so that of two that believe to lead one loses and looks again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Client, Resource as _, ResourceExt as _};
use moorline_crds::names::{CERTIFICATES_MANAGER, MANAGED_BY, MANAGED_BY_LABEL};
use serde_json::json;

use super::error::CertificateError;

/// How long the API server may take. Without a bound, a connection that died silently would hold up a renewal.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The parts of the API that matter here.
pub(super) struct Cluster {
    client: Client,
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
    namespace: String,
    secret: String,
    configuration: Option<String>,
}

/// The Secret as it is.
pub(super) struct Found {
    pub(super) version: Option<String>,
    pub(super) data: BTreeMap<String, ByteString>,
}

/// What came of publishing the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    /// It was there already.
    AsItWas,
    /// It is there now.
    Now,
    /// Somebody else changed the configuration meanwhile.
    Contended,
    /// Publishing is not ours to do.
    Elsewhere,
}

impl Cluster {
    pub(super) fn new(client: Client, namespace: &str, secret: String, configuration: Option<String>) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            configurations: Api::all(client.clone()),
            client,
            namespace: namespace.to_owned(),
            secret,
            configuration,
        }
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// The Secret, and what the API server's clock says. That clock counts, because the API server checks the dates of
    /// certificates by it; with our own, one wrong clock would replace what everybody else trusts.
    pub(super) async fn read(&self) -> Result<(Option<Found>, Timestamp), CertificateError> {
        let failed = |source| CertificateError::GetSecret { name: self.secret.clone(), source: Box::new(source) };
        let response = in_time("reading the Secret", self.get_secret()).await?.map_err(failed)?;
        let date = response.headers().get(http::header::DATE).and_then(|value| value.to_str().ok());
        let now = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok()).unwrap_or_else(Timestamp::now);
        let status = response.status();
        if status == http::StatusCode::NOT_FOUND {
            return Ok((None, now));
        }
        let secret: Secret = in_time("reading the Secret", decode(response)).await?.map_err(failed)?;
        if secret.labels().get(MANAGED_BY_LABEL).is_none_or(|by| by != MANAGED_BY) {
            return Err(CertificateError::ForeignSecret(self.secret.clone()));
        }
        Ok((Some(Found { version: secret.resource_version(), data: secret.data.unwrap_or_default() }), now))
    }

    async fn get_secret(&self) -> Result<http::Response<kube::client::Body>, kube::Error> {
        // Not `Api::get`, which keeps the headers to itself.
        let request = Request::new(Secret::url_path(&(), Some(&self.namespace)))
            .get(&self.secret, &GetParams::default())
            .map_err(kube::Error::BuildRequest)?;
        self.client.send(request.map(kube::client::Body::from)).await
    }

    /// Writes `data` over the version that was read, or makes the Secret when there was none. `false`: somebody else
    /// was first.
    pub(super) async fn write(
        &self,
        found: Option<&Found>,
        data: &BTreeMap<&'static str, ByteString>,
    ) -> Result<bool, CertificateError> {
        let manager = Some(CERTIFICATES_MANAGER.to_owned());
        let written = if let Some(found) = found {
            // A merge, so that the parts that did not change need not be sent.
            let patch = json!({ "metadata": { "resourceVersion": found.version }, "data": data });
            let params = PatchParams { field_manager: manager, ..PatchParams::default() };
            let patch = Patch::Merge(&patch);
            in_time("writing the Secret", self.secrets.patch(&self.secret, &params, &patch)).await?
        } else {
            let mut secret = Secret {
                data: Some(data.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()),
                type_: Some("kubernetes.io/tls".to_owned()),
                ..Secret::default()
            };
            secret.metadata.name = Some(self.secret.clone());
            secret.labels_mut().insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
            let params = PostParams { field_manager: manager, ..PostParams::default() };
            in_time("making the Secret", self.secrets.create(&params, &secret)).await?
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(source) => Err(CertificateError::WriteSecret { name: self.secret.clone(), source: Box::new(source) }),
        }
    }

    /// Has every webhook of the configuration trust `bundle`.
    pub(super) async fn publish(&self, bundle: &str) -> Result<Published, CertificateError> {
        let Some(name) = &self.configuration else { return Ok(Published::Elsewhere) };
        let found = in_time("reading the webhook configuration", self.configurations.get(name))
            .await?
            .map_err(|source| CertificateError::GetConfiguration { name: name.clone(), source: Box::new(source) })?;
        let wanted = ByteString(bundle.as_bytes().to_vec());
        let webhooks = found.webhooks.as_deref().unwrap_or_default();
        if webhooks.iter().all(|webhook| webhook.client_config.ca_bundle.as_ref() == Some(&wanted)) {
            return Ok(Published::AsItWas);
        }
        // Only names and bundles: the rest of each entry stays the chart's. The version, because an entry that was
        // removed meanwhile would be made anew from its name and bundle alone, and refused.
        let entries: Vec<_> = webhooks
            .iter()
            .map(|webhook| json!({ "name": webhook.name, "clientConfig": { "caBundle": wanted } }))
            .collect();
        let patch = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": name, "resourceVersion": found.resource_version() },
            "webhooks": entries,
        });
        let params = PatchParams::apply(CERTIFICATES_MANAGER).force();
        let patch = Patch::Apply(&patch);
        match in_time("publishing the CA", self.configurations.patch(name, &params, &patch)).await? {
            Ok(_) => Ok(Published::Now),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Published::Contended),
            Err(source) => Err(CertificateError::PublishBundle { name: name.clone(), source: Box::new(source) }),
        }
    }
}

async fn decode(response: http::Response<kube::client::Body>) -> Result<Secret, kube::Error> {
    use http_body_util::BodyExt as _;

    let status = response.status();
    let bytes = response.into_body().collect().await?.to_bytes();
    if status.is_success() {
        return serde_json::from_slice(&bytes).map_err(kube::Error::SerdeError);
    }
    let status = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
        kube::core::Status::failure("the answer is no status", "Unreadable").with_code(status.as_u16())
    });
    Err(kube::Error::Api(status.boxed()))
}

async fn in_time<F: Future>(what: &'static str, future: F) -> Result<F::Output, CertificateError> {
    tokio::time::timeout(ANSWER_WITHIN, future).await.map_err(|_| CertificateError::AwaitApi(what))
}
