{{/*
Names and labels. Short enough that a suffix of 23 characters still makes a name.
*/}}
{{- define "moorline.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "moorline.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "moorline.operator" -}}
{{- include "moorline.fullname" . }}-operator
{{- end -}}

{{- define "moorline.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "moorline.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: is needed when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the webhook's certificate: the operator's, cert-manager's or yours. */}}
{{- define "moorline.certificateSecret" -}}
{{- if eq .Values.webhook.certificate.source "Secret" -}}
{{- required "webhook.certificate.secretName: is needed when webhook.certificate.source is Secret" .Values.webhook.certificate.secretName -}}
{{- else -}}
{{- include "moorline.fullname" . }}-webhook-certificate
{{- end -}}
{{- end -}}

{{- define "moorline.selectorLabels" -}}
app.kubernetes.io/name: {{ include "moorline.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of everything. With a component: {{ include "moorline.labels" (dict "root" . "component" "operator") }} */}}
{{- define "moorline.labels" -}}
{{ include "moorline.selectorLabels" .root }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: moorline
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image, by digest when there is one: {{ include "moorline.image" (dict "root" . "image" .Values.image) }} */}}
{{- define "moorline.image" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry -}}
{{- $name := ternary (printf "%s/%s" $registry .image.repository) .image.repository (ne $registry "") -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}
