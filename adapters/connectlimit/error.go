package connectlimit

import (
	"errors"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// newError returns the error of a denial with its details.
func newError(d *rpclimit.Denial) *connect.Error {
	e := connect.NewError(connect.Code(d.Code()), errors.New(d.Message()))
	if wait := d.RetryDelay(); wait > 0 {
		addDetail(e, &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
	}
	if quota, ok := d.Quota(); ok {
		addDetail(e, &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{
			Subject: d.Decision.Rule, Description: quota,
		}}})
	}
	return e
}

func addDetail(e *connect.Error, m proto.Message) {
	if detail, err := connect.NewErrorDetail(m); err == nil {
		e.AddDetail(detail)
	}
}

// setPushback tells clients of gRPC when to try again.
func setPushback(e *connect.Error, d *rpclimit.Denial) {
	if pushback := d.Pushback(); pushback != "" {
		e.Meta()["Grpc-Retry-Pushback-Ms"] = []string{pushback}
	}
}

// answer returns the error of a denial for an interceptor, with all fields as metadata.
func answer(d *rpclimit.Denial, protocol string) *connect.Error {
	e := newError(d)
	if protocol != connect.ProtocolConnect {
		setPushback(e, d)
	}
	if wait := d.RetryAfter(); wait != "" {
		e.Meta().Set("Retry-After", wait)
	}
	policy, limit := d.Fields()
	setFields(e.Meta(), policy, limit)
	return e
}
