package gossip

import (
	"net"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Scores, in short: a peer earns little by being useful and loses much by
// sending what the validators reject. Four rejected messages and it hears no
// gossip from us, seven and nothing it sends is read, until that has decayed
// in about ten minutes. An honest node never forwards a rejected message.
const (
	gossipThreshold   = -100
	publishThreshold  = -200
	graylistThreshold = -400
	rejectedWeight    = -10 // times the square of their number

	// What counts for a peer or against it is forgotten after so long, in steps: each is a look
	// at every peer there is.
	forgotten = 10 * time.Minute
	decayStep = 10 * time.Second

	// A miner has twenty rigs behind one public address; more than that from
	// one address looks like one person pretending to be many.
	peersPerIP = 24
)

// local networks are where many peers share an address, or pretend to: a test
// network on loopback, a LAN, containers of one machine.
var local = networks("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10")

func scores(wasted func(peer.ID) float64) (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	params := &pubsub.PeerScoreParams{
		Topics:                      make(map[string]*pubsub.TopicScoreParams),
		TopicScoreCap:               50,
		AppSpecificScore:            wasted,
		AppSpecificWeight:           1,
		IPColocationFactorWeight:    -5,
		IPColocationFactorThreshold: peersPerIP,
		IPColocationFactorWhitelist: local,
		BehaviourPenaltyWeight:      -10,
		BehaviourPenaltyThreshold:   6,
		BehaviourPenaltyDecay:       decay(),
		DecayInterval:               decayStep,
		DecayToZero:                 pubsub.DefaultDecayToZero,
		RetainScore:                 time.Hour,
	}
	thresholds := &pubsub.PeerScoreThresholds{
		GossipThreshold:             gossipThreshold,
		PublishThreshold:            publishThreshold,
		GraylistThreshold:           graylistThreshold,
		AcceptPXThreshold:           10,
		OpportunisticGraftThreshold: 1,
	}
	return params, thresholds
}

// topicScores leaves out the penalty for delivering too little: a quiet topic
// is the normal case, and nobody is to blame for it.
func topicScores() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		SkipAtomicValidation:           true,
		TopicWeight:                    1,
		TimeInMeshWeight:               0.01,
		TimeInMeshQuantum:              time.Second,
		TimeInMeshCap:                  300,
		FirstMessageDeliveriesWeight:   0.5,
		FirstMessageDeliveriesDecay:    decay(),
		FirstMessageDeliveriesCap:      50,
		InvalidMessageDeliveriesWeight: rejectedWeight,
		InvalidMessageDeliveriesDecay:  decay(),
	}
}

// decay is what is left after each step.
func decay() float64 {
	return pubsub.ScoreParameterDecayWithBase(forgotten, decayStep, pubsub.DefaultDecayToZero)
}

func networks(cidrs ...string) []*net.IPNet {
	var out []*net.IPNet
	for _, c := range cidrs {
		_, n, err := net.ParseCIDR(c)
		if err != nil {
			panic(err) // a constant of this file
		}
		out = append(out, n)
	}
	return out
}
