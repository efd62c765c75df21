package nvml

import "fmt"

// fatal are the Xid errors after which a card's work is not to be trusted until it
// was reset, by NVIDIA's catalogue (docs.nvidia.com/deploy/xid-errors). The others
// are a program's own faults (13, 31, 43, 45, 68, 69 …) or need no action.
var fatal = map[uint32]string{
	46:  "the card stopped processing",
	48:  "memory error that could not be corrected",
	54:  "auxiliary power is not connected",
	61:  "internal controller halted",
	62:  "internal controller halted",
	64:  "a bad row of memory could not be replaced",
	74:  "NVLink error",
	79:  "the card fell off the bus",
	92:  "too many memory errors that were corrected",
	95:  "memory error that was not contained",
	109: "the card could not switch contexts",
	110: "security fault",
	119: "the card's system processor does not answer",
	120: "the card's system processor failed",
	123: "the power management unit failed",
	136: "a link could not be trained",
	140: "unrecovered memory error",
	143: "the card could not start",
	154: "the card asks to be reset",
}

// describeXid says what an Xid means, and whether the card is out of service after it.
func describeXid(number uint32) (string, bool) {
	meaning, bad := fatal[number]
	if !bad {
		return fmt.Sprintf("Xid %d", number), false
	}
	return fmt.Sprintf("Xid %d: %s", number, meaning), true
}
