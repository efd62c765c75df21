package requester

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestAProgramRunsUnderTheLeaseOfItsJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, ran: time.Minute})
		b.start()
		defer b.stop()
		start := &leasev1.ExecStart{LeaseId: []byte("whatever"), Args: []string{"ls", "-l", "/"}}
		_, err := b.Exec(t.Context(), "3f2a", start)
		is(t, err, ErrNoJob)
		id := b.submit(b.submission())
		time.Sleep(20 * time.Second)
		_, err = b.Exec(t.Context(), id, &leasev1.ExecStart{})
		is(t, err, ErrSpec)
		_, err = b.Exec(t.Context(), id, sessiontest.Later(&leasev1.ExecStart{Args: []string{"ls"}}))
		is(t, err, ErrSpec)
		link, err := b.Exec(t.Context(), id[:6], start)
		if err != nil {
			t.Fatal(err)
		}
		var said, ended leasev1.ExecReply
		if err := errors.Join(link.Recv(&said), link.Recv(&ended)); err != nil || string(said.GetStdout()) != "ls" || ended.GetEnded().GetCode() != 2 {
			t.Errorf("%v, %v, %v", &said, &ended, err)
		}
		link.Reset()
		b.events(id)
		_, err = b.Exec(t.Context(), id, start)
		is(t, err, ErrEnded)
	})
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
