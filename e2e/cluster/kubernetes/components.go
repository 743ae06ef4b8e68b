//go:build components

// Package kubernetes names the programs that hack/kube.sh builds, so that `go mod tidy` keeps what they need in go.mod
// and go.sum. It is never compiled: programs cannot be imported.
//
// A module of ours is needed because k8s.io/kubernetes has `replace` lines, with which `go install` refuses it.
package kubernetes

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
