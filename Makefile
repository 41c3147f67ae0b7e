# What a contributor runs. .ci/run and the workflows run these too, so that each
# command stands in one place.

SHELL       := bash
staticcheck := honnef.co/go/tools/cmd/staticcheck@v0.8.2
misspell    := github.com/golangci/misspell/cmd/misspell@v0.8.0

.PHONY: test race lint example ci

# Everything that a change can break. Needs nothing but Go.
test:
	go test ./...

# The same with the race detector, which needs a C compiler.
race:
	go test -race -count=1 ./...

# gofmt, go vet, staticcheck and go.mod, in every module; the spelling of code, pages and English texts.
lint:
	@unformatted=$$("$$(go env GOROOT)/bin/gofmt" -l .); \
	if [ -n "$$unformatted" ]; then printf 'run gofmt -w on:\n%s\n' "$$unformatted"; exit 1; fi
	.ci/each go vet ./...
	.ci/each go run $(staticcheck) -checks 'all,-QF*,-ST*' ./...
	.ci/each go mod tidy -diff
	find . -name node_modules -prune -o -type f \( -name '*.go' -o -name '*.md' -o -name en.json \) -print0 | xargs -0 go run $(misspell) -error

# An application and a provider to click through, at http://localhost:8080.
example:
	go run ./example

# All that is checked before a merge, with servers and browsers: see .ci/run.
ci:
	.ci/run
