// Package earliest has a queue in the order of time.
package earliest

// A Queue holds items in the order of their method Before. The zero Queue is empty. It is a binary
// heap.
type Queue[T interface{ Before(T) bool }] struct{ items []T }

// Len returns the number of items.
func (q *Queue[T]) Len() int { return len(q.items) }

// First returns the first item. The queue must not be empty.
func (q *Queue[T]) First() T { return q.items[0] }

// Push adds an item.
func (q *Queue[T]) Push(x T) {
	q.items = append(q.items, x)
	for i := len(q.items) - 1; i > 0; {
		above := (i - 1) / 2
		if !q.items[i].Before(q.items[above]) {
			return
		}
		q.items[i], q.items[above] = q.items[above], q.items[i]
		i = above
	}
}

// Pop removes the first item, and returns it. The queue must not be empty.
func (q *Queue[T]) Pop() T {
	first, last := q.items[0], len(q.items)-1
	q.items[0] = q.items[last]
	q.items[last] = *new(T)
	q.items = q.items[:last]
	q.Moved()
	return first
}

// Moved restores the order after the first item has become later.
func (q *Queue[T]) Moved() {
	for i := 0; ; {
		below := 2*i + 1
		if below >= len(q.items) {
			return
		}
		if next := below + 1; next < len(q.items) && q.items[next].Before(q.items[below]) {
			below = next
		}
		if !q.items[below].Before(q.items[i]) {
			return
		}
		q.items[i], q.items[below] = q.items[below], q.items[i]
		i = below
	}
}
