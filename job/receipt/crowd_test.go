package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/statement"
)

// crowd is a lease that as many watch as may.
type crowd struct {
	*sides
	keys []ed25519.PrivateKey
}

func crowded(t *testing.T, beats int) crowd {
	terms := exampleTerms()
	c := crowd{}
	for i := range job.MaxWitnesses {
		c.keys = append(c.keys, keyFrom(0x10+byte(i)))
		terms.Witnesses = append(terms.Witnesses, publicOf(c.keys[i]))
	}
	terms.WitnessQuorum = job.MaxWitnesses/2 + 1
	c.sides = begin(t, terms)
	for i := range beats {
		c.tick(byte(i))
		if i == 0 {
			c.step(lease.Worker, lease.TaskRunning{})
		}
		c.after(13 * time.Second)
	}
	return c
}

// attest has a witness attest to a beat, as of a period that it says.
func (c crowd) attest(witness int, seq, period uint64) {
	c.t.Helper()
	whole := must(lease.Chain(c.config[lease.Worker], time.UnixMilli(beginMs), c.records[lease.Worker]))
	link, b := whole.Links[seq], &leasev1.Beat{}
	if err := proto.Unmarshal(link.Beat.Payload, b); err != nil {
		c.t.Fatal(err)
	}
	head := heartbeat.NextHead(link.Beat, link.Ack)
	signed := must(statement.Sign(c.keys[witness], statement.TypeAttest, &leasev1.Attest{
		Version: 1, LeaseId: b.LeaseId, Witness: uint32(witness), Period: period, Seq: seq, Head: head[:], TreeRoot: bytes.Repeat([]byte{1}, 32),
		CreditMs: b.CreditMs, FirstMs: beginMs, AskedMs: beginMs, AttestedMs: beginMs,
	}))
	for _, r := range []lease.Role{lease.Worker, lease.Requester} {
		c.step(r, must(c.lease[r].OpenAttest(signed)))
	}
}

func (c crowd) both(t *testing.T, attested int) {
	t.Helper()
	c.exit()
	for r, l := range c.lease {
		s, err := receipt.Verify(must(receipt.Marshal(l.Receipt())))
		if err != nil || s.Witnesses.Attested != attested {
			t.Errorf("the %s's receipt has the word of %d witnesses, %v", r, s.Witnesses.Attested, err)
		}
	}
}

func TestAllWitnessesOfAShortLeaseAreInItsReceipts(t *testing.T) {
	c := crowded(t, 12)
	for i := range c.keys {
		c.attest(i, uint64(i)%5, 0)
	}
	c.both(t, job.MaxWitnesses)
}

func TestAWitnessThatSpeaksOfManyPeriodsPushesNoOtherOut(t *testing.T) {
	c := crowded(t, 30)
	for i := range c.keys[1:] {
		c.attest(i+1, 4+uint64(i), 0)
	}
	for n := range uint64(20) {
		c.attest(0, 8+n, math.MaxUint64>>(n%3))
	}
	c.both(t, job.MaxWitnesses)
}
