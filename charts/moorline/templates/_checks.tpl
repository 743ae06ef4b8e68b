{{/* What no schema can say. Stops the rendering with what to do. */}}
{{- define "moorline.checks" -}}
{{- if and .Values.webhook.enabled (has .Release.Namespace .Values.watchNamespaces) -}}
{{- fail (printf "watchNamespaces: %s is the release's own namespace, whose pods are never injected; install the operator into another one" .Release.Namespace) -}}
{{- end -}}
{{- if eq .Release.Namespace .Values.test.namespace -}}
{{- fail (printf "test.namespace: %s is the release's own namespace, whose pods are never injected" .Values.test.namespace) -}}
{{- end -}}
{{- end -}}
