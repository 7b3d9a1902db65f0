// Package clients tests what real clients and caches make of the fields of a limiter: Chromium, on
// a page of another origin, and nginx as a shared cache. It is its own module, because it needs a
// browser and a driver for it. `make clients` installs both programs.
package clients
