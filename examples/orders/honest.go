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

// crowd is the honest clients: shoppers, two partners that report payments, and an administrator
// in the office. Each shopper has logged in from the same address before, and half of them are
// signed in now.
type crowd struct {
	size    size
	rnd     *rand.Rand
	tokens  []string // of the signed-in shoppers
	hooks   []string // of the partners
	logins  int
	success map[int]int // logins with the right password, by customer
	paid    int
}

const shoppers = 40

func shopper(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 1, 0, byte(i + 1)}) }

var officeAddr = netip.MustParseAddr("127.8.0.1")

func partnerAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 9, 0, byte(i + 1)}) }

// signIn logs the shoppers and the partners in, and returns the crowd. It logs in 50 a second: on a
// fast machine it would be as an attack for the rule "passwords" otherwise.
func signIn(ctx context.Context, f *fleet, size size) (*crowd, error) {
	c := &crowd{size: size, rnd: rand.New(rand.NewPCG(3, 4)), success: map[int]int{}}
	pace := time.NewTicker(time.Second / 50)
	defer pace.Stop()
	for i := range shoppers {
		<-pace.C
		token, err := logIn(ctx, f, shopper(i), customer(i), word(wordOf(i)))
		if err != nil {
			return nil, err
		}
		if i < shoppers/2 {
			c.tokens = append(c.tokens, token)
		}
	}
	for i := range partners - 1 {
		token, err := logIn(ctx, f, partnerAddr(i), partner(i), partnerPassword)
		if err != nil {
			return nil, err
		}
		c.hooks = append(c.hooks, token)
	}
	return c, nil
}

// logIn logs a user in, and returns the token.
func logIn(ctx context.Context, f *fleet, from netip.Addr, name, password string) (string, error) {
	status, body, err := f.do(ctx, loginShot(from, name, password))
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("login of %s: status %d", name, status)
	}
	var answer struct{ Token string }
	return answer.Token, json.Unmarshal(body, &answer)
}

// visit sends the requests of the crowd for the time d. Each run of the program sends the same
// requests.
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

// shot returns request number i. Most requests are of the shoppers in turn, and some are of the
// partners or of the administrator.
func (c *crowd) shot(i int) shot {
	if i%400 == 200 {
		return shot{
			from: officeAddr, method: "GET", path: "/admin/stats",
			name: adminName, password: adminPassword, want: http.StatusOK,
		}
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

// signingIn returns the login of the next shopper. Every eleventh mistypes the password.
func (c *crowd) signingIn() shot {
	who := c.logins % shoppers
	s := loginShot(shopper(who), customer(who), word(wordOf(who)))
	s.want = http.StatusOK
	if c.logins%11 == 10 {
		s.body, s.want = loginBody(customer(who), "pasword"), http.StatusUnauthorized
	} else {
		c.success[who]++
	}
	c.logins++
	return s
}

// loginShot returns a login without a wanted status.
func loginShot(from netip.Addr, name, password string) shot {
	return shot{from: from, method: "POST", path: "/login", body: loginBody(name, password)}
}

func loginBody(name, password string) string {
	body, _ := json.Marshal(credentials{name, password}) // never fails
	return string(body)
}

func (c *crowd) payment() shot {
	who := c.paid % len(c.hooks)
	c.paid++
	body := fmt.Sprintf(`{"reference": %q, "status": "paid"}`, reference(c.rnd.IntN(c.size.data.orders)))
	return shot{
		from: partnerAddr(who), method: "POST", path: "/webhooks",
		token: c.hooks[who], body: body, want: http.StatusAccepted,
	}
}
