package respond

import "net/http"

// CheckHandler panics if h is nil, as [http.ServeMux.Handle] does. Otherwise each request would.
func CheckHandler(prefix string, h http.Handler) {
	if f, ok := h.(http.HandlerFunc); h == nil || ok && f == nil {
		panic(prefix + ": nil handler")
	}
}
