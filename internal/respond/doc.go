// Package respond writes what a response says about limits: the fields in each form, Retry-After,
// and problem documents. It knows net/http and nothing else, and it decides nothing.
//
// Field names are written in the canonical form of [net/http.Header], so no function has to
// compute it per request.
package respond
