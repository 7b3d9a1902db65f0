package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// service is the API. It contains no limits.
type service struct {
	db     *database
	signer *signer
}

const maxBody = 16 << 10

// routes returns the API. It decorates the login with guard.
func (s *service) routes(guard func(http.Handler) http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /login", guard(http.HandlerFunc(s.login)))
	mux.HandleFunc("GET /api/items", s.items)
	mux.HandleFunc("GET /api/orders", s.signedIn("", s.orders))
	mux.HandleFunc("GET /api/orders/{id}", s.signedIn("", s.order))
	mux.HandleFunc("GET /api/users", s.signedIn("", s.users))
	mux.HandleFunc("POST /webhooks", s.signedIn(rolePartner, s.webhook))
	mux.HandleFunc("GET /admin/stats", s.stats)
	return http.MaxBytesHandler(mux, maxBody)
}

// signedIn allows signed-in users only. If role is not empty, they must have that role.
func (s *service) signedIn(role string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, ok := s.signer.identify(r)
		switch {
		case !ok:
			fail(w, http.StatusUnauthorized)
		case role != "" && user.role != role:
			fail(w, http.StatusForbidden)
		default:
			next(w, r)
		}
	}
}

// login answers a name and its password with a token.
func (s *service) login(w http.ResponseWriter, r *http.Request) {
	var in credentials
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, http.StatusBadRequest)
		return
	}
	user, ok, err := s.check(r, in)
	switch {
	case err != nil:
		fail(w, http.StatusInternalServerError)
	case !ok:
		fail(w, http.StatusUnauthorized)
	default:
		reply(w, map[string]string{"token": s.signer.sign(user, time.Now().Add(time.Hour))})
	}
}

type credentials struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// check returns the identity that the credentials prove. It returns false if they are wrong.
func (s *service) check(r *http.Request, in credentials) (identity, bool, error) {
	return s.db.checkPassword(r.Context(), strings.ToLower(strings.TrimSpace(in.Name)), in.Password)
}

func (s *service) items(w http.ResponseWriter, r *http.Request) {
	list, err := s.db.items(r.Context(), r.URL.Query().Get("q"), popular(r), pageOf(r))
	replyRows(w, r, list, err)
}

func (s *service) orders(w http.ResponseWriter, r *http.Request) {
	list, err := s.db.orders(r.Context(), r.URL.Query().Get("user"), pageOf(r))
	replyRows(w, r, list, err)
}

func (s *service) order(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		fail(w, http.StatusNotFound)
		return
	}
	list, err := s.db.order(r.Context(), id)
	if err == nil && len(list) == 0 {
		fail(w, http.StatusNotFound)
		return
	}
	replyRows(w, r, list, err)
}

func (s *service) users(w http.ResponseWriter, r *http.Request) {
	list, err := s.db.users(r.Context(), pageOf(r))
	replyRows(w, r, list, err)
}

// webhook receives the report of a partner that an order was paid.
func (s *service) webhook(w http.ResponseWriter, r *http.Request) {
	var event struct {
		Reference string `json:"reference"`
		Status    string `json:"status"`
	}
	if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
		fail(w, http.StatusBadRequest)
		return
	}
	if err := s.db.paid(r.Context(), event.Reference, event.Status); err != nil {
		fail(w, http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// stats is for administrators. They send their password with each request by HTTP Basic
// authentication, as in the consoles of many programs.
func (s *service) stats(w http.ResponseWriter, r *http.Request) {
	traceOf(r.Context()).admin = true
	name, password, _ := r.BasicAuth()
	user, ok, err := s.check(r, credentials{name, password})
	switch {
	case err != nil:
		fail(w, http.StatusInternalServerError)
	case !ok:
		w.Header().Set("WWW-Authenticate", `Basic realm="admin"`)
		fail(w, http.StatusUnauthorized)
	case user.role != roleAdmin:
		fail(w, http.StatusForbidden)
	default:
		list, err := s.db.stats(r.Context())
		replyRows(w, r, list, err)
	}
}

// page is a part of a list.
type page struct{ offset, rows int }

func pageOf(r *http.Request) page {
	number, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil {
		number = 1
	}
	return page{(min(max(number, 1), 100_000) - 1) * perPage(r), perPage(r)}
}

// perPage returns how many rows a request wants, from 1 to 1000.
func perPage(r *http.Request) int {
	n, err := strconv.Atoi(r.URL.Query().Get("per_page"))
	if err != nil {
		n = 20
	}
	return min(max(n, 1), 1000)
}

// popular reports whether the request wants the items that sold best. The database has no index
// for them.
func popular(r *http.Request) bool { return r.URL.Query().Get("sort") == "popular" }

func replyRows[T any](w http.ResponseWriter, r *http.Request, list []T, err error) {
	if err != nil {
		fail(w, http.StatusInternalServerError)
		return
	}
	traceOf(r.Context()).rows = len(list)
	reply(w, list)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int) { http.Error(w, http.StatusText(status), status) }
