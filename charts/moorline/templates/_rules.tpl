{{/*
What the operator does in the namespaces it works in, verb by verb as the code does it. A test finds a rule that is never
used, and a call that is denied, in the API server's audit log.
*/}}
{{- define "moorline.rules" -}}
# Routes: read, and their status written.
- apiGroups: [moorline.dev]
  resources: [websocketroutes]
  verbs: [list, watch]
- apiGroups: [moorline.dev]
  resources: [websocketroutes/status]
  verbs: [patch]
# The children of a Service that has routes: its document, and the Services in front of its sidecars. A policy holds this
# to objects of Moorline's own.
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
# Which pods are behind a Service, and which have the sidecar; a pod without is read before anything is done about it. The
# annotation that has the kubelet look at a document at once is written through the status, so that there is no right to
# change pods.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/status]
  verbs: [patch]
# What happened, for people to read.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# The owners of pods that lack the sidecar{{ if eq .Values.rollout "allowed" }}: the workload is restarted once, or its pods are evicted one by one{{ end }}.
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get]
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get{{ if eq .Values.rollout "allowed" }}, patch{{ end }}]
{{- if eq .Values.rollout "allowed" }}
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
{{- end }}
{{- if .Values.expose.enabled }}
# spec.expose
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- end -}}

{{/* Whom a role is bound to. */}}
{{- define "moorline.subject" }}
subjects:
- kind: ServiceAccount
  name: {{ include "moorline.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
