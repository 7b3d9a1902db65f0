package keyer

import (
	"github.com/ratelimit-go/ratelimit/internal/key"
	"github.com/ratelimit-go/ratelimit/internal/labels"
)

// Labeled returns k, with the texts of users and values put into table if their keys are hashed.
// Header fields and cookies are secrets, so their texts are not. The table may be nil.
func Labeled(k Keyer, table *labels.Table) Keyer {
	if table == nil {
		return k
	}
	switch k := k.(type) {
	case Text:
		build := k.Make
		k.Make = func(text string) key.Key {
			made := build(text)
			if key.IsHashed(made) {
				table.Put(made, text)
			}
			return made
		}
		return k
	case firstOf:
		return firstOf(labeledAll(k, table))
	case allOf:
		return allOf(labeledAll(k, table))
	}
	return k
}

func labeledAll(keyers []Keyer, table *labels.Table) []Keyer {
	labeled := make([]Keyer, len(keyers))
	for i, k := range keyers {
		labeled[i] = Labeled(k, table)
	}
	return labeled
}
