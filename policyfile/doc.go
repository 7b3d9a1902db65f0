// Package policyfile reads the policy of a limiter from a file, in YAML or JSON.
//
//	options := policyfile.Options{
//		Keys: map[string]ratelimit.Keyer{"user": ratelimit.ByUser(userOf)},
//	}
//	file, err := policyfile.Read("policy.yaml", options)
//	if err != nil {
//		log.Fatal(err) // every mistake, with its line and column
//	}
//	limiter, err := ratelimit.New(file.Config())
//	...
//	go policyfile.Watch(ctx, "policy.yaml", policyfile.Target{File: file, Limiter: limiter})
//
// A file looks like this:
//
//	version: 1
//	client_ip: {header: X-Forwarded-For, trusted_proxies: [10.0.0.0/8]}
//	rules:
//	  - name: per-client
//	    limits: 100 per minute
//	routes:
//	  POST /orders:
//	    - name: orders
//	      key: user
//	      limits: [10 per minute, 100 per day]
//
// The README has every field. [Schema] is a JSON Schema for editors.
//
// [Parse] reports all mistakes at once: unknown fields and names, duplicate fields, values that are
// not valid, and all mistakes that [ratelimit.New] would find. Anchors, aliases, tags and files
// that are too large or too deep are mistakes too.
//
// [Watch] polls the file and puts each good version into force. No key loses what it has spent. A
// bad version changes nothing and is reported.
package policyfile
