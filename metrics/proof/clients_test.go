package proof

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Seen is what clients saw: how many responses each path had by status, and how many of the allowed
// ones left little of the burst of rule api.
type seen struct {
	status map[string]map[int]int
	near   int
}

// total returns the number of responses of all paths with a status.
func (s *seen) total(status int) (n int) {
	for _, by := range s.status {
		n += by[status]
	}
	return n
}

// paths is what a client asks for, over and over.
var paths = func() (all []string) {
	for i := range 100 {
		switch {
		case i%20 < 12:
			all = append(all, "/api")
		case i%20 < 15:
			all = append(all, "/login")
		case i%20 < 17:
			all = append(all, "/export")
		case i%20 < 18:
			all = append(all, "/search")
		case i%20 < 19:
			all = append(all, "/search?miss")
		default:
			all = append(all, "/api without a key")
		}
	}
	return all
}()

// load sends that many requests from each client, and returns what all of them saw together.
func load(t *testing.T, addr string, perClient int) *seen {
	t.Helper()
	all := &seen{status: map[string]map[int]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make([]error, clients)
	for i := range clients {
		wg.Go(func() {
			errs[i] = run(addr, fmt.Sprintf("client-%d", i), perClient, func(path string, r response) {
				mu.Lock()
				defer mu.Unlock()
				all.count(path, r)
			})
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	return all
}

// A response is what a client looks at.
type response struct {
	status int
	left   int // tokens of rule api, as the field RateLimit says; -1 if it does not
}

func (s *seen) count(path string, r response) {
	if s.status[path] == nil {
		s.status[path] = map[int]int{}
	}
	s.status[path][r.status]++
	if path == "/api" && r.status == http.StatusOK && r.left >= 0 && r.left < apiBurst/5 {
		s.near++
	}
}

// read reads a response, faster than net/http, because the processor time of a test is for the
// service.
func read(in *bufio.Reader) (response, error) {
	line, err := in.ReadString('\n')
	if err != nil || len(line) < len("HTTP/1.1 200") {
		return response{}, fmt.Errorf("status line %q: %w", line, err)
	}
	r := response{left: -1}
	if r.status, err = strconv.Atoi(line[9:12]); err != nil {
		return r, err
	}
	length := -1
	for {
		if line, err = in.ReadString('\n'); err != nil {
			return r, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Content-Length":
			length, err = strconv.Atoi(value)
		case "Ratelimit":
			if _, rest, ok := strings.Cut(value, `"api";r=`); ok {
				digits, _, _ := strings.Cut(rest, ";")
				r.left, err = strconv.Atoi(digits)
			}
		}
		if err != nil {
			return r, err
		}
	}
	if length < 0 {
		return r, errors.New("no Content-Length")
	}
	_, err = in.Discard(length)
	return r, err
}

// run is one client. It writes all paths at once and then reads the responses.
func run(addr, name string, requests int, count func(path string, r response)) error {
	conn, err := net.Dial("tcp", addr) //nolint:noctx
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return err
	}
	var batch strings.Builder
	for _, path := range paths {
		path, without := strings.CutSuffix(path, " without a key")
		fmt.Fprintf(&batch, "GET %s HTTP/1.1\r\nHost: shop\r\n", path)
		if !without {
			fmt.Fprintf(&batch, "X-Client: %s\r\n", name)
		}
		batch.WriteString("\r\n")
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	for range requests / len(paths) {
		if _, err := io.WriteString(conn, batch.String()); err != nil {
			return err
		}
		for _, path := range paths {
			r, err := read(in)
			if err != nil {
				return err
			}
			count(path, r)
		}
	}
	return nil
}
