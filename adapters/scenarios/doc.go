// Package scenarios has only tests: each framework with its adapter must answer as net/http does.
package scenarios
