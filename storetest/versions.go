package storetest

import (
	"math"

	"github.com/ratelimit-go/ratelimit/store"
)

// leads reports whether op charges a rule as a whole: see [store.Carry].
func leads(op *store.Op) bool { return op.Limit.Index() == 0 && op.Limit.IsVersioned() }

// follows reports whether op is under the rule that lead charges.
func follows(lead, op *store.Op) bool {
	return op.Key == lead.Key && op.Limit.Rule() == lead.Limit.Rule()
}

// kin returns the accounts of the rule and key of lead that ops have nothing to do with.
func (l *ledger) kin(lead *store.Op, ops []store.Op) (kin []accountID) {
	own := map[accountID]bool{}
	for i := range ops {
		own[idOf(&ops[i])] = true
	}
	for id := range l.charged {
		if id.key == lead.Key && id.rule == lead.Limit.Rule() && !own[id] {
			kin = append(kin, id)
		}
	}
	return kin
}

// carry lets new accounts begin with what their kin leaves of the larger burst.
func (l *ledger) carry(ops []store.Op, accounts []account) error {
	for z := range ops {
		if !leads(&ops[z]) {
			continue
		}
		kin := l.kin(&ops[z], ops)
		for i := range ops {
			last := l.charged[idOf(&ops[i])]
			if follows(&ops[z], &ops[i]) && last.count > 0 && last != numbersOf(ops[i].Limit) {
				kin = append(kin, idOf(&ops[i]))
			}
		}
		for i := range ops {
			begun := l.charged[idOf(&ops[i])].count > 0
			if !follows(&ops[z], &ops[i]) || ops[i].Limit.Index() == 0 || begun {
				continue
			}
			left := ops[i].Limit.Burst()
			for _, id := range kin {
				larger := max(ops[i].Limit.Burst(), l.charged[id].burst)
				left = min(left, max(larger-l.lacks(id), 0))
			}
			if left < ops[i].Limit.Burst() {
				l.charged[idOf(&ops[i])] = numbersOf(ops[i].Limit)
			}
			accounts[i].chargeUpTo(ops[i].Limit.Burst() - left)
			if err := accounts[i].commit(); err != nil {
				return err
			}
			accounts[i].begin(l.now, numbersOf(ops[i].Limit))
		}
		accounts[z].begin(l.now, numbersOf(ops[z].Limit))
	}
	return nil
}

// lacks returns how many tokens an account lacks, rounded up.
func (l *ledger) lacks(id accountID) int64 {
	a, last := l.accounts[id], l.charged[id]
	a.begin(l.now, last)
	_, full := a.level()
	return int64(math.Ceil(float64(full)/float64(last.period)*float64(last.count) - tokenError))
}

// spread changes the kin of what ops have charged.
func (l *ledger) spread(ops []store.Op) error {
	for z := range ops {
		if !leads(&ops[z]) {
			continue
		}
		for _, id := range l.kin(&ops[z], ops) {
			a := l.accounts[id]
			a.begin(l.now, l.charged[id])
			switch ops[z].Kind {
			case store.Take, store.TakeUpTo:
				a.owe(ops[z].Cost)
			case store.Refund:
				a.refund(ops[z].Cost)
			case store.Reset:
				a.refund(math.MaxInt64)
			}
			if err := a.commit(); err != nil {
				return err
			}
		}
	}
	return nil
}
