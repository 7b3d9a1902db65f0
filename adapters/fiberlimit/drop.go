package fiberlimit

import (
	"crypto/tls"
	"net/http"
	"syscall"
)

// dropped reports whether the handlers of fiber have closed the connection and set no response, as
// Drop does. The client gets nothing then, and status 200 is only fiber's default. End closes the
// connection too, but has sent what is set.
func (p *passage) dropped() bool {
	out := &p.ctx.Response
	if out.StatusCode() != http.StatusOK || out.IsBodyStream() || len(out.Body()) > 0 {
		return false
	}
	conn := p.ctx.Conn()
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil // it fails on a closed connection only
}
