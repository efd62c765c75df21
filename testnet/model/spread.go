package main

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	meshDegree = 6  // neighbours of a member in its topic's mesh, on average: gossipsub's D
	firstHand  = 10 // members that an announcer tells itself
)

// spreading is what became of announcements in one topic.
type spreading struct {
	reached  float64 // share of the members
	p50, p99 time.Duration
	sends    float64 // copies that a member sends of each announcement
}

// arrival is a copy on its way.
type arrival struct {
	at       time.Duration
	to, from int
}

type queue []arrival

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(arrival)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// spreadAmong plays ten announcements through the members of a topic: each passes the
// first copy that it gets on to its neighbours in the mesh, but for whom it came from.
func spreadAmong(dice *rand.Rand, members int) spreading {
	const announcements = 10
	mesh := make([][]int, members)
	for a := range mesh {
		for range meshDegree / 2 {
			if b := dice.IntN(members); b != a {
				mesh[a], mesh[b] = append(mesh[a], b), append(mesh[b], a)
			}
		}
	}
	var after []time.Duration
	sends := 0
	for range announcements {
		heard := make([]bool, members)
		var onTheWay queue
		send := func(from, to int, at time.Duration) {
			latency := leastLatency + time.Duration(dice.Int64N(int64(mostLatency-leastLatency)))
			heap.Push(&onTheWay, arrival{at + latency, to, from})
			sends++
		}
		for range firstHand {
			send(-1, dice.IntN(members), 0)
		}
		for onTheWay.Len() > 0 {
			a := heap.Pop(&onTheWay).(arrival)
			if heard[a.to] {
				continue
			}
			heard[a.to] = true
			after = append(after, a.at)
			for _, next := range mesh[a.to] {
				if next != a.from {
					send(a.to, next, a.at)
				}
			}
		}
	}
	slices.Sort(after)
	return spreading{
		reached: float64(len(after)) / float64(members*announcements),
		p50:     after[len(after)/2], p99: after[len(after)*99/100],
		sends: float64(sends) / float64(members*announcements),
	}
}
