# What there is to do with tally. `make demo` and `make test` are all a newcomer needs: each
# installs what is missing, builds, and runs.

SHELL := /bin/bash
BINARY := .build/release/tally
SEEDS ?= 1-10000
# lld, as the other linker warns of a function in Foundation that nobody here calls.
STATIC := -c release --static-swift-stdlib -Xswiftc -use-ld=lld
RELEASE := swift build $(STATIC) --product tally

.PHONY: help demo test simulate build bench check fuzz format

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: build ## the whole system in one process: 100,000 plays, counted and published
	@# What the build has left to be written would be waited for at each commit.
	@sync
	@$(BINARY) demo $(ARGS)

test: install ## builds and runs all tests; needs no service
	@# The simulation's worlds are the same in every run only if hashing is.
	SWIFT_DETERMINISTIC_HASHING=1 swift test --parallel

simulate: install ## worlds in which all goes wrong: make simulate SEEDS=1-100000, or SEEDS=7
	swift build $(STATIC) --product simulate
	@SWIFT_DETERMINISTIC_HASHING=1 .build/release/simulate $(SEEDS)

build: install ## the release binary, .build/release/tally
	$(RELEASE)

bench: build ## measures the broker: make bench ARGS="--against=127.0.0.1:5150"
	@$(BINARY) bench $(ARGS)

check: ## all that continuous integration checks
	@.ci/run

fuzz: install ## fuzzes each reader of what others send: make fuzz SECONDS=60
	@.ci/fuzz $(or $(SECONDS),60)

format: ## lays the sources out
	swift format -i -r Sources Tests Package.swift

.PHONY: install
install:
	@.ci/install
