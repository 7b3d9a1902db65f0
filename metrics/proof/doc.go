// Package proof has the tests of modules promlimit and otellimit that need a Prometheus. A real one
// scrapes a running service under load. Its numbers must equal what the clients saw.
package proof
