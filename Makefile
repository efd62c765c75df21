# rigmesh: everything a person or a machine builds, tests and tries. Results go to bin/, which git ignores.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.NOTPARALLEL: # packages come before what is built with them; go and the tools use every core by themselves

# Left out of what libraries bring: gRPC's traces as web pages, manuals of the command line, Intel's shares of cache.
TAGS := grpcnotrace,urfave_cli_no_docs,no_rdt
# One set of flags for building, testing and linting, so that they share compiled packages.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false -tags=$(TAGS)
# The tools keep what they know beside themselves.
export GOLANGCI_LINT_CACHE := $(CURDIR)/bin/cache/golangci-lint
export BUF_CACHE_DIR := $(CURDIR)/bin/cache/buf

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

include tools/helpers.mk # runc, the shim, the task's init and the reader of GPUs, compressed for embedding: target helpers
include tools/gpu.mk

.PHONY: faults histories build packages test failpoints lint formatted tidy generate generated cross check demo sim matrix mutants bench model soak fuzz clean root

build: packages helpers ## bin/rigmesh, one static file
	go build -overlay $$(tools/overlay.sh) -ldflags '$(LDFLAGS)' -o bin/rigmesh ./cmd/rigmesh

packages: ## install the Debian packages that build and tests need, or say which are missing
	@tools/packages.sh test

test: build failpoints ## every test; as root those that need containers too
	tools/previous.sh optional
	go test -timeout 15m ./...

failpoints: helpers ## rigmesh that ends itself where a test says: job/journal/fault
	go build -overlay $$(tools/overlay.sh) -tags failpoints,$(TAGS) -ldflags '$(LDFLAGS)' -o bin/rigmesh-failpoints ./cmd/rigmesh

lint: bin/tools/golangci-lint
	bin/tools/golangci-lint run
	CGO_ENABLED=1 CGO_CFLAGS='$(NVML_CFLAGS)' bin/tools/golangci-lint run --build-tags faults ./cmd/rigmesh-nvml

formatted:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt these: $$unformatted" >&2; exit 1; }

tidy: ## tools/ is left out: go mod tidy does not get through buf's own dependencies
	go mod tidy -diff

generate: bin/tools/buf ## Go code from proto/
	cd proto && ../bin/tools/buf lint && ../bin/tools/buf generate

generated: bin/tools/buf ## is the committed code what proto/ generates?
	rm -rf bin/_generated && cd proto && ../bin/tools/buf lint && ../bin/tools/buf generate -o ../bin/_generated
	diff <(tools/sums.sh proto) <(tools/sums.sh bin/_generated)

cross: ## the requester's side runs on macOS and Windows too
	GOOS=darwin GOARCH=arm64 go build -o /dev/null ./cmd/rigmesh
	GOOS=windows GOARCH=amd64 go build -o /dev/null ./cmd/rigmesh

check: ## everything that continuous integration runs
	@tools/steps.sh packages build generated formatted tidy lint cross test

demo: root build ## the main job on this machine: three workers, one requester, one receipt
	@go build -o bin/demo ./testnet/demo && exec bin/demo -rigmesh bin/rigmesh

sim: ## whole nodes in one process, on a simulated network and in virtual time
	go test -count=1 -v ./testnet/sim
	go test -count=1 -v -timeout 4h ./testnet/crowd -full -figures $(CURDIR)/bin/sim.figures | grep -v -e "=== " # figures beside goals
	go run ./testnet/charts -figures bin/sim.figures -into docs/scale.md

.PHONY: sim-big
sim-big: ## what the rules predict for networks of up to a million nodes
	go run ./testnet/model -into docs/scale.md

matrix: build failpoints ## the power goes at every step of both journals, 50 times each; real processes die at each, once
	go test -count=1 -timeout 3h ./testnet/sim -run 'PowerCut|DiskThatFails' -v -kill-seeds 50 | grep -v -e level= -e '=== ' -e PASS:
	go test -count=1 -timeout 3h ./testnet/e2e -run 'Disk|APowerCut' -v -disk-rounds 4 | grep -v -e level= -e '=== ' -e PASS:
	go test -count=1 -timeout 3h ./testnet/e2e -run BothSidesDie -v -fail-seeds 1 | grep -v -e level= -e '=== ' -e PASS:

