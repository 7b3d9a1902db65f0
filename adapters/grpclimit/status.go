package grpclimit

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/ratelimit-go/ratelimit/rpclimit"
)

// toError returns the status of a denial with its details.
func toError(d *rpclimit.Denial) error {
	s := status.New(codes.Code(d.Code()), d.Message())
	var details []protoadapt.MessageV1
	if wait := d.RetryDelay(); wait > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
	}
	if quota, ok := d.Quota(); ok {
		details = append(details, &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{
			Subject: d.Decision.Rule, Description: quota,
		}}})
	}
	if withDetails, err := s.WithDetails(details...); err == nil {
		s = withDetails
	}
	return s.Err()
}

// trailer returns the trailing metadata of a denial. They are trailers only, because clients of
// grpc-go try again only if the response has no header.
func trailer(d *rpclimit.Denial) metadata.MD {
	md := fields(d.Fields())
	if pushback := d.Pushback(); pushback != "" {
		if md == nil {
			md = metadata.MD{}
		}
		md["grpc-retry-pushback-ms"] = []string{pushback}
	}
	return md
}
