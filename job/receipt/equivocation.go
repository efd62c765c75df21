package receipt

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Fault is what an equivocation proves: who signed which two things for one slot.
type Fault struct {
	LeaseID string    `json:"lease"`   // hex
	Network string    `json:"network"` //
	Signer  string    `json:"signer"`  // peer id
	Role    string    `json:"role"`    // worker, requester or witness
	Type    string    `json:"type"`    // of both statements
	Slot    string    `json:"slot"`    // in words
	Said    [2]Saying `json:"said"`
}

// Saying is one of the two statements.
type Saying struct {
	Hash     string `json:"hash"`      // H(type, payload), hex
	CreditMS uint64 `json:"credit_ms"` //
	Amount   uint64 `json:"amount"`    // micro-credits; of an attestation 0
	Head     string `json:"head"`      // what it extends, acknowledges or attests to, hex
}

// VerifyEquivocation checks the file of an equivocation. The error names the part
// that is wrong. It needs no network and no clock.
func VerifyEquivocation(file []byte) (Fault, error) {
	m, err := ParseEquivocation(file)
	if err != nil {
		return Fault{}, err
	}
	var e checked
	err = e.takeTerms(&leasev1.Receipt{
		Terms: m.GetTerms(), TermsWorkerSignature: m.GetTermsWorkerSignature(), TermsRequesterSignature: m.GetTermsRequesterSignature(),
	})
	if err != nil {
		return Fault{}, fmt.Errorf("terms: %w", err)
	}
	f, err := e.slot(m.GetFirst())
	if err != nil {
		return Fault{}, fmt.Errorf("first statement: %w", err)
	}
	g, err := e.slot(m.GetSecond())
	if err != nil {
		return Fault{}, fmt.Errorf("second statement: %w", err)
	}
	one, two := f.Said[0], g.Said[0]
	switch {
	case f.Signer != g.Signer || f.Type != g.Type || f.Slot != g.Slot:
		return Fault{}, fmt.Errorf("the statements are not for one slot of one signer: %w", ErrChain)
	case one.Hash == two.Hash || f.Type == string(statement.TypeAttest) && one.Head == two.Head:
		return Fault{}, fmt.Errorf("both statements say the same, which is allowed: %w", ErrChain)
	}
	f.Said[1] = two
	return f, nil
}

// slot opens one statement and tells whose it is and what slot it is for.
func (e *checked) slot(s *marketv1.Signed) (Fault, error) {
	switch t := statement.Type(s.GetType()); t {
	case statement.TypeBeat:
		v, err := statement.Open[*leasev1.Beat](s, t, e.terms.GetWorker())
		if err != nil {
			return Fault{}, fmt.Errorf("worker: %w", err)
		}
		b := v.Message()
		said := Saying{CreditMS: b.GetCreditMs(), Amount: b.GetAmount(), Head: hex.EncodeToString(b.GetPrevHead())}
		return fault(e, v, "worker", fmt.Sprintf("interval %d", b.GetInterval()), said)
	case statement.TypeAck:
		v, err := statement.Open[*leasev1.Ack](s, t, e.terms.GetRequester())
		if err != nil {
			return Fault{}, fmt.Errorf("requester: %w", err)
		}
		a := v.Message()
		said := Saying{CreditMS: a.GetCreditMs(), Amount: a.GetAmount(), Head: hex.EncodeToString(a.GetBeatHash())}
		return fault(e, v, "requester", fmt.Sprintf("heartbeat %d", a.GetSeq()), said)
	case statement.TypeAttest:
		v, err := e.openAttest(s)
		if err != nil {
			return Fault{}, err
		}
		a := v.Message()
		said := Saying{CreditMS: a.GetCreditMs(), Head: hex.EncodeToString(a.GetHead())}
		return fault(e, v, "witness", fmt.Sprintf("heartbeat %d", a.GetSeq()), said)
	default:
		return Fault{}, fmt.Errorf("%w: two of %.20q are no equivocation", statement.ErrType, t)
	}
}

// fault is one half of an equivocation.
func fault[M interface {
	proto.Message
	GetLeaseId() []byte
}](e *checked, v statement.Verified[M], role, slot string, said Saying) (Fault, error) {
	signer, err := job.PeerID(v.Signer())
	if err != nil {
		return Fault{}, err
	}
	hash := v.Hash()
	said.Hash = hex.EncodeToString(hash[:])
	return Fault{
		LeaseID: hex.EncodeToString(e.id[:]), Network: e.terms.GetNetwork(), Signer: signer.String(),
		Role: role, Type: v.Signed().GetType(), Slot: slot, Said: [2]Saying{said},
	}, e.mine(v.Message().GetLeaseId())
}

// plural names the types of which two can be an equivocation.
var plural = map[string]string{
	string(statement.TypeBeat): "beats", string(statement.TypeAck): "acks", string(statement.TypeAttest): "attestations",
}

// told is what one of the statements says: of an attestation not what it costs, which it leaves out.
func (f Fault) told(s Saying) string {
	cost := fmt.Sprintf("%s, %s credits", span(s.CreditMS), job.FormatPrice(s.Amount))
	switch statement.Type(f.Type) {
	case statement.TypeAttest:
		return fmt.Sprintf("%s of credit, head %s", span(s.CreditMS), short(s.Head))
	case statement.TypeAck:
		return cost + ", of beat " + short(s.Head)
	default:
		return cost + ", after head " + short(s.Head)
	}
}

// Text writes the fault for people.
func (f Fault) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "The %s %s signed two different %s for %s of lease %s of network %s.\n", f.Role, f.Signer, plural[f.Type], f.Slot, f.LeaseID, f.Network)
	for i, s := range f.Said {
		fmt.Fprintf(&b, "  %s  %s (statement %s)\n", []string{"one  ", "other"}[i], f.told(s), short(s.Hash))
	}
	b.WriteString("Nobody who follows the protocol does that, not even after a crash.\n")
	_, err := io.WriteString(w, b.String())
	return err
}
