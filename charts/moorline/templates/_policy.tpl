{{/*
Pieces of CEL for the ValidatingAdmissionPolicies. An object is a map to them (dyn), so that its fields can be gone through
without being named: what a newer Kubernetes adds is compared too.

Two maps are the same but for the keys in a list:
{{ include "moorline.same" (dict "new" "object.spec" "old" "oldObject.spec" "except" "['template']") }}
*/}}
{{- define "moorline.same" -}}
dyn({{ .new }}).all(key, key in {{ .except }} ||
  (key in dyn({{ .old }}) && dyn({{ .old }})[key] == dyn({{ .new }})[key])) &&
dyn({{ .old }}).all(key, key in {{ .except }} || key in dyn({{ .new }}))
{{- end -}}

{{/* Of an object's metadata only the annotations in the list change, and what the API server itself keeps there. */}}
{{- define "moorline.sameMetadata" -}}
- expression: >-
    {{- include "moorline.same" (dict "new" "variables.annotations" "old" "variables.oldAnnotations" "except" .) | nindent 4 }}
  message: Moorline's operator changes only these annotations here, {{ . | replace "'" "" }}
  reason: Forbidden
- expression: >-
    {{- include "moorline.same" (dict "new" "object.metadata" "old" "oldObject.metadata" "except" "['annotations', 'managedFields', 'resourceVersion', 'generation']") | nindent 4 }}
  message: Moorline's operator changes nothing of metadata but annotations
  reason: Forbidden
{{- end -}}
