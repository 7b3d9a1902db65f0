# Everything that is checked about this repository can be run from here.
# `make help` lists the targets; a variable is set as in `make fuzz FUZZTIME=1m`.

GO        ?= go
RACE      ?= -race
FUZZTIME  ?= 20s
BENCH     ?= .
COUNT     ?= 10
COVER_MIN ?= 97
# QF are suggestions for an editor. Everything else staticcheck knows is on.
CHECKS    ?= all,-QF*

# Each module is checked as its users get it: alone, with no workspace around it.
export GO
export GOWORK = off

TOOL := $(GO) tool -modfile='$(CURDIR)/tools/go.mod'

# Every module of the repository but tools, which has no code of its own.
MODULES := $(shell find . -name go.mod ! -path '*/.*' ! -path '*/testdata/*' ! -path './tools/*' | sed 's,/go.mod$$,,' | sort)

# $(call each,COMMAND) runs COMMAND in every module, and fails in the end if it
# failed in any.
each = bad=; \
	for module in $(MODULES); do echo "-- $@ $$module"; (cd "$$module" && $(1)) || bad="$$bad $$module"; done; \
	test -z "$$bad" || { echo "make $@: failed in$$bad" >&2; exit 1; }

.PHONY: help test redis lint gofumpt vet staticcheck tidy-diff cross fmt fuzz bench compare compare-redis cover api examples ci

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' Makefile

test: redis ## test every module, with the race detector and in random order
	@$(call each,$(GO) test -mod=readonly -vet=all $(RACE) -shuffle=on ./...)

redis: ## install redis-server, which the tests of redisstore start, where it is missing
	@sh tools/redis.sh

lint: gofumpt vet staticcheck tidy-diff cross ## all the checks that run none of the code

gofumpt: ## fail if a file is not formatted (make fmt formats it)
	@files=$$($(TOOL) gofumpt -l .) || exit 1; \
	test -z "$$files" || { printf 'make gofumpt: make fmt would change\n%s\n' "$$files" >&2; exit 1; }

vet: ## go vet
	@$(call each,$(GO) vet ./...)

staticcheck: ## staticcheck
	@$(call each,$(TOOL) staticcheck -checks '$(CHECKS)' ./...)

tidy-diff: MODULES += ./tools
tidy-diff: ## fail if a go.mod or go.sum is not tidy
	@$(call each,$(GO) mod tidy -diff)

# The arithmetic is in 64 bits and has to hold where an int is not.
cross: export CGO_ENABLED = 0
cross: ## build for 32 bits, Windows and macOS
	@$(call each,GOARCH=386 $(GO) vet ./... && GOOS=windows $(GO) build -o /dev/null ./... && GOOS=darwin $(GO) build -o /dev/null ./...)
	@GOARCH=386 $(GO) test -c -o /dev/null .

fmt: ## format every file
	@$(TOOL) gofumpt -l -w .

# Under Go 1.26 a duration can end in "context deadline exceeded" though nothing was found:
# go.dev/issue/75804. A number of inputs cannot, so that is what ci gives.
fuzz: ## run every fuzz target for FUZZTIME, a duration or a number of inputs as in 50000x
	@$(call each,sh '$(CURDIR)/tools/fuzz.sh' $(FUZZTIME))

bench: ## run the benchmarks that match BENCH, COUNT times; go tool benchstat reads the output
	@$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

compare: ## measure this library beside its peers
	@cd benchmarks && $(GO) run ./cmd/compare

compare-redis: redis ## measure decisions in Redis beside the peers
	@cd benchmarks && $(GO) run ./cmd/compare-redis

# The tests of the whole module count, and the code of its root package.
cover: ## list the functions not covered in full; fail under COVER_MIN percent
	@$(GO) test -coverpkg=. -coverprofile=coverage.txt ./...
	@$(GO) tool cover -func=coverage.txt | awk -v min=$(COVER_MIN) ' \
		$$NF != "100.0%" || $$1 == "total:" { print } \
		$$1 == "total:" { total = $$NF + 0 } \
		END { if (total < min) { print "make cover: want at least " min "%"; exit 1 } }'

api: ## write the exported API to testdata/api.txt
	@$(GO) test -run '^TestAPI$$' . -update

# go build would leave a program behind wherever it finds exactly one.
examples: ## build and vet the examples
	@for module in $(filter . ./examples/%,$(MODULES)); do \
		dir=$$module; test $$module != . || dir=./examples; \
		test -n "$$(find $$dir -name '*.go' 2>/dev/null)" || continue; \
		echo "-- $@ $$dir"; \
		(cd $$dir && $(GO) vet ./... && $(GO) build -o /dev/null ./...) || exit 1; \
	done

# test comes last, so that the last lines are the results of the tests.
ci: ## all that must pass; .ci/run runs it
	@for step in lint examples cover 'fuzz FUZZTIME=50000x' test; do \
		printf '\n==== make %s\n' "$$step"; \
		$(MAKE) --no-print-directory $$step || exit 1; \
	done
