package policyfile

import (
	"iter"
	"slices"
	"strings"
)

// suggest returns the end of the text of a mistake: which of names the wrong name may mean, or all
// of them.
func suggest(wrong string, names iter.Seq[string]) string {
	sorted := slices.Sorted(names)
	if len(sorted) == 0 {
		return ": there are none"
	}
	if len(wrong) <= 64 {
		best, least := "", 1+max(1, len(wrong)/3)
		for _, name := range sorted {
			if d := distance(normal(wrong), normal(name)); d < least {
				best, least = name, d
			}
		}
		if best != "" {
			return ": did you mean " + best + "?"
		}
	}
	return ": want " + choices(sorted)
}

// normal returns name without letter case and separators.
func normal(name string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(name))
}

// choices returns names as a list with "or".
func choices(names []string) string {
	const most = 30
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and others"
	}
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " or " + names[last]
	}
	return names[0]
}

// distance returns the number of bytes to insert, delete, replace or swap to make b of a.
func distance(a, b string) int {
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j]+cost, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
