{{/* What both webhooks have in common. */}}
{{- define "moorline.webhook" }}
  clientConfig:
    service:
      namespace: {{ .root.Release.Namespace }}
      name: {{ include "moorline.fullname" .root }}-webhook
      port: 443
      path: {{ .path }}
    {{- if eq .root.Values.webhook.certificate.source "Secret" }}
    {{- with .root.Values.webhook.certificate.caBundle }}
    caBundle: {{ . }}
    {{- end }}
    {{- end }}
  admissionReviewVersions: [v1]
  # Only pods that are made: what is injected lies in fields that a pod cannot change.
  rules:
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [CREATE]
    resources: [pods]
    scope: Namespaced
  matchPolicy: Equivalent
  # Another webhook may add containers after us.
  reinvocationPolicy: IfNeeded
  sideEffects: None
  failurePolicy: {{ .root.Values.webhook.failurePolicy }}
  timeoutSeconds: {{ .root.Values.webhook.timeoutSeconds }}
{{- end }}

{{/* Where pods are looked at: never where the cluster or the operator itself has to start. */}}
{{- define "moorline.namespaces" }}
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: {{ concat (list "kube-system" "kube-node-lease" .Release.Namespace) .Values.webhook.excludedNamespaces | toJson }}
    {{- with .Values.watchNamespaces }}
    - key: kubernetes.io/metadata.name
      operator: In
      values: {{ toJson . }}
    {{- end }}
{{- end }}
