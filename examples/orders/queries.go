package main

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
)

type item struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Text  string `json:"description"`
	Price int64  `json:"price"`
	Sold  int64  `json:"sold,omitempty"`
}

type order struct {
	ID        int64  `json:"id"`
	User      string `json:"user"`
	Item      string `json:"item"`
	Quantity  int64  `json:"quantity"`
	Total     int64  `json:"total"`
	Reference string `json:"reference"`
	Status    string `json:"status"`
}

type user struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	City   string `json:"city"`
	Orders int64  `json:"orders"`
	Spent  int64  `json:"spent"`
}

type cityStats struct {
	City   string `json:"city"`
	Orders int64  `json:"orders"`
	Total  int64  `json:"total"`
}

// query reads all rows of a query.
func query[T any](
	ctx context.Context, db *database, scan func(*T) []any, text string, args ...any,
) ([]T, error) {
	traceOf(ctx).database = true
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []T{} // [] in JSON, and not null
	for rows.Next() {
		var v T
		if err := rows.Scan(scan(&v)...); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// items returns a page of items. A search reads all items, and popular reads all orders.
func (db *database) items(ctx context.Context, search string, popular bool, p page) ([]item, error) {
	const columns = "SELECT i.id, i.name, i.description, i.price, "
	text := columns + `0 FROM items i
		WHERE ?1 = '' OR i.description LIKE '%' || ?1 || '%' ORDER BY i.id LIMIT ?2 OFFSET ?3`
	if popular {
		text = columns + `SUM(o.quantity) AS sold FROM items i JOIN orders o ON o.item_id = i.id
			WHERE ?1 = '' OR i.description LIKE '%' || ?1 || '%'
			GROUP BY i.id ORDER BY sold DESC, i.id LIMIT ?2 OFFSET ?3`
	}
	scan := func(i *item) []any { return []any{&i.ID, &i.Name, &i.Text, &i.Price, &i.Sold} }
	return query(ctx, db, scan, text, search, p.rows, p.offset)
}

const selectOrders = `SELECT o.id, u.name, i.name, o.quantity, o.total, o.reference, o.status
	FROM orders o JOIN users u ON u.id = o.user_id JOIN items i ON i.id = o.item_id `

func scanOrder(o *order) []any {
	return []any{&o.ID, &o.User, &o.Item, &o.Quantity, &o.Total, &o.Reference, &o.Status}
}

// orders returns a page of the orders of a user, the newest first. With no user it returns a page
// of all orders.
func (db *database) orders(ctx context.Context, user string, p page) ([]order, error) {
	const newest = "ORDER BY o.id DESC LIMIT ? OFFSET ?"
	if user == "" {
		return query(ctx, db, scanOrder, selectOrders+newest, p.rows, p.offset)
	}
	return query(ctx, db, scanOrder, selectOrders+"WHERE u.name = ? "+newest, user, p.rows, p.offset)
}

// order returns the order with that id, or no order.
func (db *database) order(ctx context.Context, id int64) ([]order, error) {
	return query(ctx, db, scanOrder, selectOrders+"WHERE o.id = ?", id)
}

// users returns a page of users, with the sum of their orders.
func (db *database) users(ctx context.Context, p page) ([]user, error) {
	scan := func(u *user) []any { return []any{&u.ID, &u.Name, &u.City, &u.Orders, &u.Spent} }
	return query(ctx, db, scan, `SELECT u.id, u.name, u.city, COUNT(o.id), COALESCE(SUM(o.total), 0)
		FROM (SELECT * FROM users ORDER BY id LIMIT ? OFFSET ?) u LEFT JOIN orders o ON o.user_id = u.id
		GROUP BY u.id ORDER BY u.id`, p.rows, p.offset)
}

// stats returns the number and the sum of all orders, per city.
func (db *database) stats(ctx context.Context) ([]cityStats, error) {
	scan := func(s *cityStats) []any { return []any{&s.City, &s.Orders, &s.Total} }
	return query(ctx, db, scan, `SELECT u.city, COUNT(*), SUM(o.total)
		FROM orders o JOIN users u ON u.id = o.user_id GROUP BY u.city ORDER BY u.city`)
}

// paid stores an event and the new status of the order with that reference. The column of
// references has no index. SQLite has one writer, and paid waits for it.
func (db *database) paid(ctx context.Context, reference, status string) error {
	traceOf(ctx).database = true
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	var id int64
	err = tx.QueryRowContext(ctx, "SELECT id FROM orders WHERE reference = ? LIMIT 1", reference).Scan(&id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO events (order_id, status) VALUES (?, ?)", id, status)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE orders SET status = ? WHERE id = ?", status, id)
	if err != nil {
		return err
	}
	return tx.Commit()
}

// checkPassword returns the account of that name. It returns false if the password is wrong.
func (db *database) checkPassword(ctx context.Context, name, password string) (identity, bool, error) {
	tr := traceOf(ctx)
	tr.database, tr.password = true, true
	id := identity{name: name}
	var salt, hash []byte
	row := db.QueryRowContext(ctx, "SELECT role, salt, hash FROM users WHERE name = ?", name)
	err := row.Scan(&id.role, &salt, &hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return identity{}, false, err
	}
	// An unknown name takes the same time, so that no client learns which names exist.
	if subtle.ConstantTimeCompare(hash, hashPassword(password, salt, db.iterations)) == 0 {
		return identity{}, false, nil
	}
	tr.guessed = name
	return id, true, nil
}
