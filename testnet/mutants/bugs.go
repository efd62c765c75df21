package main

// bug is one small change that a careless hand could make.
type bug struct {
	name string
	file string
	old  string // stands in the file exactly once
	new  string
}

// openUntil stands between the two places that say when a challenge closes: with one of them changed
// alone, a timer would run for ever.
const openUntil = `
		t.requester.open = nil
	}
}

// nextChallenge is when a tick has a challenge to make, or to forget.
func (l Lease) nextChallenge() time.Time {
	r := l.requester
	if r.open != nil {
		`

// bugs were written down before the hunts were run. A bug whose old text is no longer in
// its file is an error: write down where the same mistake would be made now.
var bugs = []bug{
	{"journal-skips-its-sync", "job/journal/journal.go",
		"if err := j.log.Sync(); err != nil {", "if err := error(nil); err != nil {"},
	{"head-before-log", "job/journal/journal.go",
		"if b.err = j.writeLog(frames); b.err != nil {", "if b.err = errors.Join(j.head.write(next), j.writeLog(frames)); b.err != nil {"},
	{"slot-keyed-by-seq", "job/lease/worker.go",
		"return c.GetInterval() == l.worker.slot.interval", "return c.GetSeq() == l.worker.slot.seq"},
	{"challenge-without-the-last-ack", "job/lease/requester.go",
		"if t.off.noLastAck {", "if true {"},
	{"closed-interval-is-acked", "job/lease/requester.go",
		"if c != nil && !t.now.Before(t.closes(c.interval)) && !t.off.ackClosed {" + openUntil + "return l.closes(r.open.interval)",
		"if c != nil && !t.now.Before(t.closes(c.interval+1)) && !t.off.ackClosed {" + openUntil + "return l.closes(r.open.interval + 1)"},
	{"signs-again-after-a-crash", "job/lease/worker.go",
		"if s := t.worker.slot; s.open && t.sameSlot(c) {\n\t\tt.send(s.beat)\n\t\treturn nil\n\t}", "if s := t.worker.slot; s.open && t.sameSlot(c) {\n\t\treturn t.beat(ev)\n\t}"},
	{"beat-of-another-chain-is-acked", "job/lease/requester.go",
		"case !bytes.Equal(b.GetPrevHead(), t.chain.head[:]):", "case false:"},
	{"future-time-is-credited", "job/lease/requester.go",
		"if more > slack(l.now.Sub(l.requester.paid)) || more > l.maxUnpaid() {", "if more > 1<<62 {"},
	{"reservation-leaks", "job/worker/finish.go",
		"n.w.Config.Devices.Release(n.id.String())\n", "\n"},
	{"stale-award-is-taken", "job/worker/award.go",
		"if b.ExpiresMs < now.UnixMilli() {", "if false {"},
	{"sent-before-durable", "job/session/entry.go",
		"return nil, fmt.Errorf(\"journal %s: %w\", s.Key, err)", "_ = err"},
	{"expired-announcement-is-passed-on", "node/announce/validate.go",
		"if job.CheckFresh(now, m.IssuedMs, m.ExpiresMs) != nil {", "if false {"},
	{"wrong-blob-is-kept", "p2p/blob/writer.go",
		"if got := FromSum(w.sum.Sum(nil)); got != w.digest {", "if got := FromSum(w.sum.Sum(nil)); got == \"\" {"},
	{"network-namespace-is-forgotten", "runtime/containerd/network.go", // its resolver's sockets keep it
		"return r.gate.Close(id, u.slot())", "_ = u.slot()\n\treturn nil"},
	{"mount-is-forgotten", "runtime/containerd/start.go",
		"r.sweepTask(ctx, id), r.unmountAll(id)); err != nil {", "r.sweepTask(ctx, id)); err != nil {"},
}

// hunts are tried on every bug that their package could have, the quick ones first.
var hunts = []*hunt{
	{by: "rules", pkg: "./job/lease", test: "Transcripts|Refuse|Money|Replay|Claimed"},
	{by: "journal", pkg: "./job/journal"},
	{by: "session", pkg: "./job/session", test: "Nothing|Journal|Guard|Record|Stream|CoSigned|Stopping"},
	{by: "worker", pkg: "./job/worker"},
	{by: "gossip", pkg: "./node/announce"},
	{by: "blobs", pkg: "./p2p/blob"},
	{by: "containers", pkg: "./runtime/containerd", test: "AWayOutSurvives|NothingMounted", root: true},
	{by: "broken disks", pkg: "./testnet/sim", test: "DiskThatFails"},
	{by: "power cuts", pkg: "./testnet/sim", test: "PowerCut"},
	{by: "model", pkg: "./job/lease", test: "NoOrderOfEvents"},
	{by: "simulation", pkg: "./testnet/sim", test: "Lives|ShortCut|LongCut|Winner|Devices|Rents"},
}
