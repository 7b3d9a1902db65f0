# Everything that is checked about this repository can be run from here.
# `make help` lists the targets. Set a variable as in `make fuzz FUZZTIME=1m`.

GO        ?= go
RACE      ?= -race
FUZZTIME  ?= 20s
BENCH     ?= .
COUNT     ?= 10
HOT       ?= Take|Allowed|Denied|InFlight
ROUNDS    ?= 20
BASE      ?= HEAD^
SAMPLE    ?= 100
# What decides, stores and answers.
MUTATE    ?= . ./store ./internal/pace ./internal/memory ./internal/guard ./internal/blocks ./internal/rank \
	./internal/inflight ./internal/recorder ./internal/refund ./internal/respond ./internal/routes
COVER_MIN ?= 97
# QF are suggestions for an editor. Everything else staticcheck knows is on.
CHECKS    ?= all,-QF*

# Each module is checked as its users get it: alone, without a workspace around it.
export GO
export GOWORK = off

# Other people's tools, and the programs of this repository in tools/.
TOOL := $(GO) tool -modfile='$(CURDIR)/tools/go.mod'
RUN  := $(GO) -C tools run

MODULES := $(shell find . -name go.mod ! -path '*/.*' ! -path '*/testdata/*' | sed 's,/go.mod$$,,' | sort)

# $(call each,COMMAND) runs COMMAND in every module. It fails in the end if COMMAND failed in any.
each = bad=; \
	for module in $(MODULES); do echo "-- $@ $$module"; (cd "$$module" && $(1)) || bad="$$bad $$module"; done; \
	test -z "$$bad" || { echo "make $@: failed in$$bad" >&2; exit 1; }

.PHONY: help check test full redis clients prometheus node postgres postgres-versions lint gofumpt vet staticcheck \
	tidy-diff cross imports prose layout fmt fuzz bench benchdiff compare compare-redis compare-postgres mutate cover api \
	apidiff docs vuln examples ci

help: ## list the targets
	@awk -F ':.*## ' '/^##@ / { print "\n" substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-17s %s\n", $$1, $$2 }' Makefile

##@ While you work

check: ## vet and test the root module alone, in half a minute
	@$(GO) vet ./...
	@$(GO) test -vet=off -short ./...

fmt: ## format every file
	@$(TOOL) gofumpt -l -w .

api: ## write the exported API to testdata/api.txt
	@$(GO) test -run '^TestAPI$$' . -update

##@ Before you push

test: $(if $(filter ./redisstore% ./examples/redis,$(MODULES)),redis)
test: $(if $(filter ./proof/clients ./proof/dashboard,$(MODULES)),clients)
test: $(if $(filter ./metrics/proof,$(MODULES)),prometheus)
test: $(if $(filter ./proof/outbound,$(MODULES)),node)
test: $(if $(filter ./postgresstore%,$(MODULES)),postgres)
test: ## test every module, or MODULES, with the race detector and in random order
	@$(RUN) ./testall $(RACE) $(MODULES)

redis: ## install redis-server and Lua, which tests of redisstore start, if they are missing
	@sh tools/redis.sh
	@sh tools/lua.sh

clients: ## install Chromium and nginx, which tests of proof/clients start, if they are missing
	@sh tools/clients.sh

prometheus: ## install prometheus and redis-server, which tests of metrics/proof start, if they are missing
	@sh tools/redis.sh
	@sh tools/prometheus.sh

node: ## install node, nginx and express-rate-limit, which tests of proof/outbound start, if they are missing
	@sh tools/node.sh

postgres: ## install PostgreSQL and PgBouncer, which tests of postgresstore start, if they are missing
	@sh tools/postgres.sh

postgres-versions: postgres node ## test postgresstore with the oldest and the newest PostgreSQL (Linux on x64)
	@sh tools/postgres-versions.sh

lint: gofumpt vet staticcheck tidy-diff cross imports prose layout ## all checks that run none of the code

gofumpt: ## fail if a file is not formatted (make fmt formats it)
	@files=$$($(TOOL) gofumpt -l .) || exit 1; \
	test -z "$$files" || { printf 'make gofumpt: make fmt would change\n%s\n' "$$files" >&2; exit 1; }

vet: ## go vet
	@$(call each,$(GO) vet ./...)

staticcheck: ## staticcheck
	@$(call each,$(TOOL) staticcheck -checks '$(CHECKS)' ./...)

tidy-diff: ## fail if a go.mod or go.sum is not tidy
	@$(call each,$(GO) mod tidy -diff)

