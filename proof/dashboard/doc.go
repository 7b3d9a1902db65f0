// Package dashboard tests the live page in Chromium, and what it costs the service that serves it.
// It is its own module, because it needs a browser and a driver for it. `make clients` installs
// Chromium. The command cmd/screenshots draws the images of docs/dashboard.md.
package dashboard
