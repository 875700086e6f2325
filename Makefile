# The tasks of this repository. A newcomer needs only `make demo` and `make test`. Both install the
# missing packages, build, and run.

SHELL := /bin/bash
BINARY := .build/release/tally
SEEDS ?= 1-10000
# lld, because the default linker warns about an unused function of Foundation.
STATIC := -c release --static-swift-stdlib -Xswiftc -use-ld=lld
RELEASE := swift build $(STATIC) --product tally
# At most eight tests are in progress, so that a test that waits for a broker is not delayed by
# hundreds of others. The option exists since Swift 6.3.
WIDTH := --experimental-maximum-parallelization-width
AT_MOST_8 = $(shell swift test --help-hidden | grep -q -e $(WIDTH) && echo $(WIDTH) 8)

# `make -C FOLDER` prints the name of the folder to standard output, which must contain only the output
# of the program that is run. make omits the name for recipes that are recursive (+) if it synchronizes
# their output.
FLAGS := $(firstword -$(MAKEFLAGS))
ifneq ($(findstring w,$(FLAGS)),)
ifeq ($(findstring n,$(FLAGS)),)
MAKEFLAGS += --output-sync=target --jobs=2
DIRECT := +
endif
endif

.PHONY: help demo test simulate build bench check fuzz sanitize flags kills faults examples format \
	install uninstall

help: ## print this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: build ## run the whole system with 100,000 plays, and check every rule
	@# Unwritten build output would delay the demo's commits.
	$(DIRECT)@sync
	$(DIRECT)@$(BINARY) demo $(ARGS)

test: packages ## build and run all tests; needs no service
	@# The simulation is reproducible only with deterministic hashing.
	$(DIRECT)SWIFT_DETERMINISTIC_HASHING=1 swift test --parallel $(AT_MOST_8) $(ARGS)

simulate: build-simulation ## simulate faults and crashes: make simulate SEEDS=1-100000, or SEEDS=7
	@SWIFT_DETERMINISTIC_HASHING=1 .build/release/simulate $(SEEDS)

.PHONY: build-simulation
build-simulation: packages
	swift build $(STATIC) --product simulate

build: packages ## build the release binary, .build/release/tally
	@# Build output goes to standard error: standard output is only for the program that is run.
	$(DIRECT)@echo "$(RELEASE)" >&2
	$(DIRECT)@$(RELEASE) >&2

bench: build ## measure the broker: make bench ARGS="--against=127.0.0.1:5150"
	$(DIRECT)@$(BINARY) bench $(ARGS)

check: ## run all checks of continuous integration
	@.ci/run

fuzz: packages ## fuzz the parsers: make fuzz SECONDS=60
	@.ci/fuzz $(or $(SECONDS),60)

sanitize: packages ## run the tests of all modules with the address and the thread sanitizer
	.ci/sanitize address test NSQWireTests BrokerCoreTests UVLoopTests HTTPTests TransportTests \
		NSQBrokerTests NSQClientTests PlayCountsTests
	.ci/sanitize thread test UVLoopTests NSQClientTests NSQTestingTests NSQBrokerTests PlayCountsTests \
		NSQJobsTests

flags: build ## start every command with every flag at extreme values
	@.ci/flags $(BINARY)

KILLS ?= 200
kills: ## kill the processor KILLS=200 times in each kill test, also with a store that does not work
	TALLY_KILLS=$(KILLS) swift test --filter 'A killed processor'

RUNS ?= 1000
faults: packages ## run a consumer in a faulty network RUNS=1000 times
	TALLY_FAULT_RUNS=$(RUNS) swift test --filter 'A consumer in a faulty network'

examples: packages ## build and test the example packages as their users would
	@.ci/example

format: ## format the sources
	swift format -i -r Sources Tests Package.swift

# The folder of the installation. A package is built with DESTDIR in front of it.
PREFIX ?= /usr/local
DESTDIR ?=
SHARE := $(DESTDIR)$(PREFIX)/share
BASH_COMPLETION := $(SHARE)/bash-completion/completions/tally
ZSH_COMPLETION := $(SHARE)/zsh/site-functions/_tally
FISH_COMPLETION := $(SHARE)/fish/vendor_completions.d/tally.fish
MANUAL := $(SHARE)/man/man1/tally.1
INSTALLED := $(DESTDIR)$(PREFIX)/bin/tally
# If the command line names BINARY, the binary exists already and is not built.
install: $(if $(filter command,$(firstword $(origin BINARY))),,build) ## install: make install PREFIX=/usr/local DESTDIR=
	@install -D -s -m 755 $(BINARY) $(INSTALLED)
	@install -d $(dir $(BASH_COMPLETION) $(ZSH_COMPLETION) $(FISH_COMPLETION) $(MANUAL))
	@$(INSTALLED) --generate-completion-script=bash >$(BASH_COMPLETION)
	@$(INSTALLED) --generate-completion-script=zsh >$(ZSH_COMPLETION)
	@$(INSTALLED) --generate-completion-script=fish >$(FISH_COMPLETION)
	@$(INSTALLED) manual >$(MANUAL)
	@chmod 644 $(BASH_COMPLETION) $(ZSH_COMPLETION) $(FISH_COMPLETION) $(MANUAL)
	@echo "installed $(INSTALLED) ($$(du -m $(INSTALLED) | cut -f1) MB), completions and manual"

uninstall: ## remove what make install has installed with the same PREFIX and DESTDIR
	rm -f $(INSTALLED) $(BASH_COMPLETION) $(ZSH_COMPLETION) $(FISH_COMPLETION) $(MANUAL)

# The folder of the package. If the command line names BINARY, the binary exists already and is not
# built.
PACKAGES ?= .build/packages
.PHONY: package
package: $(if $(filter command,$(firstword $(origin BINARY))),,build) ## make a Debian package with systemd units
	@mkdir -p $(PACKAGES)
	@Packaging/debian/build $(BINARY) $(PACKAGES)

.PHONY: packages
packages:
	$(DIRECT)@.ci/packages
