# Everything a developer runs, one word each. `make` alone lists it. Each target works on a fresh
# clone and installs what it needs into .tools/ and e2e/node/node_modules (see hack/).

CARGO ?= cargo
# `ONCE=1 make demo` leaves after the script instead of staying up.
DEMO_FLAGS := $(if $(ONCE),--once)

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench e2e cluster fmt crds chart images tools clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Show a REST service become real-time on this machine (ONCE=1: leave afterwards)
	@hack/rust.sh
	@echo "==> demo: building moorline (a minute or two the first time), then running it"
	@$(CARGO) run --locked -p moorline-sidecar --bin moorline -- demo $(DEMO_FLAGS)

test: tools ## Run every test that needs no cluster, foreign clients included
	@hack/test.sh

e2e: ## Run the scenarios on a real Kubernetes that it starts, or on the one in KUBECONFIG (ONLY=rollout: those of that name)
	@hack/rust.sh
	@hack/e2e.sh $(ONLY)

cluster: ## Start a Kubernetes on this machine and stay until ctrl-c (root; 8 minutes the first time)
	@hack/rust.sh
	@$(CARGO) run --locked --quiet -p moorline-e2e --bin moorline-cluster -- up

lint: tools ## Check formatting, lints, dependencies, generated files and house rules
	@hack/lint.sh

bench: ## Measure memory, throughput and latency against calling the app directly
	@hack/bench.sh

fmt: ## Format the Rust code
	@hack/rust.sh
	$(CARGO) fmt --all

crds: ## Generate the CRD YAML again after a change of crds/
	@hack/crds.sh

chart: ## Check the Helm chart, and write its table of values again
	@hack/chart.sh

images: ## Build the container images, and say where they are (IMAGE_PREFIX, IMAGE_TAG, IMAGE_PROFILE)
	@hack/rust.sh
	@hack/images.sh

tools: ## Install what the tests and lints need besides Rust
	@hack/rust.sh
	@hack/node.sh
	@hack/python.sh

clean: ## Remove what was built and installed
	$(CARGO) clean
	rm -rf .tools e2e/node/node_modules
