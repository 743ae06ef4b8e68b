//go:build components

// Package etcd names the program that hack/kube.sh builds, see the module of Kubernetes beside it.
package etcd

import _ "go.etcd.io/etcd/server/v3"
