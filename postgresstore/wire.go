package postgresstore

import (
	"encoding/binary"
	"errors"
)

// Types of PostgreSQL, which never change.
const (
	oidBytea      = 17
	oidInt8       = 20
	oidInt4       = 23
	oidByteaArray = 1001
	oidInt8Array  = 1016
)

// An arrayHead is the beginning of an array of one dimension in binary: the number of dimensions,
// whether there are nulls, the type, the length and the first index.
func arrayHead(b []byte, oid uint32, n int) []byte {
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, oid)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return binary.BigEndian.AppendUint32(b, 1)
}

const arrayHeadSize = 5 * 4

// bigints returns a bigint[] in binary.
func bigints(all []int64) []byte {
	b := arrayHead(make([]byte, 0, arrayHeadSize+12*len(all)), oidInt8, len(all))
	for _, x := range all {
		b = binary.BigEndian.AppendUint32(b, 8)
		b = binary.BigEndian.AppendUint64(b, uint64(x))
	}
	return b
}

// byteas returns a bytea[] in binary. All elements have the same size.
func byteas[T ~[]byte](all []T) []byte {
	size := 0
	if len(all) > 0 {
		size = len(all[0])
	}
	b := arrayHead(make([]byte, 0, arrayHeadSize+(4+size)*len(all)), oidBytea, len(all))
	for _, x := range all {
		b = binary.BigEndian.AppendUint32(b, uint32(len(x)))
		b = append(b, x...)
	}
	return b
}

func bigint(x int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(x)) }

func integer(x int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(x)) }

var errReply = errors.New("the server answered as no function of this package does: " +
	"want the functions of Store.Migrate")

// readBigints reads a bigint[] without nulls.
func readBigints(b []byte) ([]int64, error) {
	if len(b) < arrayHeadSize || binary.BigEndian.Uint32(b) != 1 ||
		binary.BigEndian.Uint32(b[8:]) != oidInt8 {
		return nil, errReply
	}
	n := int(binary.BigEndian.Uint32(b[12:]))
	if b = b[arrayHeadSize:]; n > len(b) || len(b) != 12*n {
		return nil, errReply
	}
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(binary.BigEndian.Uint64(b[12*i+4:]))
	}
	return all, nil
}
