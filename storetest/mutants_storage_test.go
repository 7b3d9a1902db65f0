package storetest_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/ratelimit-go/ratelimit/internal/storefake"
	"github.com/ratelimit-go/ratelimit/store"
)

func storageMutants() []mutant {
	return []mutant{
		{name: "shares buckets between rules", make: rewrite(func(op *store.Op) {
			op.Limit = like(op.Limit, "shared", op.Limit.Index())
		}), cases: []string{"rules have separate buckets", "ops are not kept"}},
		{name: "shares buckets between the limits of a rule", make: rewrite(func(op *store.Op) {
			op.Limit = like(op.Limit, op.Limit.Rule(), 0)
		}), cases: []string{"limits of a rule have separate buckets", "a batch of several limits on one key"}},
		{name: "shares buckets between keys", make: rewrite(func(op *store.Op) {
			op.Key = user("shared")
		}), cases: []string{"keys have separate buckets", "goroutines on many keys", "a batch of several keys under one limit"}},
		{name: "ends keys at a NUL", make: rewrite(func(op *store.Op) {
			b, _ := op.Key.AppendBinary(nil)
			b, _, _ = bytes.Cut(b, []byte{0})
			op.Key = user(string(b))
		}), cases: []string{"keys have separate buckets"}},
		{name: "folds the case of keys", make: rewrite(func(op *store.Op) {
			op.Key = user(strings.ToLower(op.Key.String()))
		}), cases: []string{"keys have separate buckets"}},
		{name: "joins rule and key without care", make: rewrite(func(op *store.Op) {
			name := fmt.Sprint(op.Limit.Rule(), ":", op.Limit.Index(), ":", strings.TrimPrefix(op.Key.String(), "user:"))
			op.Limit, op.Key = like(op.Limit, "", 0), user(name)
		}), cases: []string{"rules have separate buckets"}},
		{
			name: "has a bucket for each pointer", make: bucketByPointer,
			cases: []string{"equal limits and keys share a bucket", "spent tokens stay spent when a limit changes"},
		},
		{name: "reads ops later", make: readsLater, cases: []string{"ops are not kept"}},
		{name: "starts again when numbers change", make: rewrite(func(op *store.Op) {
			l := op.Limit
			op.Limit = like(l, fmt.Sprint(l.Rule(), l.Count(), l.Period(), l.Burst()), l.Index())
		}), cases: []string{
			"spent tokens stay spent when a limit changes", "spent tokens stay spent for each key", "changes of a limit create no tokens",
		}},
		{
			name: "keeps the first numbers", make: keepsNumbers,
			cases: []string{"spent tokens stay spent when a limit changes", "a limit changes and changes back"},
		},
	}
}

func bucketByPointer(s store.Store, _ *manual) storefake.Func {
	seen := make(map[*store.Limit]string)
	return rewrite(func(op *store.Op) {
		if seen[op.Limit] == "" {
			seen[op.Limit] = fmt.Sprint(len(seen) + 1)
		}
		op.Limit = like(op.Limit, seen[op.Limit], 0)
	})(s, nil)
}

// readsLater charges again what it finds in the ops of the last call.
func readsLater(s store.Store, _ *manual) storefake.Func {
	var last []store.Op
	return func(ctx context.Context, ops []store.Op) error {
		for _, op := range last {
			if op.Limit != nil && op.Kind == store.Take {
				_ = s.Apply(ctx, []store.Op{op})
			}
		}
		last = nil
		if len(ops) == 2 {
			last = ops
		}
		return s.Apply(ctx, ops)
	}
}

func keepsNumbers(s store.Store, _ *manual) storefake.Func {
	first := make(map[string]*store.Limit)
	return rewrite(func(op *store.Op) {
		name := fmt.Sprint(op.Limit.Index(), op.Limit.Rule())
		if first[name] == nil {
			first[name] = op.Limit
		}
		op.Limit = first[name]
	})(s, nil)
}
