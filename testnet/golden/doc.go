// Package golden keeps encoded messages of every type that the previous version of rigmesh
// sends or writes down, with every field set, and shows that today's code reads each as it
// was meant. The previous version is the one of testnet/e2e/PREVIOUS.
package golden