# The arithmetic is in 64 bits and has to hold where an int is not. Modules of tests are left out,
# and the example with a database, which takes minutes to compile.
cross: MODULES := $(filter-out ./tools ./proof% ./redisstore/faults ./metrics/proof ./adapters/scenarios ./examples/orders,$(MODULES))
cross: export CGO_ENABLED = 0
cross: ## build for 32 bits, Windows and macOS
	@$(call each,GOARCH=386 $(GO) vet ./... && GOOS=windows $(GO) build -o /dev/null ./... && GOOS=darwin $(GO) build -o /dev/null ./...)
	@GOARCH=386 $(GO) test -c -o /dev/null .

imports: ## fail if a package imports another one that it may not (imports_test.go)
	@$(GO) test -run '^Test(ImportsPointDown|ExamplesImportNothingInternal)$$' .

prose: ## check comments and documents against tools/words.txt, and the width of lines
	@$(RUN) ./prose $(PATHS)

layout: ## print the figures of the packages, and fail if files or functions are too long
	@$(RUN) ./layout

docs: ## render the documentation; fail on names without a comment and on broken links
	@$(RUN) ./docs

# The tests of the whole module count, and its code except examples and the conformance suite.
cover: ## list the functions not covered in full; fail under COVER_MIN percent
	@packages=$$($(GO) list ./... | grep -v -e /examples/ -e '/storetest$$' | paste -s -d , -) && \
	$(GO) test -coverpkg="$$packages" -coverprofile=coverage.txt ./...
	@$(GO) tool cover -func=coverage.txt | awk -v min=$(COVER_MIN) ' \
		$$NF != "100.0%" || $$1 == "total:" { print } \
		$$1 == "total:" { total = $$NF + 0 } \
		END { if (total < min) { print "make cover: want at least " min "%"; exit 1 } }'

# The modules with tests that are smaller with the race detector. cover runs the root in full.
FULL = $(strip $(foreach m,$(filter-out .,$(MODULES)),$(if $(shell grep -rl --include='*_test.go' internal/testsize $m),$m)))

full: ## test modules in full size whose tests are smaller with the race detector
	@$(MAKE) --no-print-directory test RACE= MODULES='$(FULL)'

# Under Go 1.26 a duration can end in "context deadline exceeded" though nothing was found:
# go.dev/issue/75804. A number of inputs cannot, so ci gives a number.
fuzz: ## run every fuzz target for FUZZTIME, a duration or a number of inputs as in 50000x
	@$(call each,sh '$(CURDIR)/tools/fuzz.sh' $(FUZZTIME))

# go build would leave a program behind wherever it finds exactly one.
examples: ## build and vet the examples
	@for module in $(filter . ./examples/%,$(MODULES)); do \
		dir=$$module; test $$module != . || dir=./examples; \
		test -n "$$(find $$dir -name '*.go' 2>/dev/null)" || continue; \
		echo "-- $@ $$dir"; \
		(cd $$dir && $(GO) vet ./... && $(GO) build -o /dev/null ./...) || exit 1; \
	done

##@ To look at

apidiff: ## print how the API differs from the last commit that changed testdata/api.txt
	@sh tools/apidiff.sh

bench: ## run the benchmarks that match BENCH, COUNT times; go tool benchstat reads the output
	@$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

benchdiff: ## compare benchmarks that match HOT with the commit BASE, or the directory OLD
	@$(if $(OLD),,sh tools/at.sh '$(BASE)') $(RUN) ./benchdiff -bench '$(HOT)' -rounds $(ROUNDS) $(abspath $(OLD))

compare: ## measure this library beside its peers
	@cd benchmarks && $(GO) run ./cmd/compare

compare-redis: redis ## measure decisions in Redis beside the peers
	@cd benchmarks && $(GO) run ./cmd/compare-redis

compare-postgres: redis postgres ## measure decisions in PostgreSQL beside Redis
	@cd benchmarks && $(GO) run ./cmd/compare-postgres

mutate: ## change SAMPLE places of MUTATE, one at a time, and print the changes that no test finds
	@$(RUN) ./mutate -sample $(SAMPLE) $(MUTATE)

vuln: ## look for known vulnerabilities in what the modules use
	@sh tools/vuln.sh $(MODULES)

# The steps in the second loop inform and cannot fail. test comes last, so that the last lines are
# the totals of all tests.
ci: redis clients prometheus node postgres ## all that must pass; .ci/run runs it
	@for step in lint docs examples cover full 'fuzz FUZZTIME=50000x' postgres-versions; do \
		printf '\n==== make %s\n' "$$step"; \
		$(MAKE) --no-print-directory $$step || exit 1; \
	done
	@for step in vuln apidiff benchdiff; do \
		printf '\n==== make %s (for information)\n' "$$step"; \
		$(MAKE) --no-print-directory $$step || echo "make ci: $$step failed, which is not judged"; \
	done
	@printf '\n==== make test\n'
	@$(MAKE) --no-print-directory test
