package connectlimit

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"

	"connectrpc.com/connect"

	"github.com/ratelimit-go/ratelimit"
	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// outcome is the code with which a call ended, plus one. It is 0 until then, and cutShort if the
// client may be the reason for the code.
type outcome struct{ code atomic.Uint32 }

const cutShort = math.MaxUint32

type outcomeKey struct{}

// Watch returns a handler that lets [Failures] and [CodeIn] know how calls end. Put it around the
// Handler of a limiter, and an interceptor of [NewInterceptor] into the handlers inside.
func Watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), outcomeKey{}, new(outcome))))
	})
}

// note notes how a call ended. A handler that has not returned has no code.
func note(ctx context.Context, err error, returned, broken bool) {
	o, _ := ctx.Value(outcomeKey{}).(*outcome)
	switch code := codeOf(err); {
	case o == nil || !returned:
	case rpclimit.CutShort(ctx, code, broken):
		o.code.Store(cutShort)
	default:
		o.code.Store(code + 1)
	}
}

// noted notes the error of a denial and returns it.
func noted(ctx context.Context, e *connect.Error) error {
	note(ctx, e, true, false)
	return e
}

// codeOf returns the code that Connect sends for the error of a handler. Zero is success.
func codeOf(err error) uint32 {
	if err == nil || connect.IsNotModifiedError(err) {
		return 0 // before coded takes an allocation
	}
	var coded *connect.Error
	switch {
	case errors.As(err, &coded):
	case errors.Is(err, context.Canceled):
		return uint32(connect.CodeCanceled)
	case errors.Is(err, context.DeadlineExceeded):
		return uint32(connect.CodeDeadlineExceeded)
	}
	return uint32(connect.CodeOf(err))
}

// Failures reports whether a call ended with an error, in any protocol. It is for the CountOnly and
// the Block of a ratelimit.Rule. It needs [Watch] and [NewInterceptor]. Any other response has
// failed for it, because its outcome is not known.
func Failures(res ratelimit.Response) bool {
	code, known := codeIn(res)
	return !known || code != 0
}

// CodeIn returns a function that reports whether a call ended with one of the given codes, in any
// protocol. It is for the CountOnly and the Block of a ratelimit.Rule. It needs [Watch]. A call
// without a known outcome counts: a request that could not be decoded, a panic, or an error after
// the client has left, broken the stream, or let its deadline pass. With
// [connect.CodeUnauthenticated] only failed logins count.
func CodeIn(codes ...connect.Code) func(ratelimit.Response) bool {
	codes = slices.Clone(codes)
	return func(res ratelimit.Response) bool {
		code, known := codeIn(res)
		return !known || slices.Contains(codes, connect.Code(code))
	}
}

// codeIn returns the code of a response, and whether it is known.
func codeIn(res ratelimit.Response) (code uint32, known bool) {
	if res.Panicked || res.Request == nil || res.Status == 0 {
		return 0, false
	}
	o, _ := res.Request.Context().Value(outcomeKey{}).(*outcome)
	if o != nil && o.code.Load() == cutShort {
		return 0, false
	}
	// A response of gRPC can fail after its handler has succeeded, such as when it is too large.
	for _, name := range []string{"Grpc-Status", http.TrailerPrefix + "Grpc-Status"} {
		if text := res.Header[name]; len(text) > 0 && text[0] != "0" {
			n, err := strconv.ParseUint(text[0], 10, 32)
			return uint32(n), err == nil
		}
	}
	if o == nil || o.code.Load() == 0 {
		return 0, false
	}
	code = o.code.Load() - 1
	return code, code != 0 || res.Status < http.StatusBadRequest
}
