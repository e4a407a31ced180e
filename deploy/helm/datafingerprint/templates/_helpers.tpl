{{- define "datafingerprint.name" -}}
{{- printf "%s-%s" .Release.Name "datafingerprint" | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "datafingerprint.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "datafingerprint.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "datafingerprint.selector" -}}
app.kubernetes.io/name: datafingerprint
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "datafingerprint.labels" -}}
{{ include "datafingerprint.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
