package policyfile

// The types here are the format of a file. The tag "file" is the name of a field in files.
// schema.json has a definition for each type that is a struct, under the name of the type.

type file struct {
	Version  version   `file:"version,required"`
	ClientIP *clientIP `file:"client_ip"`
	Store    *store    `file:"store"`

	Headers      headers `file:"headers"`
	MergeHeaders bool    `file:"merge_headers"`
	SharedCache  bool    `file:"shared_cache"`

	Allow        *list    `file:"allow"`
	Deny         *list    `file:"deny"`
	ExemptRoutes []string `file:"exempt_routes"`
	Exempt       string   `file:"exempt"`

	Rules      []rule               `file:"rules"`
	Routes     map[string][]rule    `file:"routes"`
	Budgets    []budget             `file:"budgets"`
	Decorators map[string]decorator `file:"decorators"`
	Logins     map[string]loginRule `file:"logins"`
	Shedder    *shedder             `file:"shedder"`
}

type clientIP struct {
	Header         string   `file:"header,required"`
	TrustedProxies []string `file:"trusted_proxies"`
	TrustedHops    int      `file:"trusted_hops"`
	TrustedIf      string   `file:"trusted_if"`
	IPv6Prefix     int      `file:"ipv6_prefix"`
}

type store struct {
	OnFailure failure  `file:"on_failure"`
	Instances int      `file:"instances"`
	Timeout   duration `file:"timeout"`
	LeaseTTL  duration `file:"lease_ttl"`
}

type list struct {
	Addresses []string `file:"addresses"`
	Keys      []string `file:"keys"`
	By        *key     `file:"by"`
}

type rule struct {
	Name      string `file:"name,required"`
	Limits    limits `file:"limits"`
	LimitsFor string `file:"limits_for"`
	Key       *key   `file:"key"`

	OnMissingKey missingKey `file:"on_missing_key"`
	Methods      []string   `file:"methods"`
	Skip         string     `file:"skip"`

	Cost         *cost         `file:"cost"`
	CountOnly    *responses    `file:"count_only"`
	ResponseCost *responseCost `file:"response_cost"`

	MaxWait    duration `file:"max_wait"`
	MaxWaiting int      `file:"max_waiting"`
	InFlight   int      `file:"in_flight"`
	Block      *block   `file:"block"`

	Mode           mode    `file:"mode"`
	OnStoreFailure failure `file:"on_store_failure"`
	OmitHeaders    bool    `file:"omit_headers"`
}

type budget struct {
	Name           string   `file:"name,required"`
	Limits         limits   `file:"limits,required"`
	LimitsFor      string   `file:"limits_for"`
	MaxWait        duration `file:"max_wait"`
	OnStoreFailure failure  `file:"on_store_failure"`
}

// key is the name of a key, or one field.
type key struct {
	Name    string `file:""`
	Header  string `file:"header"`
	Cookie  string `file:"cookie"`
	Global  string `file:"global"`
	AllOf   []key  `file:"all_of"`
	FirstOf []key  `file:"first_of"`
}

// cost is a number, or how to find the number in a request.
type cost struct {
	Fixed   int    `file:""`
	Query   string `file:"query,required"`
	Default int    `file:"default"`
	Max     int    `file:"max,required"`
}

type responseCost struct {
	Header string `file:"header,required"`
	Max    int    `file:"max,required"`
}

type block struct {
	After  limit      `file:"after"`
	For    duration   `file:"for"`
	Max    duration   `file:"max"`
	Forget duration   `file:"forget"`
	When   *responses `file:"when"`
}

type decorator struct {
	Rules  []rule   `file:"rules,required"`
	Routes []string `file:"routes"`
}

type loginRule struct {
	Account   *account   `file:"account,required"`
	Succeeded *responses `file:"succeeded"`
	Failed    *responses `file:"failed"`
	Routes    []string   `file:"routes"`

	PerPair    limits `file:"per_pair"`
	PerAccount limits `file:"per_account"`
	PerAddress limits `file:"per_address"`
	PerNetwork limits `file:"per_network"`
	Total      limits `file:"total"`
	NewPairs   limits `file:"new_pairs"`

	Block          *block   `file:"block"`
	Remember       duration `file:"remember"`
	OnStoreFailure failure  `file:"on_store_failure"`
	Mode           mode     `file:"mode"`
}

// account is the name of a function, or one field.
type account struct {
	Name string `file:""`
	Form string `file:"form"`
	JSON string `file:"json"`
}

type shedder struct {
	MaxInFlight   int       `file:"max_in_flight,required"`
	MinInFlight   int       `file:"min_in_flight"`
	TargetLatency duration  `file:"target_latency"`
	Priority      *priority `file:"priority"`
	Exempt        string    `file:"exempt"`
	ExemptRoutes  []string  `file:"exempt_routes"`
}

// priority is the name of a function, or patterns of routes.
type priority struct {
	Name      string   `file:""`
	Critical  []string `file:"critical"`
	Sheddable []string `file:"sheddable"`
}
