package worker

import (
	"testing"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestAFollowerIsToldOfALargeImageInAHundredStepsAndOfEachLayer(t *testing.T) {
	const total, step = 100 << 30, 1 << 20
	last, told := &leasev1.Progress{}, 0
	for done := uint64(0); done <= total; done += step {
		p := &leasev1.Progress{Phase: leasev1.Phase_PHASE_PULLING, DoneBytes: done, TotalBytes: total, Layer: &leasev1.Layer{Digest: "one", DoneBytes: done}}
		if done > total/2 {
			p.Layer.Digest = "two"
		}
		if worthTelling(last, p) {
			last, told = p, told+1
		}
	}
	if told < 100 || told > 104 || last.DoneBytes != total {
		t.Errorf("told %d times, at last of %d bytes", told, last.DoneBytes)
	}
}

func TestAFollowerIsToldOfEveryChangeButOfBytes(t *testing.T) {
	was := &leasev1.Progress{Phase: leasev1.Phase_PHASE_PULLING, DoneBytes: 50, TotalBytes: 1000, Layer: &leasev1.Layer{Digest: "one"}}
	for what, p := range map[string]*leasev1.Progress{
		"phase":  {Phase: leasev1.Phase_PHASE_STARTING, DoneBytes: 50, TotalBytes: 1000, Layer: was.Layer},
		"notice": {Phase: was.Phase, DoneBytes: 50, TotalBytes: 1000, Layer: was.Layer, Notice: "hot"},
		"end":    {Phase: was.Phase, DoneBytes: 50, TotalBytes: 1000, Layer: was.Layer, EndMs: 1},
		"total":  {Phase: was.Phase, DoneBytes: 50, TotalBytes: 2000, Layer: was.Layer},
		"layer":  {Phase: was.Phase, DoneBytes: 50, TotalBytes: 1000, Layer: &leasev1.Layer{Digest: "two"}},
		"origin": {Phase: was.Phase, DoneBytes: 50, TotalBytes: 1000, Layer: &leasev1.Layer{Digest: "one", Origin: leasev1.Origin_ORIGIN_PEERS}},
		"all":    {Phase: was.Phase, DoneBytes: 1000, TotalBytes: 1000, Layer: was.Layer},
	} {
		if !worthTelling(was, p) {
			t.Errorf("another %s is not told", what)
		}
	}
	if worthTelling(was, &leasev1.Progress{Phase: was.Phase, DoneBytes: 51, TotalBytes: 1000, Layer: was.Layer}) {
		t.Error("one byte of a thousand is told")
	}
}
