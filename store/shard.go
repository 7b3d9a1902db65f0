package store

// A Sharder is a [Store] whose buckets are on several servers, and each server can fail by itself.
// The limiter then stops calling one server and goes on with the others.
//
// The error of a batch on several servers may tell which of them failed, by a method
//
//	FailedShard() string
//
// Otherwise it counts as a failure of all of them.
type Sharder interface {
	Store
	// Shard returns a name for the server that has the buckets and leases of key. A store that
	// turns out to be on one server returns "" for every key. Shard must not wait for another
	// machine. The names must be few: beyond 1,024 the limiter takes all further ones for one
	// server. A key may change its server.
	Shard(key Key) string
}