.PHONY: compat
compat: build ## this version with the recorded earlier one, each way, and a change of version in the middle of a job
	tools/previous.sh
	go test -count=1 -v ./testnet/golden
	go test -count=1 -timeout 30m ./testnet/e2e -run Version -v | grep -v -e level= -e '=== '

mutants: ## known bugs, one at a time: which tests find which
	go run ./testnet/mutants

.PHONY: torture
torture: root build ## 200 tasks end while nobody looks; 300 jobs have node, containerd or task killed; 10 GiB of logs
	go test -count=1 -timeout 1h ./runtime/containerd -run NobodyLooks -v -unseen-ends 200 | grep -v -e '=== '
	go test -count=1 -timeout 3h ./testnet/e2e -run 'RandomKills|HostileJobs' -v -kill-jobs 300 -flood-mib 10240 | grep -v -e '=== '

.PHONY: vm
vm: root build ## a whole machine, emulated: systemd, control groups v2, reboot, power cut; VMFLAGS="-run boot -shell"
	@tools/packages.sh vm
	@go build -o bin/vmtest ./testnet/vm && exec bin/vmtest -rigmesh bin/rigmesh $(VMFLAGS)

bench: root build ## speed and size beside what the same costs without rigmesh; BENCHFLAGS="-out docs/performance.md"
	@go build -o bin/bench ./testnet/bench && exec bin/bench -rigmesh bin/rigmesh $(BENCHFLAGS)

model: ## everything that can happen to a short lease: orders, losses, crashes, a side that lies; prints how many states
	go test -count=1 -v -timeout 30m -run 'TestNoOrderOfEventsBreaksALease|TestEveryRuleIsNeeded' ./job/lease -wide

soak: ## 100,000 false frames at a live lease, a million histories of money, what nodes hold after 10,000 jobs
	go test -count=1 -timeout 30m ./job/session -run LiveLease -attacks 100000
	go test -count=1 -timeout 30m ./job -run EveryHistory -histories 1000000
	go test -count=1 -timeout 3h ./testnet/sim -run NodesDoNotGrow -v -soak-jobs 10000

faults: ## every fault of a card, in every state of a worker: one line each
	go test -count=1 -v -run TestFaultMatrix ./testnet/sim | grep '^fault '

.PHONY: lab
lab: root build ## a shell in a network of six real nodes, some behind NAT; LAB="hub worker:symmetric:3" or LAB="-f FILE" for others
	@go build -o bin/labshell ./testnet/labshell && exec bin/labshell -rigmesh bin/rigmesh $(LAB)

.PHONY: nat
nat: root build ## every kind of NAT against every other, a lease with 64 MiB each; 20 rigs behind one address; a router that maps ports
	@tools/packages.sh nat
	go test -count=1 -timeout 30m ./testnet/nat -whole -v | grep -v -e '=== ' -e level=

.PHONY: race
race: packages helpers ## every test 20 times under the race detector, nodes included; counts executions and failures
	tools/previous.sh
	TAGS=$(TAGS) tools/race.sh 20

histories: ## a million random histories of reservations: some ten minutes
	go test -count=1 -v -timeout 2h -run TestNoHistory ./gpu -histories 1000000

fuzz: ## every fuzz target for 60 s
	tools/fuzz.sh 60s

root:
	@test $$(id -u) -eq 0 || { echo "a worker runs containers and that needs root: run this with sudo" >&2; exit 1; }

clean:
	rm -rf bin runtime/containerd/assets/bin/*.zst

# Each tool has a module of its own, which pins it.
bin/tools/buf: tools/buf/go.mod tools/buf/go.sum
	cd tools/buf && go build -o $(CURDIR)/$@ github.com/bufbuild/buf/cmd/buf

bin/tools/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	cd tools/lint && go build -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
