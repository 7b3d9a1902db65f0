package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"

	_ "modernc.org/sqlite"
)

// dataset says how much data the database has. Equal datasets give equal data.
type dataset struct {
	users, items, orders int
	iterations           int // of the hash of a password
}

// database is the SQL database of the service. It has few connections, as databases do.
type database struct {
	*sql.DB
	iterations int
}

const connections = 4

const options = "?_txlock=immediate" +
	"&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(10000)"

const schema = `
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE, role TEXT, city TEXT, salt BLOB, hash BLOB);
CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, description TEXT, price INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER, item_id INTEGER, quantity INTEGER,
	total INTEGER, reference TEXT, status TEXT);
CREATE TABLE events (id INTEGER PRIMARY KEY, order_id INTEGER, status TEXT);
CREATE INDEX orders_user ON orders (user_id);`

// openDatabase creates a database in dir. The data need not survive a crash, so no write waits for
// the disk.
func openDatabase(ctx context.Context, dir string, data dataset) (*database, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "orders.db")+options)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := fill(ctx, db, data); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("fill the database: %w", err)
	}
	return &database{db, data.iterations}, nil
}

func fill(ctx context.Context, db *sql.DB, data dataset) error {
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	rnd := mathrand.New(mathrand.NewPCG(1, 2))
	for _, part := range []func(*sql.Tx, *mathrand.Rand, dataset) error{fillUsers, fillItems, fillOrders} {
		if err := part(tx, rnd, data); err != nil {
			return err
		}
	}
	return tx.Commit()
}

var cities = []string{"Aarhus", "Bergen", "Cork", "Delft", "Espoo", "Faro", "Ghent", "Halle"}

// fillUsers gives users with the same password the same salt, so that the example starts in
// seconds. A real service must not do that.
func fillUsers(tx *sql.Tx, rnd *mathrand.Rand, data dataset) error {
	insert, err := tx.Prepare("INSERT INTO users (name, role, city, salt, hash) VALUES (?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	salts, hashes := map[string][]byte{}, map[string][]byte{}
	add := func(name, role, password string) error {
		if hashes[password] == nil {
			salts[password] = make([]byte, 16)
			_, _ = rand.Read(salts[password]) // never fails
			hashes[password] = hashPassword(password, salts[password], data.iterations)
		}
		_, err := insert.Exec(name, role, cities[rnd.IntN(len(cities))], salts[password], hashes[password])
		return err
	}
	for i := range data.users {
		if err := add(customer(i), roleCustomer, word(wordOf(i))); err != nil {
			return err
		}
	}
	for i := range partners {
		if err := add(partner(i), rolePartner, partnerPassword); err != nil {
			return err
		}
	}
	return add(adminName, roleAdmin, adminPassword)
}

func fillItems(tx *sql.Tx, rnd *mathrand.Rand, data dataset) error {
	insert, err := tx.Prepare("INSERT INTO items (name, description, price) VALUES (?, ?, ?)")
	if err != nil {
		return err
	}
	for i := range data.items {
		text := fmt.Sprintf("%s %s, made in %s, with a warranty of %d months", pick(rnd, adjectives),
			pick(rnd, things), pick(rnd, cities), 6*(1+rnd.IntN(8)))
		if _, err := insert.Exec(fmt.Sprintf("item %d", i+1), text, 100+rnd.IntN(50_000)); err != nil {
			return err
		}
	}
	return nil
}

var (
	adjectives = []string{"sturdy", "light", "quiet", "folding", "wooden", "waterproof", "rare"}
	things     = []string{
		"kettle", "lamp", "chair", "drill", "tent", "bicycle", "radio", "shelf", "clock", "violin",
	}
)

func pick(rnd *mathrand.Rand, from []string) string { return from[rnd.IntN(len(from))] }

func fillOrders(tx *sql.Tx, rnd *mathrand.Rand, data dataset) error {
	insert, err := tx.Prepare("INSERT INTO orders " +
		"(user_id, item_id, quantity, total, reference, status) VALUES (?, ?, ?, ?, ?, 'open')")
	if err != nil {
		return err
	}
	for i := range data.orders {
		_, err := insert.Exec(1+rnd.IntN(data.users), 1+rnd.IntN(data.items), 1+rnd.IntN(5),
			100+rnd.IntN(90_000), reference(i))
		if err != nil {
			return err
		}
	}
	return nil
}
