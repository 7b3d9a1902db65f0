package postgresstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/postgresstore"
)

func ExampleNew() {
	pool, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	store, err := postgresstore.New(pool, postgresstore.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Migrate(context.Background()); err != nil {
		log.Print(err)
		return
	}
	limiter, err := ratelimit.New(ratelimit.Config{
		Store:          store,
		OnStoreFailure: ratelimit.UseMemory,
		Rules: []ratelimit.Rule{{
			Name: "per-client", Limits: ratelimit.MustParse("100 per minute"), Key: ratelimit.ByClientIP(),
		}},
	})
	if err != nil {
		log.Print(err)
		return
	}
	_ = limiter.Handler
}

// A tool for migrations executes the text.
func ExampleSchema() {
	sql, err := postgresstore.Schema(postgresstore.Config{Schema: "limits"})
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.SplitSeq(sql, "\n") {
		if strings.HasPrefix(line, "CREATE") && strings.Contains(line, "TABLE") {
			fmt.Println(line)
		}
	}
	// Output:
	// CREATE TABLE IF NOT EXISTS "limits".version (version integer NOT NULL);
	// CREATE UNLOGGED TABLE IF NOT EXISTS "limits".buckets (
	// CREATE UNLOGGED TABLE IF NOT EXISTS "limits".leases (
}
