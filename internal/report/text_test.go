package report

import (
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Text changes only the JSON of an error.
func TestText(t *testing.T) {
	err := Text(io.EOF)
	assert.Equal(t, "EOF", err.Error())
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, io.EOF, errors.Unwrap(err))
	got, failed := json.Marshal([]error{err})
	require.NoError(t, failed)
	assert.JSONEq(t, `["EOF"]`, string(got))
	assert.Equal(t, err, Text(err), "it has a text already")
	assert.NoError(t, Text(nil))
}

// Join changes only the JSON of the error, which is its text.
func TestJoin(t *testing.T) {
	err := Join(io.EOF, nil, io.ErrUnexpectedEOF)
	assert.Equal(t, "EOF\nunexpected EOF", err.Error())
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, []error{io.EOF, io.ErrUnexpectedEOF}, err.(interface{ Unwrap() []error }).Unwrap())
	got, failed := json.Marshal(err)
	require.NoError(t, failed)
	assert.JSONEq(t, `"EOF\nunexpected EOF"`, string(got))
	assert.NoError(t, Join(nil, nil))
}
