{{/* Names and labels that the templates share. */}}

{{- define "rotunda.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "rotunda.node" -}}{{ include "rotunda.name" . }}-node{{- end }}
{{- define "rotunda.router" -}}{{ include "rotunda.name" . }}-router{{- end }}

{{- define "rotunda.selector" -}}
app.kubernetes.io/name: rotunda
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "rotunda.labels" -}}
{{ include "rotunda.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "rotunda.image" -}}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end }}

{{- define "rotunda.serviceAccount" -}}{{ .Values.serviceAccount.name | default (include "rotunda.name" .) }}{{- end }}

{{/* https where both sides have certificates; one side alone would find nobody. */}}
{{- define "rotunda.scheme" -}}
{{- $nodes := not (empty .Values.tls.nodesSecret) -}}
{{- $routers := not (empty .Values.tls.routersSecret) -}}
{{- if ne $nodes $routers -}}
{{- fail "tls.nodesSecret and tls.routersSecret belong together: with one of them alone nodes and routers do not find each other" -}}
{{- end -}}
{{- if $nodes }}https{{ else }}http{{ end -}}
{{- end }}

{{/* A node's name for its peers and for routers; takes a list of the context and the node's id. */}}
{{- define "rotunda.address" -}}
{{- $context := index . 0 -}}
{{- $node := include "rotunda.node" $context -}}
{{ include "rotunda.scheme" $context }}://{{ $node }}-{{ index . 1 }}.{{ $node }}.{{ $context.Release.Namespace }}.svc.{{ $context.Values.clusterDomain }}:7001
{{- end }}

{{/* As ROTUNDA_PEERS wants it: 1=http://...,2=http://... */}}
{{- define "rotunda.peers" -}}
{{- range $id := untilStep 1 (int (add1 .Values.nodes.count)) 1 -}}
{{- if gt $id 1 }},{{ end }}{{ $id }}={{ include "rotunda.address" (list $ $id) }}
{{- end -}}
{{- end }}

{{/* As ROTUNDA_NODE wants it: http://...,http://... */}}
{{- define "rotunda.seeds" -}}
{{- range $id := untilStep 1 (int (add1 .Values.nodes.count)) 1 -}}
{{- if gt $id 1 }},{{ end }}{{ include "rotunda.address" (list $ $id) }}
{{- end -}}
{{- end }}

{{- define "rotunda.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "rotunda.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "rotunda.autoscaled" -}}
{{- if and .Values.autoscaling.hpa.enabled .Values.autoscaling.keda.enabled -}}
{{- fail "autoscaling.hpa and autoscaling.keda both scale the routers, and would undo each other: enable one of them" -}}
{{- end -}}
{{- if or .Values.autoscaling.hpa.enabled .Values.autoscaling.keda.enabled }}yes{{ end -}}
{{- end }}

{{/* Where both go: to the nodes, and to whoever knows names. */}}
{{- define "rotunda.egress" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "rotunda.selector" . | nindent 10 }}
          app.kubernetes.io/component: node
  ports:
    - { protocol: TCP, port: 7001 }
- ports:
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
{{- end }}
