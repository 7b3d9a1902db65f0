// Package named finds values by their names.
package named

// A Set is values by their names. It is immutable. The zero Set is empty.
type Set[T any] struct {
	few []entry[T] // all values, if they are so few that looking at each is faster than a map
	all map[string]T
}

type entry[T any] struct {
	name  string
	value T
}

// maxFew is up to how many values looking at each is faster than a map.
const maxFew = 8

// NewSet returns the Set of all. It keeps the map.
func NewSet[T any](all map[string]T) Set[T] {
	s := Set[T]{all: all}
	if len(all) <= maxFew {
		for name, value := range all {
			s.few = append(s.few, entry[T]{name, value})
		}
	}
	return s
}

// Find returns the value of that name, or the zero T.
func (s *Set[T]) Find(name string) T {
	for i := range s.few {
		if s.few[i].name == name {
			return s.few[i].value
		}
	}
	return s.all[name]
}

// All returns all values by their names. The map must not be changed.
func (s *Set[T]) All() map[string]T { return s.all }
