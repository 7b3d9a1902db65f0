module github.com/ratelimit-go/ratelimit/adapters/echolimit

go 1.26.0

require (
	github.com/labstack/echo/v5 v5.4.4
	github.com/ratelimit-go/ratelimit v0.0.0-20261126082411-1cf0b8a9ff57
	github.com/stretchr/testify v1.12.1
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/ratelimit-go/ratelimit => ../..
