module github.com/ratelimit-go/ratelimit/cmd/ratelimit

go 1.26.0

require (
	github.com/ratelimit-go/ratelimit v0.0.0-20261126082411-1cf0b8a9ff57
	github.com/stretchr/testify v1.12.1
	github.com/tidwall/gjson v1.20.2
	golang.org/x/term v0.48.0
	golang.org/x/time v0.15.0
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	go.yaml.in/yaml/v4 v4.0.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

require (
	github.com/ratelimit-go/ratelimit/policyfile v0.0.0-20261126082411-1cf0b8a9ff57
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.3.0 // indirect
)

replace github.com/ratelimit-go/ratelimit => ../..

replace github.com/ratelimit-go/ratelimit/policyfile => ../../policyfile
