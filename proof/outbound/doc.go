// Package outbound tests package outbound against real servers: nginx, express-rate-limit, httprate
// and this library. It is its own module, because it needs node and nginx. `make node` installs
// them.
package outbound
