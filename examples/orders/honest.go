package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"time"
)

// crowd is the honest clients: shoppers, all of whom have logged in from where they are and half
// of whom are signed in now, two partners that report payments, and an administrator in the
// office.
type crowd struct {
	size    size
	rnd     *rand.Rand
	tokens  []string // of the shoppers who are signed in
	hooks   []string // of the partners
	logins  int
	success map[int]int // logins with the right password, by customer
	paid    int
}

const shoppers = 40

func shopper(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 1, 0, byte(i + 1)}) }

var officeAddr = netip.MustParseAddr("127.8.0.1")

func partnerAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 9, 0, byte(i + 1)}) }

// signIn returns the crowd with those signed in who will be.
func signIn(ctx context.Context, f *fleet, size size) (*crowd, error) {
	c := &crowd{size: size, rnd: rand.New(rand.NewPCG(3, 4)), success: map[int]int{}}
	for i := range shoppers {
		token, err := login(ctx, f, shopper(i), customer(i), word(wordOf(i)))
		if err != nil {
			return nil, err
		}
		if i < shoppers/2 {
			c.tokens = append(c.tokens, token)
		}
	}
	for i := range partners - 1 {
		token, err := login(ctx, f, partnerAddr(i), partner(i), partnerPassword)
		if err != nil {
			return nil, err
		}
		c.hooks = append(c.hooks, token)
	}
	return c, nil
}

// login returns a token.
func login(ctx context.Context, f *fleet, from netip.Addr, name, password string) (string, error) {
	status, body, err := f.do(ctx, shot{from: from, method: "POST", path: "/login", body: loginBody(name, password)})
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("login of %s: status %d", name, status)
	}
	var answer struct{ Token string }
	return answer.Token, json.Unmarshal(body, &answer)
}

// visit sends the requests of the crowd for a time. They are the same ones in each run
// of the program.
func (c *crowd) visit(ctx context.Context, f *fleet, d time.Duration) phase {
	n := int(c.size.honest * d.Seconds())
	shots := make([]shot, n)
	for i := range shots {
		shots[i] = c.shot(i)
	}
	s := &stream{
		rate: c.size.honest, count: n, inFlight: n, patience: c.size.patience,
		shot: func(i int) shot { return shots[i] },
	}
	return phase{time.Now(), s.run(ctx, f, nil)}
}

// shot returns a request of one of the shoppers, who come in turn, or, now and then, of
// somebody else.
func (c *crowd) shot(i int) shot {
	if i%400 == 200 {
		return shot{from: officeAddr, method: "GET", path: "/admin/stats", name: adminName, password: adminPassword, want: http.StatusOK}
	}
	who := i % shoppers
	s := shot{from: shopper(who), method: "GET", want: http.StatusOK}
	dice := c.rnd.IntN(100)
	switch {
	case dice < 5:
		return c.signingIn()
	case dice < 10:
		return c.payment()
	case dice < 25:
		s.path = "/api/items?q=" + pick(c.rnd, things)
	case dice < 50 || who >= len(c.tokens):
		s.path = fmt.Sprintf("/api/items?page=%d", 1+c.rnd.IntN(20))
	case dice < 70:
		s.path, s.token = "/api/orders?user="+customer(who), c.tokens[who]
	case dice < 95:
		s.path, s.token = fmt.Sprintf("/api/orders/%d", 1+c.rnd.IntN(c.size.data.orders)), c.tokens[who]
	default:
		s.path, s.token = fmt.Sprintf("/api/users?page=%d", 1+c.rnd.IntN(5)), c.tokens[who]
	}
	return s
}

// signingIn is the next shopper, and now and then one who mistypes the password.
func (c *crowd) signingIn() shot {
	who := c.logins % shoppers
	s := shot{from: shopper(who), method: "POST", path: "/login", body: loginBody(customer(who), word(wordOf(who))), want: http.StatusOK}
	if c.logins%11 == 10 {
		s.body, s.want = loginBody(customer(who), "pasword"), http.StatusUnauthorized
	} else {
		c.success[who]++
	}
	c.logins++
	return s
}

func loginBody(name, password string) string {
	body, _ := json.Marshal(credentials{name, password}) // never fails
	return string(body)
}

func (c *crowd) payment() shot {
	who := c.paid % len(c.hooks)
	c.paid++
	body := fmt.Sprintf(`{"reference": %q, "status": "paid"}`, reference(c.rnd.IntN(c.size.data.orders)))
	return shot{from: partnerAddr(who), method: "POST", path: "/webhooks", token: c.hooks[who], body: body, want: http.StatusAccepted}
}
