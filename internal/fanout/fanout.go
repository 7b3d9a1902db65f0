// Package fanout makes one function of several that are told the same.
package fanout

// A Caller calls f and survives its panic.
type Caller func(f func())

// Two returns a function that calls every function in fs that is not nil. Without such a function,
// Two returns nil, and it returns a single one as it is. Otherwise call calls each of them, so a
// panic keeps no other from being called.
func Two[A, B any](call Caller, fs ...func(A, B)) func(A, B) {
	all := notNil(fs, func(f func(A, B)) bool { return f != nil })
	if len(all) < 2 {
		return append(all, nil)[0]
	}
	return func(a A, b B) {
		for _, f := range all {
			call(func() { f(a, b) })
		}
	}
}

// Three is Two for functions of three arguments.
func Three[A, B, C any](call Caller, fs ...func(A, B, C)) func(A, B, C) {
	all := notNil(fs, func(f func(A, B, C)) bool { return f != nil })
	if len(all) < 2 {
		return append(all, nil)[0]
	}
	return func(a A, b B, c C) {
		for _, f := range all {
			call(func() { f(a, b, c) })
		}
	}
}

func notNil[F any](fs []F, ok func(F) bool) []F {
	var all []F
	for _, f := range fs {
		if ok(f) {
			all = append(all, f)
		}
	}
	return all
}
