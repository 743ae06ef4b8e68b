//go:build components

// Package helm names the program that hack/kube.sh builds, see the module of Kubernetes beside it.
package helm

import _ "helm.sh/helm/v3/cmd/helm"
